"""Calls of one sync: lists and single tasks read, written to its raw store, and entered in its ledger.

Requests go out in batches. A batch is asked for when all of the one before has been received, so that of two responses
in different batches it is known which came first. While it is on its way, the one before is judged, compressed and
written; what to ask for next needs only the numbers of the batch before.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import msgspec

from pipelines.errors import PlatformError
from pipelines.extract.entries import Origin
from pipelines.extract.ledger import Ledger
from pipelines.extract.plan import ALL
from pipelines.extract.raw import RawWriter, StoredPage, prepare
from pipelines.extract.sweep import MAX_WIDTH, PageFacts, Sweep, advance, next_pages
from pipelines.platform.client import Client, Reply
from pipelines.platform.outcomes import Outcome
from pipelines.platform.structures import Page
from pipelines.progress import Reporter

REPORT_SECONDS = 0.5
MAX_BATCHES_IN_VAIN = 3  # of look-ups, each half a minute: more tasks than these are not shown by whatever is wrong


class CallsSpentError(Exception):
    """The sync has made all the calls that its plan allows."""


@dataclass(frozen=True)
class PageRequest:
    """A page of a list; `of` names the list in the raw store."""

    of: str
    filters: Mapping[str, str]
    page_no: int
    page_size: int


@dataclass(frozen=True)
class Answer:
    """A response with its place in the order of responses."""

    reply: Reply
    origin: Origin


class Reader:
    """Reads for one sync. A context manager: its workers end with it."""

    def __init__(
        self,
        client: Client,
        writer: RawWriter,
        ledger: Ledger,
        reporter: Reporter,
        workers: Executor | None = None,
    ) -> None:
        self.ledger = ledger
        self.calls_left: float = float("inf")
        self.calls = 0
        self.unanswered: set[str] = set()  # tasks that could not be looked up
        self.totals: list[tuple[int, int, int]] = []  # (response, sent_after, total) of the scope's own list
        self.first_reply: Reply | None = None
        self.last_reply: Reply | None = None
        self.reporter = reporter
        self._client, self._writer = client, writer
        self._responses = itertools.count(ledger.first_response)
        self._received = ledger.first_response - 1
        self._receiving = threading.Lock()
        self._workers = workers or ThreadPoolExecutor(MAX_WIDTH, thread_name_prefix="call")
        self._reported_at = -REPORT_SECONDS

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._workers.shutdown(wait=error is None, cancel_futures=True)

    def replies(self) -> tuple[Reply, Reply]:
        """The first and the last reply so far; a sync reads at least one page."""
        assert self.first_reply is not None and self.last_reply is not None  # noqa: S101, PT018 - see above
        return self.first_reply, self.last_reply

    @property
    def next_response(self) -> int:
        """The number that the next response will have."""
        return self._received + 1

    def sweep(
        self,
        of: str,
        filters: Mapping[str, str],
        state: Sweep,
        *,
        after_first_batch: Callable[[Sweep], None] = lambda _: None,
        keeps_place: bool = False,
    ) -> Sweep:
        """Read a list to its end; returns the final state, whose `total` is what the platform last said.

        With `keeps_place`, how far it has come is stored with the responses, for a later sync to go on from.

        Raises:
            CallsSpentError: it takes more calls than are left; what was read is stored.
        """
        self.reporter.step(f"reading {of} tasks")
        batch = self._ask_pages(of, filters, state)
        while batch:
            answers = _results(batch)
            pages = next_pages(state)
            state = advance(
                state, [facts_of(each.reply, page_no) for each, page_no in zip(answers, pages, strict=True)]
            )
            try:
                after_first_batch(state)
                after_first_batch = lambda _: None  # noqa: E731 - it has had its turn
                batch = self._ask_pages(of, filters, state)
            finally:
                self._store(answers, next_row=state.next_page * state.page_size if keeps_place else None)
            self._report(state)
        return state

    def read(self, requests: Sequence[PageRequest]) -> list[tuple[PageFacts, StoredPage]]:
        """Read these pages, all in flight at once.

        Raises:
            CallsSpentError: these are more calls than are left.
        """
        answers = _results(self._ask(self._page_call(each) for each in requests))
        stored = self._store(answers)
        return [
            (facts_of(answer.reply, request.page_no), page)
            for request, answer, page in zip(requests, answers, stored, strict=True)
        ]

    def look_up(
        self, operation_ids: Sequence[str], is_in_scope: Callable[[str, bytes], bool], probe: PageRequest
    ) -> None:
        """Read these tasks by id, as many at once as a list's pages; the ledger learns which are there and which gone.

        A record that is out of scope, or of another task, counts as neither, and so does a task that the platform can't
        show while it serves lists, of which the `probe` is a page. If it shows none in several batches, it is not asked
        for the rest.

        Raises:
            CallsSpentError: these are more calls than are left; what was read is stored.
            PlatformError: the platform refused a call, or serves no list either.
        """
        in_vain = 0
        for first in range(0, len(operation_ids), MAX_WIDTH):
            if in_vain == MAX_BATCHES_IN_VAIN:
                self.unanswered.update(operation_ids[first:])
                break
            chunk = operation_ids[first : first + MAX_WIDTH]
            futures = self._ask(self._look_up_call(each) for each in chunk)
            failures = [each.exception() for each in futures]
            for failure in failures:
                if failure is not None and not (isinstance(failure, PlatformError) and failure.is_retryable):
                    raise failure
            in_vain = 0 if None in failures else in_vain + 1
            for operation_id, future in zip(chunk, futures, strict=True):
                if future.exception() is not None:
                    self.unanswered.add(operation_id)
                    continue
                self.unanswered.discard(operation_id)
                answer = future.result()
                record = answer.reply.page.records[0] if answer.reply.page.records else None
                if record is not None and not is_in_scope(operation_id, record):
                    reply = msgspec.structs.replace(answer.reply, page=Page([], None, None, None))
                    self._store([Answer(reply, answer.origin)])
                    continue
                self._store([answer])
                if answer.reply.outcome is Outcome.GONE:
                    origin = answer.origin
                    self.ledger.add_gone(operation_id, origin.response, origin.sent_after, answer.reply.observed_at)
            if in_vain:
                self.read([probe])

    def _ask_pages(self, of: str, filters: Mapping[str, str], state: Sweep) -> list[Future[Answer]]:
        requests = (PageRequest(of, filters, page_no, state.page_size) for page_no in next_pages(state))
        return self._ask(self._page_call(request) for request in requests)

    def _page_call(self, request: PageRequest) -> tuple[Origin, Callable[[], Reply]]:
        origin = Origin(0, self._received, of=request.of)
        return origin, lambda: self._client.list_page(request.filters, request.page_no, request.page_size)

    def _look_up_call(self, operation_id: str) -> tuple[Origin, Callable[[], Reply]]:
        return Origin(0, self._received, operation_id=operation_id), lambda: self._client.get_operation(operation_id)

    def _ask(self, calls: Iterable[tuple[Origin, Callable[[], Reply]]]) -> list[Future[Answer]]:
        wanted = list(calls)
        if len(wanted) > self.calls_left:
            raise CallsSpentError
        self.calls_left -= len(wanted)
        self.calls += len(wanted)
        return [self._workers.submit(self._call, origin, call) for origin, call in wanted]

    def _call(self, origin: Origin, call: Callable[[], Reply]) -> Answer:
        reply = call()
        with self._receiving:
            self._received = next(self._responses)
            self.first_reply = self.first_reply or reply
            self.last_reply = reply
            return Answer(reply, msgspec.structs.replace(origin, response=self._received))

    def _store(self, answers: Sequence[Answer], *, next_row: int | None = None) -> list[StoredPage]:
        pages = []
        for place, answer in enumerate(answers, 1):
            page = prepare(answer.reply, answer.origin)
            if page.entry.of == ALL and page.entry.total is not None:
                self.totals.append((page.entry.response, page.entry.sent_after, page.entry.total))
            self._writer.add(page, next_row=next_row if place == len(answers) else None)
            self.ledger.add(page)
            pages.append(page)
        return pages

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
        self.reporter.advance(state.next_page, None if left is None else state.next_page + left, detail)


def _results(futures: Sequence[Future[Answer]]) -> list[Answer]:
    """All answers, once none is under way any more: what failed is raised, and nothing is logged after it."""
    answers, failures = [], []
    for future in futures:
        try:
            answers.append(future.result())
        except Exception as error:  # noqa: BLE001 - raised below
            failures.append(error)
    if failures:
        raise failures[0]
    return answers


def facts_of(reply: Reply, page_no: int) -> PageFacts:
    """What the sweep's rules need to know of the response to a request for this page."""
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
