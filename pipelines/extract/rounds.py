"""Rounds carried out: what changed since the last sync, found in calls that follow the change, not the number of tasks.

What a round reads is decided in `plan`; how a list is read page after page in `sweep`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import replace

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
from pipelines.extract.reader import CallsSpentError
from pipelines.extract.scope import Scope
from pipelines.extract.sweep import MAX_EMPTY_PAGES, MAX_REREADS, MAX_WIDTH, PageFacts, Sweep, advance
from pipelines.extract.vanished import find_vanished

CALLS_SPENT = "the calls that its plan allows were spent"
NO_ORDER = "tasks are unknown in a list whose order can't be told: the next full sync reads it whole"


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
        total = _explain_missing(scope, plan, total)
        known = scope.ledger.knowledge()
        is_closed = (total is None or total <= known.living) and max(_gaps(scope, plan).values(), default=0) <= 0
        if is_closed or known == known_before:
            break
        known_before = known
    scope.unlocated = still_unknown(scope, plan)
    if any(plan.probes.newest_first.get(name) is None for name in scope.unlocated):
        scope.notes.append(NO_ORDER)
    return total


def _explain_missing(scope: Scope, plan: RoundPlan, total: int | None) -> int | None:
    """Where fewer tasks are there than are known, look for those that are gone; returns the length of the list then.

    What was looked for in vain before is not looked for again.
    """
    missing = scope.ledger.knowledge().living - (total or 0)
    if total is None or missing <= scope.unexplained:
        scope.unexplained = max(0, missing) if total is not None else scope.unexplained
        return total
    with contextlib.suppress(CallsSpentError):
        find_vanished(scope, plan, _gaps(scope, plan))
    total = closing_total(scope)
    scope.unexplained = max(0, scope.ledger.knowledge().living - total) if total is not None else scope.unexplained
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
    return _locate(scope, plan, since)


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
    left, scope.reader.calls_left = scope.reader.calls_left, MAX_REREADS
    probes = scope.probes or Probes({})
    fresh = next(iter(search_order(ALL, probes, scope.page_size)), 0)
    total = None
    for page_no in (fresh, *[0] * (MAX_REREADS - 1)):  # the first page is never beyond the platform's limit
        [(facts, _)] = scope.reader.read([scope.request(ALL, page_no)])
        total = facts.total
        if total is not None or probes.totals.get(ALL) is None:
            break
    scope.reader.calls_left = left
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


def _locate(scope: Scope, plan: RoundPlan, since: int) -> RoundPlan:
    """Find the tasks that left the active lists, then those that the lengths of the other lists say are unknown.

    Returns the plan with the lengths as they were seen last.
    """
    read = {(name, 0) for name in (ALL, *STATUSES)}
    lost = set(scope.ledger.missed_active(since))
    newer = scope.ledger.newer_than(sorted(lost)) if lost else {}
    while lost:
        shares = {ALL: 1.0} if plan.is_unfiltered else _shares(_gaps(scope, plan))
        place = best_page([newer[each] for each in lost], plan.probes, shares, scope.page_size, read)
        if place is None:
            break
        lost -= _read(scope, place, read)
    scope.look_up(sorted(lost))
    for name, gap in _gaps(scope, plan).items():
        if gap > 0:
            plan = _search(scope, plan, name, read)
    return plan


def _search(scope: Scope, plan: RoundPlan, name: str, read: set[tuple[str, int]]) -> RoundPlan:
    """Look for unknown tasks, from the end where new ones appear, while the list is longer than what is known of it.

    That page is read again first: a task that left the list since the probe is no reason to search it.
    """
    empty_pages = 0
    for place, page_no in enumerate(_pages_to_search(scope, plan, name)):
        if place and (name, page_no) in read:
            continue
        [(facts, _)] = scope.reader.read([scope.request(name, page_no)])
        empty_pages = 0 if facts.records else empty_pages + 1
        if facts.total is not None:
            probes = replace(plan.probes, totals={**plan.probes.totals, name: facts.total})
            plan = replace(plan, probes=probes)
        if _gaps(scope, plan)[name] <= 0 or empty_pages == MAX_EMPTY_PAGES:
            break
    return plan


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
