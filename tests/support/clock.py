"""Seconds that pass only when somebody sleeps, also for several threads at once."""

import threading


class Clock:
    """A sleeper wakes at the instant that it last read plus what it sleeps: sleepers at the same time don't add up."""

    def __init__(self, seconds: float = 1000.0) -> None:
        self.seconds = seconds
        self._lock = threading.Lock()
        self._read = threading.local()

    def __call__(self) -> float:
        with self._lock:
            self._read.at = self.seconds
            return self.seconds

    def sleep(self, seconds: float) -> None:
        with self._lock:
            self.seconds = max(self.seconds, getattr(self._read, "at", self.seconds) + seconds)
            self._read.at = self.seconds

    def advance(self, seconds: float) -> None:
        with self._lock:
            self.seconds += seconds


class VirtualTime:
    """Time for a known number of workers: it passes when all of them sleep, to the instant at which the first wakes."""

    def __init__(self, workers: int) -> None:
        self.seconds = 1000.0
        self._running = workers
        self._asleep: list[float] = []
        self._changed = threading.Condition()

    def __call__(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        with self._changed:
            wake_at = self.seconds + seconds
            self._asleep.append(wake_at)
            self._running -= 1
            self._pass()
            while self.seconds < wake_at:
                self._changed.wait()
            self._asleep.remove(wake_at)
            self._running += 1
            self._changed.notify_all()

    def leave(self) -> None:
        with self._changed:
            self._running -= 1
            self._pass()

    def _pass(self) -> None:
        if self._running == 0 and self._asleep:
            self.seconds = max(self.seconds, min(self._asleep))
            self._changed.notify_all()
