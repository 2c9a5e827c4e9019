"""Who called how often: the throttle over a sliding minute, and the statistics that tests and demos read."""

from collections import Counter, deque
from collections.abc import Callable

from simulator.dials import Dials
from simulator.messages import PlatformError

WINDOW_SECONDS = 60.0


class SlidingWindow:
    """Instants of the last minute: those less than 60 s ago."""

    def __init__(self) -> None:
        self._instants: deque[float] = deque()

    def count(self, now: float) -> int:
        """How many are in the window that ends now."""
        while self._instants and now - self._instants[0] >= WINDOW_SECONDS:
            self._instants.popleft()
        return len(self._instants)

    def add(self, now: float) -> int:
        """One more; returns how many that makes."""
        self._instants.append(now)
        return self.count(now)


class Traffic:
    """Every call is counted when it is received. `clock` is in real seconds."""

    def __init__(self, dials: Dials, clock: Callable[[], float]) -> None:
        self._dials, self._clock = dials, clock
        self._received, self._accepted = SlidingWindow(), SlidingWindow()
        self.calls: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()
        self.most_in_a_minute = 0
        self.throttled = 0

    def receive(self, kind: str) -> None:
        """Count a call."""
        self.calls[kind] += 1
        self.most_in_a_minute = max(self.most_in_a_minute, self._received.add(self._clock()))

    def throttle(self, kind: str) -> None:
        """Raises 1010009 for a call too many; such a call takes no slot."""
        is_free = kind in ("login", "refresh") and not self._dials.throttle_logins
        if not self._dials.throttle or is_free:
            return
        now = self._clock()
        if self._accepted.count(now) >= self._dials.throttle:
            self.throttled += 1
            raise PlatformError("1010009")
        self._accepted.add(now)
