"""Rounds carried out: what changed since the last sync, found in calls that follow the change, not the number of tasks.

What a round reads is decided in `plan`; how a list is read page after page in `sweep`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import msgspec

from pipelines.extract.ledger import Ledger
from pipelines.extract.plan import (
    ALL,
    MAX_ROUNDS,
    STATUSES,
    Knowledge,
    Probes,
    RoundPlan,
    best_page,
    gaps,
    order_of_creation,
    plan_round,
    search_order,
)
from pipelines.extract.reader import CallsSpentError, PageRequest, Reader
from pipelines.extract.sweep import MAX_REREADS, MAX_WIDTH, PageFacts, Sweep, advance
from pipelines.platform.judgement import judge
from pipelines.platform.structures import OperationInfo

CALLS_SPENT = "the calls that its plan allows were spent"


@dataclass
class Scope:
    """What a sync reads: the filters of the settings, in pages of this size, by this reader; and what it found out.

    `unlocated` is what an earlier sync could not locate, later what this one could not; `missed` how many known tasks
    no list of a whole reading showed; `notes` what users should hear.
    """

    reader: Reader
    filters: Mapping[str, str]
    page_size: int
    unlocated: Mapping[str, int] = field(default_factory=dict)
    probes: Probes | None = None
    missed: int = 0
    notes: list[str] = field(default_factory=list)

    @property
    def ledger(self) -> Ledger:
        """The reader's."""
        return self.reader.ledger

    def request(self, of: str, page_no: int) -> PageRequest:
        """A page of the list of this name: `all`, or a status."""
        return PageRequest(of, self.filters_of(of), page_no, self.page_size)

    def filters_of(self, of: str) -> dict[str, str]:
        """The filters of the list of this name."""
        return dict(self.filters) if of == ALL else {**self.filters, "operationStatus": of}

    def allow(self, plan: RoundPlan) -> None:
        """Let the sync make the calls that this plan allows, from its beginning on."""
        self.reader.calls_left = min(self.reader.calls_left, plan.max_calls - self.reader.calls)

    def holds(self, operation_id: str, record: bytes) -> bool:
        """Whether a looked-up record is of this task, and in scope: its filtered fields are the last list record's."""
        if judge(record).operation_id != operation_id:
            return False
        try:
            operation = msgspec.json.decode(record, type=OperationInfo, strict=False)
        except msgspec.DecodeError:
            return True  # broken: goes to quarantine
        known = self.ledger.scope_fields(operation_id) if self.filters else None
        targets = operation.targets
        here = {
            "operationType": operation.operate_type,
            "deviceType": targets and targets.device_type,
            "model": targets and targets.model,
            "manufacturerName": targets and targets.manufacturer_name,
        }
        return known is None or all(here[name] == known[name] for name in self.filters if name in here)


def read_changes(scope: Scope) -> int | None:
    """Rounds until the counts close, three at most; returns the length of the scope's own list after the reading."""
    total: int | None = None
    known_before: Knowledge | None = None
    for _ in range(MAX_ROUNDS):
        try:
            plan = run_round(scope, scope.allow)
        except CallsSpentError:
            scope.notes.append(CALLS_SPENT)
            return closing_total(scope)
        total = closing_total(scope)
        known = scope.ledger.knowledge()
        is_closed = (total is None or total <= known.living) and max(_gaps(scope, plan).values(), default=0) <= 0
        if is_closed or known == known_before:
            break
        known_before = known
    scope.unlocated = still_unknown(scope, plan)
    return total


def run_round(scope: Scope, allow: Callable[[RoundPlan], None] = lambda _: None) -> RoundPlan:
    """Find what changed; `allow` hears the plan before anything but its probes is read.

    Raises:
        CallsSpentError: more calls are needed than are left.
    """
    since = scope.reader.next_response
    scope.reader.reporter.step("reading what changed")
    scope.probes, first_pages = probe(scope)
    plan = plan_round(scope.ledger.knowledge(), scope.probes, scope.page_size, scope.unlocated)
    allow(plan)
    for status in plan.read_whole:
        state = advance(Sweep(scope.page_size), [first_pages[status]])
        if not state.is_done:
            scope.reader.sweep(status, scope.filters_of(status), state)
    _locate(scope, plan, since)
    return plan


