"""One reading of one list, page after page, while the list moves: which pages to ask for next. Pure: no I/O here.

A task inserted ahead of the reader repeats a row, a task removed ahead skips one silently, and with several requests
in flight an insertion alone skips rows too. So pages are asked for in batches; if the totals of a batch and of the one
before are not all equal, it is read again from one page earlier (plus the shrinkage), with fewer in flight, finally
one at a time. Pages that can't be right (empty, short, repeated, another number) are read again in the same way. After
`MAX_REREADS` the answer is taken as it is: whether the reading is complete is for the count to say, not the sweep.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

MAX_WIDTH = 4  # requests in flight; more gain nothing at 100 calls a minute and are disturbed more often
MAX_CALLS_PER_PAGE, SPARE_PAGES = 4, 50  # for the list as first met; beyond, it grows faster than it can be read
MAX_CALLS_WITHOUT_TOTAL = 100_000
MAX_REREADS = 3  # of the same stretch before it is taken as it is
MAX_EMPTY_PAGES = 20  # in a row; beyond, the total is wrong


@dataclass(frozen=True)
class PageFacts:
    """What the rules need to know of a response: what was asked, and what came back."""

    page_no: int
    records: int
    total: int | None = None
    echoed_page_no: int | None = None
    echoed_page_size: int | None = None
    digest: int = 0
    is_beyond_limit: bool = False


@dataclass(frozen=True)
class Sweep:
    """The state of a sweep.

    `frontier` is the first page never read; `total` the newest known length of the list, `first_total` the first one.
    `empty_pages` were taken as they were, in a row, although the total says that there is more. `is_done` ends it;
    `hit_ceiling` says that the platform refused a page before the total was reached; `gave_up` that the list grew
    faster than it could be read, or that too many pages were empty.
    """

    page_size: int
    next_page: int = 0
    width: int = 1
    total: int | None = None
    first_total: int | None = None
    frontier: int = 0
    rereads: int = 0
    calls: int = 0
    last_digest: int | None = None
    empty_pages: int = 0
    is_done: bool = False
    hit_ceiling: bool = False
    gave_up: bool = False

    @property
    def pages_left(self) -> int | None:
        """Pages still to ask for if nothing moves, or None while the total is unknown."""
        return None if self.total is None else max(0, -(-self.total // self.page_size) - self.next_page)


def next_pages(sweep: Sweep) -> list[int]:
    """Return the numbers of the pages to ask for now, all in flight at once; empty when the sweep is done."""
    if sweep.is_done:
        return []
    left = sweep.pages_left
    width = sweep.width if left is None else min(sweep.width, max(left, 1))
    return list(range(sweep.next_page, sweep.next_page + width))


def advance(sweep: Sweep, batch: list[PageFacts]) -> Sweep:
    """Take in the responses to `next_pages`, in the order of their page numbers."""
    sweep = replace(sweep, calls=sweep.calls + len(batch))
    totals = [facts.total for facts in batch if facts.total is not None]
    newest_total = totals[-1] if totals else sweep.total
    sweep = replace(sweep, first_total=newest_total if sweep.first_total is None else sweep.first_total)
    before = sweep.total if sweep.total is not None else newest_total
    smaller = _smaller_page_size(sweep, batch[0], newest_total)
    if smaller is not None:
        return _with_page_size(sweep, batch[0], smaller, newest_total)
    has_moved = any(total != before for total in totals)
    is_calm = not has_moved and not any(
        _is_suspicious(sweep, facts, newest_total, digest) for facts, digest in _with_digest_before(sweep, batch)
    )
    if not is_calm and sweep.rereads < MAX_REREADS:
        shrinkage = max(0, (before or 0) - min(totals, default=before or 0))
        back = 1 + -(-shrinkage // sweep.page_size)
        return replace(
            sweep,
            next_page=max(0, batch[0].page_no - back),
            width=max(1, len(batch) // 2) if sweep.rereads == 0 else 1,
            total=newest_total,
            frontier=max(sweep.frontier, batch[-1].page_no + 1),
            rereads=sweep.rereads + 1,
        )
    return _accept(replace(sweep, total=newest_total), batch, is_calm=is_calm)


def _accept(sweep: Sweep, batch: list[PageFacts], *, is_calm: bool) -> Sweep:
    last = batch[-1]
    short = next((facts for facts in batch if 0 < facts.records < _expected(sweep, facts.page_no)), None)
    if short is not None and not is_calm and short.page_no == 0:
        return _with_page_size(sweep, short, short.records, sweep.total)
    next_page = last.page_no + 1
    refused = any(facts.is_beyond_limit for facts in batch)
    is_past_total = sweep.total is not None and next_page * sweep.page_size >= sweep.total
    ended_unannounced = sweep.total is None and (last.records == 0 or last.digest == sweep.last_digest)
    is_empty = not is_calm and not any(facts.records for facts in batch)
    empty_pages = sweep.empty_pages + len(batch) if is_empty else 0
    gave_up = sweep.calls > _max_calls(sweep) or empty_pages >= MAX_EMPTY_PAGES
    moved_on = next_page >= sweep.frontier
    return replace(
        sweep,
        next_page=next_page,
        width=min(MAX_WIDTH, sweep.width * 2) if is_calm else 1,
        frontier=max(sweep.frontier, next_page),
        rereads=0 if moved_on else sweep.rereads,
        last_digest=last.digest,
        empty_pages=empty_pages,
        is_done=refused or is_past_total or ended_unannounced or gave_up,
        hit_ceiling=refused and not (sweep.total is not None and last.page_no * sweep.page_size >= sweep.total),
        gave_up=gave_up and not is_past_total,
    )


def _max_calls(sweep: Sweep) -> int:
    if sweep.first_total is None:
        return MAX_CALLS_WITHOUT_TOTAL
    return MAX_CALLS_PER_PAGE * (-(-sweep.first_total // sweep.page_size) + SPARE_PAGES)


def _is_suspicious(sweep: Sweep, facts: PageFacts, total: int | None, digest_before: int | None) -> bool:
    if facts.is_beyond_limit:
        return total is not None and facts.page_no * sweep.page_size < total
    if facts.echoed_page_no is not None and facts.echoed_page_no != facts.page_no:
        return True
    if facts.records and facts.digest == digest_before:
        return True
    return facts.records < (_expected(replace(sweep, total=total), facts.page_no))


def _expected(sweep: Sweep, page_no: int) -> int:
    """The records that a page of this list must have; at least one where the total is unknown."""
    if sweep.total is None:
        return 1
    return max(0, min(sweep.page_size, sweep.total - page_no * sweep.page_size))


def _with_digest_before(sweep: Sweep, batch: list[PageFacts]) -> list[tuple[PageFacts, int | None]]:
    first = sweep.last_digest if batch[0].page_no >= sweep.frontier else None
    return list(zip(batch, [first, *(facts.digest for facts in batch)], strict=False))


def _smaller_page_size(sweep: Sweep, facts: PageFacts, total: int | None) -> int | None:
    """A server that serves smaller pages than asked for says so in the page size that it echoes."""
    echoed = facts.echoed_page_size
    if (
        echoed is None
        or not 0 < echoed < sweep.page_size
        or facts.records > echoed
        or facts.echoed_page_no not in {None, facts.page_no}
    ):
        return None
    rest = None if total is None else total - facts.page_no * echoed
    return (
        echoed if facts.records == (echoed if rest is None else min(echoed, max(rest, 0))) and facts.records else None
    )


def _with_page_size(sweep: Sweep, facts: PageFacts, page_size: int, total: int | None) -> Sweep:
    """Go on in smaller pages from what is certainly read: the pages before this one, in the old size."""
    next_page = (facts.page_no * sweep.page_size) // page_size if facts.page_no else 1
    is_done = total is not None and next_page * page_size >= total
    return replace(
        sweep,
        page_size=page_size,
        next_page=next_page,
        frontier=next_page,
        width=1,
        rereads=0,
        total=total,
        last_digest=facts.digest,
        is_done=is_done,
    )
