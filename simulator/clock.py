"""Simulated time: an anchor, a speed, and jumps. Instants are seconds since 1970 (UTC)."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import formatdate


class SimulatedTime:
    """Goes on at `speed` simulated seconds per second of `clock`, from `start`."""

    def __init__(self, start: float, speed: float, clock: Callable[[], float]) -> None:
        self._start, self._speed, self._clock = start, speed, clock
        self._began = clock()
        self.jumps = 0

    def now(self) -> float:
        """The simulated instant."""
        return self._start + (self._clock() - self._began) * self._speed

    def advance(self, seconds: float) -> float:
        """Jump ahead; returns the new instant."""
        self._start += seconds
        self.jumps += 1
        return self.now()


def start_instant(text: str) -> float:
    """The instant that a dial names; the real time if it names none. Raises ValueError."""
    return instant_of(text) if text else time.time()


def instant_of(text: str) -> float:
    """An ISO 8601 instant; without a zone it is UTC. Raises ValueError."""
    instant = datetime.fromisoformat(text)
    return (instant if instant.tzinfo else instant.replace(tzinfo=UTC)).timestamp()


def http_date(instant: float) -> str:
    """As the `Date` header writes an instant."""
    return formatdate(instant, usegmt=True)


def iso_text(instant: float) -> str:
    """As people read an instant."""
    return datetime.fromtimestamp(instant, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
