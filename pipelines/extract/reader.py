"""Lists read and stored: the sweep's rules put to work with requests in flight, each response written as it comes.

While one batch is on its way, the one before is judged, compressed and written; what to ask for next needs only the
numbers of the batch before.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self

from pipelines.extract.raw import RawWriter, prepare
from pipelines.extract.sweep import MAX_WIDTH, PageFacts, Sweep, advance, next_pages
from pipelines.platform.client import Client, Reply
from pipelines.platform.outcomes import Outcome
from pipelines.progress import Reporter

REPORT_SECONDS = 0.5


class ListReader:
    """Reads lists of one sync into its raw store. A context manager: its workers end with it."""

    def __init__(self, client: Client, writer: RawWriter, first_response: int, reporter: Reporter) -> None:
        self._client, self._writer, self._reporter = client, writer, reporter
        self._responses = itertools.count(first_response)
        self._workers = ThreadPoolExecutor(MAX_WIDTH, thread_name_prefix="call")
        self._reported_at = -REPORT_SECONDS
        self.first_reply: Reply | None = None
        self.last_reply: Reply | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._workers.shutdown(wait=error is None, cancel_futures=True)

    def sweep(
        self,
        filters: Mapping[str, str],
        page_size: int,
        what: str,
        *,
        after_first_page: Callable[[Sweep], None] = lambda _: None,
    ) -> Sweep:
        """Read a whole list; returns the final state, whose `total` is what the platform last said."""
        self._reporter.step(f"reading {what}")
        state = Sweep(page_size)
        batch = self._ask(filters, state)
        is_first = True
        while batch:
            replies = [future.result() for future in batch]
            state = advance(
                state, [_facts(reply, page_no) for (reply, _), page_no in zip(replies, next_pages(state), strict=True)]
            )
            if is_first:
                after_first_page(state)
                is_first = False
            batch = self._ask(filters, state)
            self._store(replies)
            self._report(state)
        return state

    def read_page(self, filters: Mapping[str, str], page_no: int, page_size: int) -> PageFacts:
        """Read and store one page."""
        reply, number = self._fetch(filters, page_no, page_size)
        self._store([(reply, number)])
        return _facts(reply, page_no)

    def _ask(self, filters: Mapping[str, str], state: Sweep) -> list[Future[tuple[Reply, int]]]:
        return [self._workers.submit(self._fetch, filters, page_no, state.page_size) for page_no in next_pages(state)]

    def _fetch(self, filters: Mapping[str, str], page_no: int, page_size: int) -> tuple[Reply, int]:
        reply = self._client.list_page(filters, page_no, page_size)
        self.first_reply = self.first_reply or reply
        self.last_reply = reply
        return reply, next(self._responses)

    def _store(self, replies: list[tuple[Reply, int]]) -> None:
        for reply, number in replies:
            self._writer.add(prepare(reply, number))

    def _report(self, state: Sweep) -> None:
        if time.monotonic() - self._reported_at < REPORT_SECONDS:
            return
        self._reported_at = time.monotonic()
        left = state.pages_left
        detail = f"{self._writer.records:,} records"
        if left is not None:
            seconds = self._client.quota.seconds_for(left)
            detail += f", {left:,} calls left"
            detail += (
                f", {seconds / 60:.0f} min at least"
                if seconds >= 90
                else f", {seconds:.0f} s at least"
                if seconds >= 1
                else ""
            )
        self._reporter.advance(state.next_page, None if left is None else state.next_page + left, detail)


def _facts(reply: Reply, page_no: int) -> PageFacts:
    page = reply.page
    return PageFacts(
        page_no=page_no,
        records=len(page.records),
        total=page.total,
        echoed_page_no=page.page_no,
        echoed_page_size=page.page_size,
        digest=hash((len(page.records), *page.records[:1], *page.records[-1:])),
        is_beyond_limit=reply.outcome is Outcome.BEYOND_LIMIT,
    )
