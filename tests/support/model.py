"""A platform in memory that may change between any two calls, and calls served in a drawn order, without threads.

All that happens follows from one seeded `random.Random`, so a schedule that fails does so again. Bodies are JSON and go
through the project's own decoding; what the platform held at each response is kept, to be compared with afterwards.
"""

import random
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import msgspec

from pipelines.platform.client import LIST_PATH, Reply
from pipelines.platform.outcomes import Outcome
from pipelines.platform.structures import Page, decode_page, decode_record

T0 = datetime(2026, 3, 4, 12, 0, 0, tzinfo=UTC)
ACTIVE, ENDED, SIXTH = ("wait", "processing"), ("success", "failed", "stop"), "suspended"
OPERATION_TYPES = ("firmware_upgrade", "software_upgrade")
SECONDS_PER_CALL = 1

Order = Literal["newest", "oldest", "shuffled", "unstable"]
Move = Literal["insert", "remove", "swap", "progress", "retry", "change"]


class ConnectionLostError(Exception):
    """The platform went away in the middle of a sync."""


@dataclass
class Task:
    """A task as the platform holds it; its counters change with every move, so that a stale copy shows."""

    operation_id: str
    created_at: datetime
    operation_type: str
    status: str
    is_broken: bool = False
    changes: int = 0

    def record(self) -> dict[str, Any]:
        """The record that the platform serves; one that is broken has an id and no time of creation."""
        return {
            "operationId": self.operation_id,
            "createTime": None if self.is_broken else f"{self.created_at:%Y%m%dT%H%M%SZ}",
            "operateType": self.operation_type,
            "targets": {"deviceType": "WaterMeter", "model": "NB-1", "manufacturerName": "Acme", "devices": ["d-1"]},
            "status": self.status,
            "staResult": {"total": self.changes + 1, "success": self.changes, "fail": 1},
        }


@dataclass(frozen=True)
class Habits:
    """How a platform lists its tasks, and what it does of its own accord.

    `last_page_no`: pages beyond it are refused. `late`: the share of new tasks that bear an earlier time than others
    that were there before them. `sixth`: the share of tasks in a status that the documents don't know.
    """

    order: Order = "newest"
    ignores_status: bool = False
    last_page_no: int | None = None
    late: float = 0.0
    sixth: float = 0.0
    broken: float = 0.0


@dataclass(frozen=True)
class Moment:
    """A response: what was asked for, what it said, and the ids that were in scope on the platform when it did."""

    filters: Mapping[str, str] | None
    page_no: int | None
    total: int | None
    statuses: tuple[str, ...]
    living: frozenset[str]


@dataclass
class Quota:
    """As much of the quota as a sync uses."""

    calls: int = 0

    def seconds_for(self, calls: int) -> float:
        """No wait."""
        return 0.0


