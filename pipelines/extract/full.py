"""Everything read: a round, a sweep over the scope's own list, by id what it did not meet, a closing round."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from pipelines.extract.past import Reading
from pipelines.extract.plan import ALL, CLOSING_DEPTHS, STATUSES, full_sync_max_calls, removable
from pipelines.extract.reader import CallsSpentError
from pipelines.extract.rounds import CALLS_SPENT, closing_total, run_round, still_unknown
from pipelines.extract.scope import Scope
from pipelines.extract.sweep import Sweep

OPERATION_TYPES = ("firmware_upgrade", "software_upgrade")


def read_everything(
    scope: Scope,
    choose_reading: Callable[[], Reading],
    after_first_page: Callable[[Sweep], None],
    *,
    is_first: bool,
    accept_removals: bool,
) -> tuple[int | None, Reading]:
    """Read the scope's own list whole; returns its length after the reading, and which reading this completes.

    That is chosen when the platform has answered, if anything was known before.
    """
    page_size, scope.unlocated = scope.page_size, {}
    if scope.ledger.knowledge().living:
        if is_first:  # most tasks are unknown: to look for them would read the lists that the sweep is about to read
            scope.reader.read([scope.request(ALL, 0)])
        else:
            _find_changes(scope)
    reading = choose_reading()
    scope.ledger.begin_whole_reading(reading)
    try:

        def after_first_batch(state: Sweep) -> None:
            _allow(scope, state.total, accept_removals=accept_removals)
            after_first_page(state)

        sweep = scope.reader.sweep(
            ALL, scope.filters, reading.sweep(page_size), after_first_batch=after_first_batch, keeps_place=True
        )
        page_size = sweep.page_size
        if sweep.hit_ceiling:
            scope.notes.append(f"the platform refused pages beyond {sweep.next_page}; read by status instead")
            _read_by_parts(scope)
        if sweep.gave_up:
            scope.notes.append(
                f"{sweep.empty_pages} pages in a row were empty though there should be more tasks"
                if sweep.empty_pages
                else "the list grew faster than it could be read"
            )
        _look_up_missed(scope, reading.first_response, accept_removals=accept_removals)
        scope.unlocated = still_unknown(scope, run_round(scope))
    except CallsSpentError:
        scope.notes.append(CALLS_SPENT)
    return _close(scope, page_size), reading


def _find_changes(scope: Scope) -> None:
    """A round within its own plan; what it can't locate the sweep will meet."""
    with contextlib.suppress(CallsSpentError):
        run_round(scope, scope.allow)
    scope.reader.calls_left = float("inf")


def _allow(scope: Scope, total: int | None, *, accept_removals: bool) -> None:
    """The calls that the sync may make, once it is known how long the list is."""
    if total is not None and scope.reader.calls_left == float("inf"):
        known = scope.ledger.knowledge().living
        look_ups = known if accept_removals else removable(known) + 1
        scope.reader.calls_left = full_sync_max_calls(total, scope.page_size, look_ups) - scope.reader.calls


def _read_by_parts(scope: Scope) -> None:
    """Sweep by status, and by type where that is still too long; notes what stays unread."""
    for status in STATUSES:
        by_status = scope.filters_of(status)
        if not scope.reader.sweep(status, by_status, Sweep(scope.page_size)).hit_ceiling:
            continue
        if "operationType" in scope.filters:
            scope.notes.append(f"{status} tasks beyond the platform's limit stayed unread")
            continue
        for operation_type in OPERATION_TYPES:
            part = {**by_status, "operationType": operation_type}
            if scope.reader.sweep(f"{status} {operation_type}", part, Sweep(scope.page_size)).hit_ceiling:
                scope.notes.append(
                    f"{operation_type} tasks in status {status} beyond the platform's limit stayed unread"
                )


def _look_up_missed(scope: Scope, first_response: int, *, accept_removals: bool) -> None:
    """Look up the known tasks that no list showed; a few more than may be gone at once are enough to know."""
    limit = None if accept_removals else removable(scope.ledger.knowledge().living) + 1
    missed, ids = scope.ledger.not_met(first_response, limit)
    scope.missed = missed + len(scope.ledger.gone())
    if ids:
        scope.reader.reporter.step("looking up tasks that no list showed")
        scope.look_up(ids)


def _close(scope: Scope, page_size: int) -> int | None:
    """Count; where more are there than are known, read both ends of the list again, deeper each time."""
    total = closing_total(scope)
    done = {0}
    for depth in CLOSING_DEPTHS:
        if total is None or total <= scope.ledger.knowledge().living:
            break
        last = -(-total // page_size)
        pages = {*range(min(depth, last)), *range(max(0, last - depth), last)} - done
        done |= pages
        for page_no in sorted(pages, reverse=True):
            scope.reader.calls_left = max(scope.reader.calls_left, 1)
            [(facts, _)] = scope.reader.read([scope.request(ALL, page_no)])
            total = facts.total if facts.total is not None else total
    return total
