"""What a round has to read: from what is known and what the count probes said to the calls to make. Pure: no I/O here.

A round finds what changed. It probes the length of the scope's own list and of the list of each status; reads the
lists of waiting and processing tasks whole; and locates the tasks that left these lists, and those that the lengths of
the ended lists say are unknown: by the page where they must lie, if it shows more than one of them, else by id.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

ALL = "all"  # the scope's own list, without a status
ACTIVE = ("wait", "processing")
ENDED = ("success", "failed", "stop")
STATUSES = (*ACTIVE, *ENDED)

MAX_ROUNDS = 3
PROBES = 1 + len(STATUSES)
MAX_LOCATING_CALLS = 200  # two minutes of the default quota; what they don't find waits for the next full sync
WORTH_A_PAGE = 1.2  # tasks that a page must be expected to show: a look-up finds one, for certain
MAX_VANISHED_SEARCHES = 10  # for each list; more wait for the next full sync
MIN_REMOVALS, MAX_REMOVED_SHARE = 10, 0.01
CLOSING_DEPTHS = (1, 2, 4, 8)  # pages read again from either end where the count doesn't close: 30 calls at most


@dataclass(frozen=True)
class Knowledge:
    """Living tasks by status; the status is empty where a record does not say."""

    by_status: Mapping[str, int] = field(default_factory=dict)

    @property
    def living(self) -> int:
        """All of them."""
        return sum(self.by_status.values())


@dataclass(frozen=True)
class Probes:
    """First pages: the length of each list (None where the platform does not say), and whether they are what was asked.

    `newest_first` says for each list in which order of creation its first page came; None if in neither.
    """

    totals: Mapping[str, int | None]
    newest_first: Mapping[str, bool | None] = field(default_factory=dict)
    ignores_status: bool = False


@dataclass(frozen=True)
class RoundPlan:
    """The calls of a round: lists read whole, and how many tasks are unknown in each of the others.

    `is_unfiltered`: the lists by status don't add up to the scope's own list, which is then read in their place.
    """

    page_size: int
    read_whole: Mapping[str, int]
    gaps: Mapping[str, int]
    probes: Probes
    is_unfiltered: bool

    @property
    def active_pages(self) -> int:
        """Pages of the lists read whole, their first ones (the probes) included."""
        return sum(_pages(total, self.page_size) for total in self.read_whole.values())

    @property
    def expected_calls(self) -> int:
        """Calls of one round if each task to locate takes a call, and the closing probe."""
        return self.calls_without_locating + min(self._to_locate, MAX_LOCATING_CALLS)

    @property
    def calls_without_locating(self) -> int:
        """Calls of a round that finds nothing to locate, and the closing probe."""
        return PROBES + self._more_active_pages + 1

    @property
    def max_calls(self) -> int:
        """What an incremental sync may take, retries of single calls and logins apart."""
        return MAX_ROUNDS * (PROBES + 2 * self.active_pages + 1) + MAX_LOCATING_CALLS

    @property
    def _more_active_pages(self) -> int:
        return sum(max(0, _pages(total, self.page_size) - 1) for total in self.read_whole.values())

    @property
    def _to_locate(self) -> int:
        return sum(gap for gap in self.gaps.values() if gap > 0)

    def lines(self) -> list[str]:
        """The plan in words."""
        lines = [f"{PROBES} count probes, each of them a first page"]
        lines += [
            f"{status}: {total:,} tasks, read whole: {_pages(total, self.page_size):,} pages"
            for status, total in self.read_whole.items()
        ]
        for name, gap in self.gaps.items():
            there = self.probes.totals.get(name)
            if gap > 0:
                lines.append(f"{name}: {there:,} tasks, {gap:,} of them to locate, by page or by id")
            elif gap < 0:
                lines.append(f"{name}: {there:,} tasks, {-gap:,} fewer there than here")
        if self.is_unfiltered:
            lines.append("the lists by status don't add up to the whole: the whole list is read in their place")
        return lines


def plan_round(
    knowledge: Knowledge, probes: Probes, page_size: int, unlocated: Mapping[str, int] | None = None
) -> RoundPlan:
    """Plan a round. `unlocated` are tasks that an earlier sync could not locate: they wait for the next full one."""
    total = probes.totals.get(ALL)
    parts = [probes.totals.get(status) for status in STATUSES]
    other = sum(count for status, count in knowledge.by_status.items() if status not in STATUSES)
    adds_up = total is None or any(part is None for part in parts) or total == sum(filter(None, parts)) + other
    is_unfiltered = probes.ignores_status or not adds_up
    read_whole = {} if probes.ignores_status else {status: probes.totals.get(status) or 0 for status in ACTIVE}
    return RoundPlan(
        page_size,
        read_whole,
        gaps(knowledge, probes, is_unfiltered=is_unfiltered, unlocated=unlocated),
        probes,
        is_unfiltered,
    )


def gaps(
    knowledge: Knowledge, probes: Probes, *, is_unfiltered: bool, unlocated: Mapping[str, int] | None = None
) -> dict[str, int]:
    """Tasks there and not known here, for each list that is not read whole; less than 0 where more are known."""
    lists = (ALL,) if is_unfiltered else ENDED
    found = {}
    for name in lists:
        there = probes.totals.get(name)
        if there is not None:
            here = knowledge.living if name == ALL else knowledge.by_status.get(name, 0)
            gap = there - here
            found[name] = max(0, gap - (unlocated or {}).get(name, 0)) if gap > 0 else gap
    return found


def expected_full_calls(plan: RoundPlan, rows: int, *, is_first: bool) -> int:
    """What a full sync takes if nothing moves: a sweep over so many rows, and a round before and after it."""
    before = 0 if is_first else plan.expected_calls
    return before + _pages(rows, plan.page_size) + plan.calls_without_locating


def removable(living: int) -> int:
    """How many tasks may be found gone in one sync: more look like a fault of the list, and none is believed."""
    return max(MIN_REMOVALS, math.floor(living * MAX_REMOVED_SHARE))


def full_sync_max_calls(total: int, page_size: int, look_ups: int) -> int:
    """What a full sync may take: each page a few times where the list moves, two rounds, the look-ups."""
    return 10 * (_pages(total, page_size) + 50) + look_ups


def best_page(
    lost: Iterable[Mapping[str, int]],
    probes: Probes,
    shares: Mapping[str, float],
    page_size: int,
    exclude: set[tuple[str, int]],
) -> tuple[str, int] | None:
    """The list and page that should show most of the lost tasks, if it is worth a call; else look them up by id.

    Each lost task comes as the number of known tasks, by status, that were created after it; `shares` say how likely
    it is in each list.
    """
    expected: dict[tuple[str, int], float] = {}
    for newer in lost:
        for name, share in shares.items():
            page_no = _page_of(name, newer, probes, page_size)
            if page_no is not None and (name, page_no) not in exclude:
                expected[name, page_no] = expected.get((name, page_no), 0.0) + share
    best = max(expected, key=lambda place: (expected[place], place), default=None)
    return best if best is not None and expected[best] >= WORTH_A_PAGE else None


def search_order(name: str, probes: Probes, page_size: int) -> list[int]:
    """Pages of a list in the order in which an unknown task is looked for: from the end where new ones appear."""
    pages = list(range(_pages(probes.totals.get(name) or 0, page_size)))
    return pages[::-1] if probes.newest_first.get(name) is False else pages


def order_of_creation(created: Iterable[str | None]) -> bool | None:
    """Whether creation times come newest first (True), oldest first (False), or neither (None)."""
    times = [time for time in created if time]
    if len(set(times)) < 2:
        return None
    return True if times == sorted(times, reverse=True) else False if times == sorted(times) else None


def _page_of(name: str, newer: Mapping[str, int], probes: Probes, page_size: int) -> int | None:
    total, newest_first = probes.totals.get(name), probes.newest_first.get(name)
    if not total or newest_first is None:
        return None
    place = sum(newer.values()) if name == ALL else newer.get(name, 0)
    place = min(place, total - 1)
    return (place if newest_first else total - 1 - place) // page_size


def _pages(total: int, page_size: int) -> int:
    return -(-total // page_size)