@dataclass
class ModelPlatform:
    """The platform behind the client's interface: drifts before each call at `rate` moves a call, unless it is quiet.

    `moments` are the responses since `watch`, in the order in which they were given; `dies_after` that many calls it
    is gone.
    """

    rng: random.Random
    habits: Habits
    scope: Mapping[str, str] = field(default_factory=dict)
    rate: float = 0.0
    moves: tuple[Move, ...] = ("insert", "remove", "swap", "progress", "retry", "change")
    tasks: dict[str, Task] = field(default_factory=dict)
    quota: Quota = field(default_factory=Quota)
    moments: list[Moment] = field(default_factory=list)
    dies_after: int | None = None
    seconds: int = 0
    _bodies: dict[str, bytes] = field(default_factory=dict)
    _ids: int = 0

    def fill(self, count: int) -> None:
        """Let it have run for a while: tasks of the last hour, most of them ended."""
        for _ in range(count):
            task = self.insert()
            task.created_at = T0 - timedelta(seconds=self.rng.randrange(3600))
            task.status = SIXTH if self.rng.random() < self.habits.sixth else self.rng.choice((*ENDED, *ENDED, *ACTIVE))
        self._bodies.clear()

    def watch(self, *, rate: float, dies_after: int | None = None) -> None:
        """Begin to note the responses, moving at this rate from now on."""
        self.rate, self.dies_after = rate, dies_after
        self.moments = []
        self.quota.calls = 0

    def list_page(self, filters: Mapping[str, str], page_no: int, page_size: int) -> Reply:
        """A page of the list."""
        observed_at = self._next_call()
        path = f"{LIST_PATH}?{'&'.join(f'{name}={value}' for name, value in filters.items())}&pageNo={page_no}"
        listed = self._listed(filters)
        if self.habits.last_page_no is not None and page_no > self.habits.last_page_no:
            self._note(filters, page_no, None, [])
            body = b'{"error_code": "123029", "error_desc": "The page number is too large."}'
            return Reply(path, Outcome.BEYOND_LIMIT, observed_at, body, Page([], None, None, None))
        shown = listed[page_no * page_size : (page_no + 1) * page_size]
        head = msgspec.json.encode({"totalCount": len(listed), "pageNo": page_no, "pageSize": page_size})
        body = head[:-1] + b',"data":[' + b",".join(map(self._body, shown)) + b"]}"
        self._note(filters, page_no, len(listed), shown)
        return Reply(path, Outcome.OK, observed_at, body, decode_page(body))

    def get_operation(self, operation_id: str) -> Reply:
        """A task by id, whatever the scope."""
        observed_at = self._next_call()
        path, task = f"{LIST_PATH}/{operation_id}", self.tasks.get(operation_id)
        self._note(None, None, None, [])
        if task is None:
            body = b'{"error_code": "123009", "error_desc": "The operation does not exist."}'
            return Reply(path, Outcome.GONE, observed_at, body, Page([], None, None, None))
        body = self._body(task)
        return Reply(path, Outcome.OK, observed_at, body, decode_record(body))

    def in_scope(self) -> dict[str, Task]:
        """The living tasks that the scope's own list holds."""
        wanted = self.scope.get("operationType")
        return {name: task for name, task in self.tasks.items() if wanted in {None, task.operation_type}}

    def insert(self) -> Task:
        """A new task, under an id that says nothing of its age."""
        self._ids += 1
        earlier = self.rng.randrange(7200) if self.rng.random() < self.habits.late else 0
        task = Task(
            f"{self.rng.randrange(1000):03d}-{self._ids}",
            T0 + timedelta(seconds=self.seconds - earlier),
            self.rng.choice(OPERATION_TYPES),
            SIXTH if self.rng.random() < self.habits.sixth else self.rng.choice((*ACTIVE, *ACTIVE, *ENDED)),
            self.rng.random() < self.habits.broken,
        )
        self.tasks[task.operation_id] = task
        return task

    def remove(self, task: Task | None = None) -> None:
        """A task goes, for good."""
        gone = task or self._any(lambda _: True)
        if gone is not None:
            del self.tasks[gone.operation_id]

    def move(self, kind: Move | None = None) -> None:
        """One change, of this kind or of those that this platform makes."""
        kind = kind or self.rng.choice(self.moves)
        if kind in {"insert", "swap"} and len(self.tasks) < 90:
            self.insert()
        if kind in {"remove", "swap"}:
            self.remove()
        if kind == "progress":
            self._change(self._any(lambda task: task.status in ACTIVE), self.rng.choice(("processing", *ENDED)))
        if kind == "retry":
            self._change(self._any(lambda task: task.status == "failed"), "processing")
        if (
            kind == "change"
        ):  # a task that ended in one way goes on to another between two calls, or leaves it as it was
            statuses = (*ENDED, *((SIXTH,) if self.habits.sixth else ()))
            self._change(self._any(lambda task: task.status not in ACTIVE), self.rng.choice(statuses))

    def _change(self, task: Task | None, status: str) -> None:
        if task is not None:
            task.status = status
            task.changes += 1
            self._bodies.pop(task.operation_id, None)

    def _any(self, is_wanted: Callable[[Task], bool]) -> Task | None:
        wanted = [task for task in self.tasks.values() if is_wanted(task)]
        return self.rng.choice(wanted) if wanted else None

    def _next_call(self) -> datetime:
        self.quota.calls += 1
        if self.dies_after is not None and self.quota.calls > self.dies_after:
            raise ConnectionLostError
        while self.rng.random() < self.rate / (1 + self.rate):
            self.move()
        self.seconds += SECONDS_PER_CALL
        return T0 + timedelta(seconds=self.seconds)

    def _listed(self, filters: Mapping[str, str]) -> list[Task]:
        status = None if self.habits.ignores_status else filters.get("operationStatus")
        wanted = filters.get("operationType")
        listed = [
            task
            for task in self.tasks.values()
            if status in {None, task.status} and wanted in {None, task.operation_type}
        ]
        if self.habits.order == "unstable":
            self.rng.shuffle(listed)
        elif self.habits.order == "shuffled":
            listed.sort(key=lambda task: task.operation_id)
        else:
            listed.sort(key=lambda task: (task.created_at, task.operation_id), reverse=self.habits.order == "newest")
        return listed

    def _body(self, task: Task) -> bytes:
        if task.operation_id not in self._bodies:
            self._bodies[task.operation_id] = msgspec.json.encode(task.record())
        return self._bodies[task.operation_id]

    def _note(
        self, filters: Mapping[str, str] | None, page_no: int | None, total: int | None, shown: list[Task]
    ) -> None:
        statuses = tuple(task.status for task in shown)
        self.moments.append(Moment(filters, page_no, total, statuses, frozenset(self.in_scope())))


class Lane(Executor):
    """Calls in flight, served one by one in a drawn order: at once, or when one of their results is asked for."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._in_flight: list[_Call] = []

    def submit(self, call: Callable[..., Any], /, *arguments: Any, **named: Any) -> Future[Any]:
        """Send a call."""
        future = _Call(self, lambda: call(*arguments, **named))
        self._in_flight.append(future)
        if self._rng.random() < 0.3:
            self.serve()
        return future

    def serve(self) -> None:
        """Answer one of the calls in flight."""
        call = self._in_flight.pop(self._rng.randrange(len(self._in_flight)))
        try:
            answer = call.make()
        except ConnectionLostError as error:
            call.set_exception(error)
        else:
            call.set_result(answer)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Forget what is in flight."""
        self._in_flight.clear()


class _Call(Future[Any]):
    def __init__(self, lane: Lane, make: Callable[[], Any]) -> None:
        super().__init__()
        self._lane, self.make = lane, make

    def result(self, timeout: float | None = None) -> Any:
        self._await()
        return super().result(timeout)

    def exception(self, timeout: float | None = None) -> BaseException | None:
        self._await()
        return super().exception(timeout)

    def _await(self) -> None:
        while not self.done():
            self._lane.serve()
