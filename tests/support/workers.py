"""Workers in virtual time, one of whom runs at a time: many calls in flight, the same order of events in every run."""

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any


class _Worker:
    """A thread that runs only while it is told to."""

    def __init__(self, time: "Workers") -> None:
        self._time = time
        self.wakes_at: float | None = None  # None: it has nothing to do
        self.turn = threading.Semaphore(0)
        self.thread = threading.Thread(target=self._work, daemon=True)
        self.thread.start()

    def _work(self) -> None:
        while True:
            self.turn.acquire()
            if not self._time.waiting:
                return
            future, call = self._time.waiting.popleft()
            try:
                future.set_result(call())
            except BaseException as error:  # noqa: BLE001 - for who waits for the result
                future.set_exception(error)
            del future, call
            self.wakes_at = None
            self._time.back.release()

    def sleep(self, seconds: float) -> None:
        self.wakes_at = self._time() + seconds
        self._time.back.release()
        self.turn.acquire()


class _Result(Future[Any]):
    """Time passes while somebody waits for it."""

    def __init__(self, time: "Workers") -> None:
        super().__init__()
        self._time = time

    def result(self, timeout: float | None = None) -> Any:
        while not self.done():
            self._time.go_on()
        return super().result(timeout)


class Workers(Executor):
    """An executor, a clock and its sleep in one. Time passes when no worker can do anything but wait."""

    def __init__(self, count: int, seconds: float = 1000.0) -> None:
        self.seconds = seconds
        self.waiting: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self.back = threading.Semaphore(0)
        self._workers = [_Worker(self) for _ in range(count)]
        self._running: _Worker | None = None

    def __call__(self) -> float:
        return self.seconds

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the workers, if all of them have nothing to do."""
        self.waiting.clear()
        for worker in self._workers:
            if worker.wakes_at is None:
                worker.turn.release()
                worker.thread.join()

    def submit(self, call: Callable[..., Any], /, *positional: Any, **named: Any) -> Future[Any]:
        future = _Result(self)
        self.waiting.append((future, lambda: call(*positional, **named)))
        return future

    def sleep(self, seconds: float) -> None:
        """Of a worker, or of whoever asks for results: then nobody else moves."""
        if self._running is None:
            self.seconds += seconds
        else:
            self._running.sleep(seconds)

    def go_on(self) -> None:
        """Let one worker run until it waits or is done; the one with something to do, else the one who wakes first."""
        idle = next((each for each in self._workers if each.wakes_at is None), None)
        if idle is not None and self.waiting:
            worker = idle
        else:
            worker = min(
                (each for each in self._workers if each.wakes_at is not None), key=lambda each: each.wakes_at or 0
            )
            self.seconds = max(self.seconds, worker.wakes_at or 0)
        self._running = worker
        worker.turn.release()
        self.back.acquire()
        self._running = None
