"""The raw store: every response of a sync, durable before anything is made of it.

    raw/open/                                 a sync under way
    raw/synced_date=YYYY-MM-DD/sync=NNNNNN/   a committed one
        records-NNNNN.jsonl.zst   a task per line, one closed zstd frame per page
        pages.jsonl               a response per line: request, time, totals, sha256 of the body, numbers of records
        quarantine.jsonl          a record per line that is not an OperationInfo, with the reason
        sync.json                 what the sync was; written last, with it the folder gets its number

Responses are numbered by a sequence that goes on from sync to sync: "newest" always means that number. Fails with
`StorageError` when the disk does, or when a committed sync holds less than it says.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

import msgspec
import pyarrow as pa

from pipelines.errors import StorageError
from pipelines.platform.client import Reply
from pipelines.platform.judgement import Judgement, judge_all
from pipelines.warehouse import Warehouse, sync_to_disk

PAGES_PER_FILE = 250  # several files, so that they are read in parallel
FSYNC_SECONDS = 1.0


class PageEntry(msgspec.Struct, frozen=True):
    """A line of `pages.jsonl`. `records` counts the records received, `quarantined` those among them set aside."""

    response: int
    request: str
    outcome: str
    observed_at: datetime
    total: int | None
    page_no: int | None
    sha256: str
    bytes: int
    records: int
    quarantined: int


class QuarantineEntry(msgspec.Struct, frozen=True):
    """A line of `quarantine.jsonl`; `operation_id` is the sha256 of the record where it has none."""

    response: int
    index: int
    observed_at: datetime
    operation_id: str
    reason: str
    record: str


class SyncManifest(msgspec.Struct, frozen=True):
    """`sync.json`: what a sync was, and the evidence of its grade. Times are the platform's clock, UTC."""

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


class StoredPage(msgspec.Struct, frozen=True):
    """A response made ready to be written: its line in `pages.jsonl`, the compressed records, the quarantine lines."""

    entry: PageEntry
    frame: bytes
    quarantine: bytes


def prepare(reply: Reply, response: int) -> StoredPage:
    """Judge the records of a reply and lay them out for the store; the work that needs no order, for the workers."""
    prefix = b'{"response":%d,"observed_at":"%s","index":' % (
        response,
        reply.observed_at.strftime("%Y-%m-%dT%H:%M:%SZ").encode(),
    )
    lines, quarantine = [], []
    judgements = judge_all(reply.page.records)
    for index, (record, judgement) in enumerate(zip(reply.page.records, judgements, strict=True)):
        if judgement.reason is not None:
            quarantine.append(_quarantine_line(reply, response, index, judgement))
        elif judgement.broken_fields:
            lines.append(
                b'%s%d,"broken_fields":%s,"record":%s}\n'
                % (prefix, index, msgspec.json.encode(judgement.broken_fields), record)
            )
        else:
            lines.append(b'%s%d,"record":%s}\n' % (prefix, index, record))
    entry = PageEntry(
        response=response,
        request=reply.request,
        outcome=reply.outcome.name.lower(),
        observed_at=reply.observed_at,
        total=reply.page.total,
        page_no=reply.page.page_no,
        sha256=hashlib.sha256(reply.body).hexdigest(),
        bytes=len(reply.body),
        records=len(reply.page.records),
        quarantined=len(quarantine),
    )
    return StoredPage(entry, compress(b"".join(lines)) if lines else b"", b"".join(quarantine))


def compress(lines: bytes) -> bytes:
    """One closed zstd frame."""
    frame: bytes = pa.Codec("zstd", compression_level=1).compress(lines, asbytes=True)
    return frame