def probe(scope: Scope) -> tuple[Probes, dict[str, PageFacts]]:
    """Read the first page of the scope's own list and of each status."""
    names = (ALL, *STATUSES)
    batches = [names[first : first + MAX_WIDTH] for first in range(0, len(names), MAX_WIDTH)]
    answers = dict(
        zip(
            names,
            (each for batch in batches for each in scope.reader.read([scope.request(name, 0) for name in batch])),
            strict=True,
        )
    )
    orders = {name: order_of_creation([met.created_at for met in page.met]) for name, (_, page) in answers.items()}
    probes = Probes(
        totals={name: facts.total for name, (facts, _) in answers.items()},
        newest_first={name: orders[ALL] if facts.records < 2 else orders[name] for name, (facts, _) in answers.items()},
        ignores_status=any(fold(met.status) != name for name in STATUSES for met in answers[name][1].met if met.status),
    )
    return probes, {name: facts for name, (facts, _) in answers.items()}


def closing_total(scope: Scope) -> int | None:
    """The length of the scope's own list now, from the page where new tasks appear; these calls are always allowed."""
    scope.reader.calls_left = max(scope.reader.calls_left, MAX_REREADS)
    probes = scope.probes or Probes({})
    fresh = next(iter(search_order(ALL, probes, scope.page_size)), 0)
    total = None
    for page_no in (fresh, *[0] * (MAX_REREADS - 1)):  # the first page is never beyond the platform's limit
        [(facts, _)] = scope.reader.read([scope.request(ALL, page_no)])
        total = facts.total
        if total is not None or probes.totals.get(ALL) is None:
            break
    return total


def fold(status: str) -> str:
    """A record's status in one spelling."""
    text = status.strip().lower()
    return "failed" if text == "fail" else text


def still_unknown(scope: Scope, plan: RoundPlan) -> dict[str, int]:
    """Tasks that the lists of this plan hold and that it could not locate, by list."""
    return {name: gap for name, gap in _gaps(scope, plan, {}).items() if gap > 0}


def _gaps(scope: Scope, plan: RoundPlan, unlocated: Mapping[str, int] | None = None) -> dict[str, int]:
    """Tasks that the plan's probes counted and that are unknown even now, by list; negative where more are known."""
    known = scope.ledger.knowledge()
    unlocated = scope.unlocated if unlocated is None else unlocated
    return gaps(known, plan.probes, is_unfiltered=plan.is_unfiltered, unlocated=unlocated)


def _locate(scope: Scope, plan: RoundPlan, since: int) -> None:
    """Find the tasks that left the active lists, then those that the lengths of the other lists say are unknown."""
    read = {(name, 0) for name in (ALL, *STATUSES)}
    lost = set(scope.ledger.missed_active(since))
    newer = scope.ledger.newer_than(sorted(lost)) if lost else {}
    while lost:
        shares = {ALL: 1.0} if plan.is_unfiltered else _shares(_gaps(scope, plan))
        place = best_page([newer[each] for each in lost], plan.probes, shares, scope.page_size, read)
        if place is None:
            break
        lost -= _read(scope, place, read)
    scope.reader.look_up(sorted(lost), scope.holds)
    for name in _gaps(scope, plan):
        for page_no in _pages_to_search(scope, plan, name):
            if _gaps(scope, plan)[name] <= 0:
                break
            if (name, page_no) not in read:
                _read(scope, (name, page_no), read)


def _read(scope: Scope, place: tuple[str, int], read: set[tuple[str, int]]) -> set[str]:
    """Read a page; returns the ids on it."""
    read.add(place)
    [(_, page)] = scope.reader.read([scope.request(*place)])
    return {met.operation_id for met in page.met}


def _shares(unknown: Mapping[str, int]) -> dict[str, float]:
    """Where a task that left the active lists may be: in the ended lists, by how many are unknown in each."""
    everything = sum(gap for gap in unknown.values() if gap > 0)
    return {name: gap / everything for name, gap in unknown.items() if gap > 0}


def _pages_to_search(scope: Scope, plan: RoundPlan, name: str) -> list[int]:
    """Pages to look at for unknown tasks; a list in no order only if all of it can be read."""
    pages = search_order(name, plan.probes, scope.page_size)
    is_ordered = plan.probes.newest_first.get(name) is not None
    return pages if is_ordered or len(pages) <= scope.reader.calls_left else []
