"""Tasks that are known and gone, found in a list that is ordered by creation without reading it whole.

A page tells how many tasks of its list are older than one on it. Where fewer are there than are known, one that is gone
is among them; halving the list finds the two pages between which it must have been, in about log2(pages) calls. What
should be there and is on neither of them is looked up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pipelines.extract.plan import ALL, MAX_VANISHED_SEARCHES, RoundPlan
from pipelines.extract.scope import Scope


@dataclass(frozen=True)
class _Mark:
    """A task on a page: when it was created, and how many tasks of its list are not newer than it."""

    created_at: str
    not_newer: int


@dataclass
class _OrderedList:
    """A list by age: page 0 here is the one with the newest tasks."""

    scope: Scope
    name: str
    total: int
    newest_first: bool
    marks: dict[int, _Mark | None] = field(default_factory=dict)

    @property
    def pages(self) -> int:
        return -(-self.total // self.scope.page_size)

    def missing(self, page: int) -> int | None:
        """How many known tasks not newer than the mark of this page are not there; None if it has no mark."""
        if page not in self.marks:
            self.marks[page] = self._read(page)
        mark = self.marks[page]
        if mark is None:
            return None
        return self.scope.ledger.count_not_newer(self._status, mark.created_at) - mark.not_newer

    def suspects(self, page: int, since: int) -> list[str]:
        """Known tasks between the marks of this page and of the next older one that no response since has met."""
        newest, oldest = self.marks.get(page), self.marks.get(page + 1)
        after, until = (mark.created_at if mark else None for mark in (oldest, newest))
        return self.scope.ledger.not_met_between(self._status, after, until, since)

    @property
    def _status(self) -> str | None:
        return None if self.name == ALL else self.name

    def _read(self, page: int) -> _Mark | None:
        """The first task on a page that was not created in the same second as the one before it in the list."""
        page_no = page if self.newest_first else self.pages - 1 - page
        [(facts, stored)] = self.scope.reader.read([self.scope.request(self.name, page_no)])
        times = [met.created_at for met in stored.met]
        for index in range(1, len(times)):
            before, after = times[index - 1], times[index]
            if before and after and before != after and facts.total is not None:
                row = page_no * self.scope.page_size + index
                if self.newest_first:
                    return _Mark(after, facts.total - row)
                return _Mark(before, row)
        return None


def find_vanished(scope: Scope, plan: RoundPlan, gaps: Mapping[str, int]) -> None:
    """Look up tasks that the lengths of lists say are gone; the ledger learns which are.

    `gaps` are less than 0 for lists with fewer tasks than are known.

    Raises:
        CallsSpentError: more calls are needed than are left.
    """
    since = scope.reader.next_response
    for name, gap in gaps.items():
        newest_first, total = plan.probes.newest_first.get(name), plan.probes.totals.get(name)
        if gap >= 0 or -gap > MAX_VANISHED_SEARCHES or newest_first is None or total is None:
            continue
        ordered = _OrderedList(scope, name, total, newest_first)
        for _ in range(-gap):
            if not _find_one(ordered, since):
                break


def _find_one(ordered: _OrderedList, since: int) -> bool:
    """Find the oldest task that is gone from a list; whether one was found."""
    low, high = -1, ordered.pages  # something is missing from the mark of `low` on, nothing from that of `high` on
    while high - low > 1:
        middle = (low + high) // 2
        missing = ordered.missing(middle)
        if missing is None:
            return False
        low, high = (middle, high) if missing > 0 else (low, middle)
    suspects = ordered.suspects(low, since)
    if not 0 < len(suspects) <= ordered.scope.page_size:
        return False
    gone = len(ordered.scope.ledger.gone())
    ordered.scope.look_up(suspects[:MAX_VANISHED_SEARCHES])
    return len(ordered.scope.ledger.gone()) > gone
