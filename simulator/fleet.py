"""The tasks that exist now, in order of creation. They settle as simulated time goes on.

A row is appended when its task is created, and never moves. Between two changes nothing is computed; a change costs
a pass over two plain arrays (2 ms at a million tasks), so that lists and exact totals stay cheap at any size.
Interventions (create, retry, remove, drift) write into the timelines, which stay the only truth.
"""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from simulator import timeline
from simulator.clock import instant_of
from simulator.dials import Dials
from simulator.draws import Cipher, Floats, Integers, Numbers
from simulator.rhythm import DAY_SECONDS
from simulator.timeline import NEVER, ROW, Rows, Status

_CHUNK = 50_000
_FIRST_EXTRA = 1 << 40  # numbers of tasks that an intervention created
_OPERATION_SALT = 11


class Fleet:
    """All tasks, living and gone, since the first of those that exist at the start."""

    def __init__(self, dials: Dials, now: float) -> None:
        self.dials = dials
        self.version = 0  # grows with every change; what is derived from the fleet is valid for one version
        self.size = 0
        self._rows = np.zeros(max(dials.tasks, 64), dtype=ROW)
        self._status = np.zeros(len(self._rows), dtype=np.uint8)
        self._next_change = np.zeros(len(self._rows))
        self._positions: dict[int, int] = {}
        self._extra = 0
        self._cipher = Cipher(dials.seed, _OPERATION_SALT)
        self._launched_at = now + dials.launch_days * DAY_SECONDS if dials.launch_days else -NEVER
        self._next_number = timeline.numbers_until(dials, now)
        self._first_number = self._next_number
        self._populate(now)
        self._due = self._when_due()

    @property
    def rows(self) -> Rows:
        """The timelines."""
        return self._rows[: self.size]

    @property
    def status(self) -> npt.NDArray[np.uint8]:
        """Where each task stands, as `Status`."""
        return self._status[: self.size]

    def _populate(self, now: float) -> None:
        """All since a fixed instant, or as many as exist at the start, going back over those that have vanished."""
        blocks: list[Rows] = []
        missing = self.dials.tasks
        if self.dials.since:
            self._first_number = timeline.numbers_until(self.dials, instant_of(self.dials.since))
            self._create(range(self._first_number, self._next_number), now)
            missing = 0
        while missing > 0:
            numbers = np.arange(self._first_number - min(missing, _CHUNK), self._first_number, dtype=np.uint64)
            block = self._draw(numbers, timeline.created_at(self.dials, numbers))
            blocks.insert(0, block)
            missing -= int((block["removed"] > now).sum())
            self._first_number -= len(numbers)
        for block in blocks:
            self._append(block, now)
        self._at_start = self.size

    def _append(self, rows: Rows, now: float) -> None:
        end = self.size + len(rows)
        if end > len(self._rows):
            room = max(end, 2 * self.size) - self.size
            self._rows = np.concatenate([self.rows, np.zeros(room, dtype=ROW)])
            self._status = np.concatenate([self.status, np.zeros(room, dtype=np.uint8)])
            self._next_change = np.concatenate([self._next_change[: self.size], np.zeros(room)])
        self._rows[self.size : end] = rows
        positions = slice(self.size, end)
        self.size = end
        self._refresh(positions, now)

    def _refresh(self, positions: slice | Integers, now: float) -> None:
        rows = self._rows[positions]
        self._status[positions] = timeline.moment(self.dials, rows, now).status
        self._next_change[positions] = timeline.next_change(rows, now)

    def _when_due(self) -> float:
        """The next instant at which anything happens."""
        change = float(self._next_change[: self.size].min(initial=NEVER))
        if not self.dials.tasks_per_day:
            return change
        upcoming = timeline.created_at(self.dials, np.array([self._next_number], dtype=np.uint64))
        return min(change, float(upcoming[0]))

    def settle(self, now: float) -> Integers:
        """Let everything happen that is due; returns the positions of the tasks that changed."""
        if now < self._due:
            return np.zeros(0, dtype=np.int64)
        if self.dials.tasks_per_day:
            self._create_due(now)
        changed = np.flatnonzero(self._next_change[: self.size] <= now)
        self._refresh(changed, now)
        self._changed()
        return changed

    def _changed(self) -> None:
        self.version += 1
        self._due = self._when_due()

    def _create_due(self, now: float) -> None:
        until = max(timeline.numbers_until(self.dials, now), self._next_number)
        numbers, size = range(self._next_number, until), self.size
        self._create(numbers, now)
        self._positions.update(zip(numbers, range(size, self.size), strict=True))
        self._next_number = until

    def _draw(self, numbers: Numbers, created: Floats) -> Rows:
        return timeline.draw(self.dials, numbers, created, self._launched_at)

    def _create(self, numbers: range, now: float) -> None:
        """Append tasks that are created in the natural course of things."""
        for start in range(numbers.start, numbers.stop, _CHUNK):
            block = np.arange(start, min(start + _CHUNK, numbers.stop), dtype=np.uint64)
            self._append(self._draw(block, timeline.created_at(self.dials, block)), now)

    def create(self, count: int, now: float) -> Integers:
        """Create tasks now; returns their positions."""
        numbers = np.arange(_FIRST_EXTRA + self._extra, _FIRST_EXTRA + self._extra + count, dtype=np.uint64)
        self._extra += count
        positions = np.arange(self.size, self.size + count)
        self._positions.update(zip(numbers.tolist(), positions.tolist(), strict=True))
        self._append(self._draw(numbers, np.full(count, now)), now)
        self._changed()
        return positions

    def remove(self, positions: Integers, now: float) -> Integers:
        """Let living tasks vanish now; returns the positions of those that did."""
        chosen = positions[self.status[positions] != Status.GONE]
        self._rows["removed"][chosen] = now
        return self._intervened(chosen, now)

    def retry(self, positions: Integers, now: float) -> Integers:
        """Retry failed tasks now; returns the positions of those that are."""
        chosen = positions[self.status[positions] == Status.FAILED]
        rows = self._rows[chosen]
        rows["retries"] += rows["retried"] <= now
        rows["retried"] = now
        rows["ended_again"] = now + timeline.retry_life_seconds(
            self.dials, rows["number"], int(rows["retries"].max(initial=0))
        )
        self._rows[chosen] = rows
        return self._intervened(chosen, now)

    def hasten(self, positions: Integers, now: float) -> Integers:
        """Let tasks start, end, or be retried now; returns the positions of those that do."""
        positions = positions[np.isin(self.status[positions], (Status.WAIT, Status.PROCESSING, Status.FAILED))]
        rows, status = self._rows[positions], self.status[positions]
        rows["started"] = np.where(status == Status.WAIT, now, rows["started"])
        is_processing = status == Status.PROCESSING
        is_again = rows["retried"] <= now
        rows["ended"] = np.where(is_processing & ~is_again, now, rows["ended"])
        rows["ended_again"] = np.where(is_processing & is_again, now, rows["ended_again"])
        self._rows[positions] = rows
        self._intervened(positions, now)
        self.retry(positions[status == Status.FAILED], now)
        return positions

    def _intervened(self, positions: Integers, now: float) -> Integers:
        if len(positions):
            self._refresh(positions, now)
            self._changed()
        return positions

    def operation_ids(self, positions: Integers) -> list[str]:
        """The ids of tasks."""
        numbers: Numbers = self._rows["number"][positions]
        return self._cipher.texts(numbers)

    def find(self, operation_id: str) -> int | None:
        """The position of a task that was ever here, or None."""
        number = self._cipher.decode(operation_id)
        if number is None:
            return None
        offset = number - self._first_number
        return offset if 0 <= offset < self._at_start else self._positions.get(number)

    def find_all(self, operation_ids: Iterable[str]) -> Integers:
        """The positions of the known ones of some ids."""
        found = (self.find(operation_id) for operation_id in operation_ids)
        return np.array(sorted({position for position in found if position is not None}), dtype=np.int64)
