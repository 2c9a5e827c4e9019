"""Where a simulator stood, in a file, so that it goes on after a restart even if its time is not the real time."""

import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from simulator.dials import Dials
from simulator.world import Intervention

_SAME = (
    "seed",
    "tasks",
    "since",
    "tasks_per_day",
    "median_life_hours",
    "devices",
    "retries_per_day",
    "removals_per_day",
    "launch_days",
)


class State(msgspec.Struct, frozen=True):
    """When the fleet began, what simulated time it was at what real time, and every intervention since."""

    started: float
    simulated: float
    real: float
    dials: dict[str, float | str]
    journal: list[Intervention]

    @classmethod
    def of(cls, dials: Dials, started: float, simulated: float, journal: Sequence[Intervention]) -> "State":
        """The state at this real moment."""
        return cls(started, simulated, time.time(), _fingerprint(dials), list(journal))

    def resumed(self, speed: float) -> float:
        """The simulated instant now: time goes on while nobody serves."""
        return self.simulated + max(0.0, time.time() - self.real) * speed

    def save(self, path: Path) -> None:
        """Write the file, whole or not at all."""
        fresh = path.with_name(path.name + ".new")
        fresh.write_bytes(msgspec.json.encode(self))
        fresh.replace(path)


def load(path: Path, dials: Dials) -> State | None:
    """The saved state, None where there is none yet. Raises ValueError if it belongs to another fleet."""
    if not path.exists():
        return None
    state = msgspec.json.decode(path.read_bytes(), type=State)
    # A dial that is younger than the file had its default then.
    if _fingerprint(Dials()) | state.dials != _fingerprint(dials):
        raise ValueError(f"{path} belongs to another fleet ({state.dials}): give the same dials, or another file")
    return state


def _fingerprint(dials: Dials) -> dict[str, float | str]:
    return {name: getattr(dials, name) for name in _SAME}