class RawWriter:
    """Writes one sync under way. `add` in the order of the responses; `commit` makes it one that happened."""

    def __init__(self, warehouse: Warehouse, first_response: int) -> None:
        self._warehouse = warehouse
        self.folder = warehouse.raw / "open"
        shutil.rmtree(self.folder, ignore_errors=True)  # what an interrupted sync left is not a sync
        self.folder.mkdir(parents=True)
        self._pages = (self.folder / "pages.jsonl").open("ab")
        self._quarantine = (self.folder / "quarantine.jsonl").open("ab")
        self._records: BinaryIO | None = None
        self._synced_at = time.monotonic()
        self.pages = self.records = self.quarantined = 0
        self.last_response = first_response - 1

    def add(self, page: StoredPage) -> None:
        """Write one response; durable within `FSYNC_SECONDS`."""
        if self._records is None or self.pages % PAGES_PER_FILE == 0:
            self._next_file()
        assert self._records is not None  # noqa: S101 - just opened
        self._records.write(page.frame)
        self._quarantine.write(page.quarantine)
        self._pages.write(msgspec.json.encode(page.entry) + b"\n")
        self.pages += 1
        self.records += page.entry.records
        self.quarantined += page.entry.quarantined
        self.last_response = max(self.last_response, page.entry.response)
        if time.monotonic() - self._synced_at >= FSYNC_SECONDS:
            self.flush(to_disk=True)

    def flush(self, *, to_disk: bool = False) -> None:
        """Hand what is buffered to the system, records before the lines that speak of them."""
        for file in (self._records, self._quarantine, self._pages):
            if file is not None:
                file.flush()
                if to_disk:
                    os.fsync(file.fileno())
        self._synced_at = time.monotonic()

    def commit(self, manifest: SyncManifest) -> Path:
        """Write `sync.json` and move the folder to its place; from here on the sync happened."""
        self.flush(to_disk=True)
        self.close()
        file = self.folder / "sync.json"
        file.write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n")
        sync_to_disk(file)
        sync_to_disk(self.folder)
        target = self._warehouse.raw / f"synced_date={manifest.started_at:%Y-%m-%d}" / f"sync={manifest.sync_id:06d}"
        target.parent.mkdir(exist_ok=True)
        self.folder.rename(target)
        sync_to_disk(target.parent)
        sync_to_disk(self._warehouse.raw)
        return target

    def close(self) -> None:
        """Close the files; what they hold stays."""
        for file in (self._records, self._quarantine, self._pages):
            if file is not None:
                file.close()

    def _next_file(self) -> None:
        if self._records is not None:
            self._records.flush()
            os.fsync(self._records.fileno())
            self._records.close()
        self._records = (self.folder / f"records-{self.pages // PAGES_PER_FILE:05d}.jsonl.zst").open("ab")


def committed_syncs(warehouse: Warehouse, after: int = 0) -> Iterator[tuple[Path, SyncManifest]]:
    """Yield the folder and the manifest of every committed sync with a number above `after`, oldest first.

    Raises:
        StorageError: a manifest can't be read.
    """
    for folder in sorted(warehouse.raw.glob("synced_date=*/sync=*"), key=lambda path: path.name):
        if int(folder.name.removeprefix("sync=")) > after:
            yield folder, read_manifest(folder / "sync.json")


def newest_sync(warehouse: Warehouse) -> SyncManifest | None:
    """The manifest of the last committed sync; the next sync and the next response are numbered after it."""
    folders = sorted(warehouse.raw.glob("synced_date=*/sync=*"), key=lambda path: path.name)
    return read_manifest(folders[-1] / "sync.json") if folders else None


def read_manifest(file: Path) -> SyncManifest:
    """Read a `sync.json`.

    Raises:
        StorageError: it is missing, torn or corrupt.
    """
    try:
        return msgspec.json.decode(file.read_bytes(), type=SyncManifest)
    except (msgspec.DecodeError, FileNotFoundError) as error:
        raise StorageError(
            f"{file} is torn or corrupt: {error}",
            advice="Restore it from a backup, or move its folder away and run `iodm rebuild`",
        ) from None


def _quarantine_line(reply: Reply, response: int, index: int, judgement: Judgement) -> bytes:
    record = reply.page.records[index]
    entry = QuarantineEntry(
        response=response,
        index=index,
        observed_at=reply.observed_at,
        operation_id=judgement.operation_id or hashlib.sha256(record).hexdigest(),
        reason=judgement.reason or "",
        record=record.decode(),
    )
    return msgspec.json.encode(entry) + b"\n"
