"""The fleet in its time: settles before each look, drifts between list calls, and takes interventions.

Interventions are journalled, so that a fleet can be built again as it was: from its start, then one after the other.
"""

from collections.abc import Iterator, Sequence
from typing import Annotated

import msgspec
import numpy as np

from simulator.clock import SimulatedTime
from simulator.devices import Devices
from simulator.dials import Dials
from simulator.draws import Integers
from simulator.fleet import Fleet
from simulator.records import Records
from simulator.search import Search
from simulator.timeline import Status

_DRIFT_SALT = 41


class Drift(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Mean numbers of events between two list calls."""

    insertions: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    removals: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    changes: Annotated[float, msgspec.Meta(ge=0)] = 0.0


class Intervention(msgspec.Struct, frozen=True):
    """What the fleet would not have done by itself: create (a count), or remove, retry, hasten (positions)."""

    kind: str
    instant: float
    count: int = 0
    positions: list[int] = []


class World:
    """Fleet, records and search at one simulated time."""

    def __init__(self, dials: Dials, time: SimulatedTime, started: float, journal: Sequence[Intervention] = ()) -> None:
        self.time = time
        self.drift = Drift(dials.insertions, dials.removals, dials.changes)
        self.journal: list[Intervention] = []
        self._seed, self._list_calls = dials.seed, 0
        self.fleet = Fleet(dials, started)
        devices = Devices(dials.seed)
        self.records = Records(self.fleet, devices)
        self.search = Search(self.fleet, devices)
        for intervention in journal:
            self.records.forget(self.fleet.settle(intervention.instant))
            self._intervene(intervention)

    def settle(self) -> float:
        """Let everything happen that is due; returns the simulated instant."""
        now = self.time.now()
        self.records.forget(self.fleet.settle(now))
        return now

    def _intervene(self, intervention: Intervention) -> Integers:
        self.journal.append(intervention)
        now, positions = intervention.instant, np.array(intervention.positions, dtype=np.int64)
        match intervention.kind:
            case "create":
                changed = self.fleet.create(intervention.count, now)
            case "remove":
                changed = self.fleet.remove(positions, now)
            case "retry":
                changed = self.fleet.retry(positions, now)
            case _:
                changed = self.fleet.hasten(positions, now)
        self.records.forget(changed)
        return changed

    def create(self, count: int) -> list[str]:
        """Create tasks now; returns their ids."""
        return self.fleet.operation_ids(self._intervene(Intervention("create", self.settle(), count=count)))

    def remove(self, operation_ids: Sequence[str]) -> list[str]:
        """Let tasks vanish now; returns the ids of those that did."""
        return self._intervene_by_id("remove", operation_ids)

    def retry(self, operation_ids: Sequence[str]) -> list[str]:
        """Retry failed tasks now; returns the ids of those that are."""
        return self._intervene_by_id("retry", operation_ids)

    def hasten(self, operation_ids: Sequence[str]) -> list[str]:
        """Let tasks do now what they would do next; returns their ids."""
        return self._intervene_by_id("hasten", operation_ids)

    def _intervene_by_id(self, kind: str, operation_ids: Sequence[str]) -> list[str]:
        now = self.settle()
        positions = self.fleet.find_all(operation_ids).tolist()
        return self.fleet.operation_ids(self._intervene(Intervention(kind, now, positions=positions)))

    def drift_before_list(self) -> None:
        """What happens between two list calls. The draws depend on the seed and the number of the call."""
        self._list_calls += 1
        if self._list_calls == 1 or self.drift == Drift():
            return
        now = self.settle()
        chance = np.random.default_rng([self._seed, _DRIFT_SALT, self._list_calls])
        wanted = chance.poisson([self.drift.insertions, self.drift.removals, self.drift.changes]).tolist()
        status = self.fleet.status
        living = np.flatnonzero(status != Status.GONE)
        open_ended = np.flatnonzero((status == Status.WAIT) | (status == Status.PROCESSING) | (status == Status.FAILED))
        changing = chance.choice(open_ended, min(wanted[2], len(open_ended)), replace=False)
        vanishing = chance.choice(living, min(wanted[1], len(living)), replace=False)
        for kind, positions in (("hasten", changing), ("remove", vanishing)):
            if len(positions):
                self._intervene(Intervention(kind, now, positions=sorted(positions.tolist())))
        if wanted[0]:
            self._intervene(Intervention("create", now, count=wanted[0]))

    def operations(self) -> Iterator[bytes]:
        """Every living task as it is served now, oldest first."""
        return self.records.all(self.settle())
