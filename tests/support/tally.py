"""How many syncs of a test run earned which grade, and how many of them missed a task; printed when the run ends."""

from collections import Counter
from collections.abc import Iterable


class Tally:
    """Counts by kind of platform, mode and grade."""

    def __init__(self) -> None:
        self.schedules = 0
        self._syncs: Counter[tuple[str, str, str]] = Counter()
        self._missing: Counter[tuple[str, str, str]] = Counter()

    def add(self, kind: str, mode: str, grade: str, *, missed: int) -> None:
        """Count a sync that, at its last response, had not met so many tasks that lived then."""
        self._syncs[kind, mode, grade] += 1
        self._missing[kind, mode, grade] += missed > 0

    def counts(self) -> list[object]:
        """All that was counted, for another process to take in."""
        return [self.schedules, *([*key, count, self._missing[key]] for key, count in self._syncs.items())]

    def take_in(self, counts: Iterable[object]) -> None:
        """Add what another process counted."""
        schedules, *rows = counts
        self.schedules += schedules
        for *key, syncs, missing in rows:
            self._syncs[tuple(key)] += syncs
            self._missing[tuple(key)] += missing

    def lines(self) -> list[str]:
        """A line for each kind, mode and grade."""
        return [
            f"{kind} platform, {mode:<11} {grade:<8} {syncs:>8,} syncs, {self._missing[kind, mode, grade]:>7,} of them "
            f"missed a task that lived at their end ({self._missing[kind, mode, grade] / syncs:.2%})"
            for (kind, mode, grade), syncs in sorted(self._syncs.items())
        ]


TALLY = Tally()
