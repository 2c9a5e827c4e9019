"""What the raw store's JSON files hold, as typed records. Who reads and writes them: `raw`, `recovery`, `records`."""

from __future__ import annotations

from datetime import datetime

import msgspec


class PageEntry(msgspec.Struct, frozen=True, omit_defaults=True):
    """A line of `pages.jsonl`. `records` counts the records received, `quarantined` those among them set aside.

    The request was sent when all responses up to `sent_after` had been received, and no later one. `of` names the list
    that was read: `all` for the scope's own, a status, or status and type; None where `operation_id` was looked up.
    `next_row` says how far the sweep over the scope's own list has come with this response. `frame_bytes` are what the
    page's records take in their file. `undocumented_fields` are those of some of the page's records.
    """

    response: int
    sent_after: int
    request: str
    outcome: str
    observed_at: datetime
    total: int | None
    page_no: int | None
    sha256: str
    bytes: int
    records: int
    quarantined: int
    frame_bytes: int
    of: str | None = None
    operation_id: str | None = None
    next_row: int | None = None
    undocumented_fields: list[str] = []


class QuarantineEntry(msgspec.Struct, frozen=True):
    """A line of `quarantine.jsonl`; `operation_id` is the sha256 of the record where it has none."""

    response: int
    index: int
    observed_at: datetime
    operation_id: str
    reason: str
    record: str


class RemovalEntry(msgspec.Struct, frozen=True):
    """A line of `removals.jsonl`: a known task that no list showed, and that a look-up says is gone."""

    response: int
    observed_at: datetime
    operation_id: str


class Proof(msgspec.Struct, frozen=True):
    """The response that proves completeness: its total, and as many tasks met both before and after it, or in it."""

    response: int
    total: int
    met_before_and_after: int


class Beginning(msgspec.Struct, frozen=True):
    """`begun.json`: what is known of a sync from its start, for whoever finds it interrupted.

    `reading_since` is the first sync of the reading that it goes on with; None if it reads no list whole.
    """

    mode: str
    source: dict[str, str]
    first_response: int
    reading_since: int | None = None


class SyncManifest(msgspec.Struct, frozen=True, omit_defaults=True):
    """`sync.json`: what a sync was, and the evidence of its grade. Times are the platform's clock, UTC.

    `reading_since` is the first sync of the whole reading that this one completed or, with `next_row`, left at that row
    of a list of `total_after` tasks. `unlocated` are tasks that the length of a list says are there, not found so far;
    `unexplained` counts known ones that are not there, not found either.
    """

    sync_id: int
    mode: str
    source: dict[str, str]
    grade: str
    grade_evidence: str
    started_at: datetime
    finished_at: datetime
    first_response: int
    last_response: int
    api_calls: int
    pages: int
    records: int
    quarantined: int
    total_after: int | None
    removed: int = 0
    proof: Proof | None = None
    reading_since: int | None = None
    next_row: int | None = None
    unlocated: dict[str, int] = {}
    unexplained: int = 0
    undocumented_fields: list[str] = []


class BaseManifest(msgspec.Struct, frozen=True):
    """`base.json`: the last sync that a base holds, the rows of each of its parts, the sha256 of each of its files."""

    sync_id: int
    rows: dict[str, int]
    sha256: dict[str, str]


class Origin(msgspec.Struct, frozen=True):
    """Where a response belongs: its number, what had been received when it was asked for, and what was read."""

    response: int
    sent_after: int
    of: str | None = None
    operation_id: str | None = None
