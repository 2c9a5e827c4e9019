"""The raw store: every response of a sync, durable before anything is made of it.

    raw/open/                                 a sync under way
    raw/synced_date=YYYY-MM-DD/sync=NNNNNN/   a committed one
        begun.json                what is known of it from its start
        records-NNNNN.jsonl.zst   a task per line, one closed zstd frame per page
        pages.jsonl               a response per line: request, time, totals, sha256 of the body, numbers of records
        quarantine.jsonl          a record per line that is not an OperationInfo, with the reason
        removals.jsonl            a task per line that is gone from the platform, with the response that says so
        sync.json                 what the sync was; written last, with it the folder gets its number
    raw/base=NNNNNN/                          what `iodm prune` kept of the syncs up to this number
        records-N.jsonl.zst       each task's newest record, in the lines of its sync
        tasks.parquet             a task: place of its record, when and in which sync its content and itself were new
        history.parquet, syncs.parquet, quarantine.parquet    rows that these syncs brought
        base.json                 rows and sha256 of all that; written last, with it the folder gets its name

Responses are numbered by a sequence that goes on from sync to sync: "newest" always means that number. Fails with
`StorageError` when the disk does, or when a committed sync holds less than it says.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import msgspec
import pyarrow as pa

from pipelines.errors import StorageError
from pipelines.extract.entries import Beginning, Origin, PageEntry, QuarantineEntry, RemovalEntry, SyncManifest
from pipelines.platform.client import Reply
from pipelines.platform.judgement import judge_all
from pipelines.platform.structures import undocumented_fields
from pipelines.warehouse import Warehouse, replace_file, sync_to_disk

PAGES_PER_FILE = 250  # several files, so that they are read in parallel
FSYNC_SECONDS = 1.0
BUFFER_BYTES = 2**20  # a thread waits for its turn after each write: with small ones for a tenth of a crawl
LOOKED_INTO = 25  # each so-manieth record of a page is searched for fields that the documents don't know


class Met(msgspec.Struct, frozen=True, gc=False):
    """A task met in a response, in the record's own words; without an id, the sha256 of its record stands for it."""

    operation_id: str
    status: str | None
    created_at: str | None
    has_id: bool = True


class StoredPage(msgspec.Struct, frozen=True):
    """A response made ready to be written: its line in `pages.jsonl`, the compressed records, the quarantine lines.

    `met` are the tasks in it.
    """

    entry: PageEntry
    frame: bytes
    quarantine: bytes
    met: list[Met]


def prepare(reply: Reply, origin: Origin) -> StoredPage:
    """Judge the records of a reply and lay them out for the store; the work that needs no order, for the workers."""
    prefix = b'{"response":%d,"observed_at":"%s","index":' % (
        origin.response,
        reply.observed_at.strftime("%Y-%m-%dT%H:%M:%SZ").encode(),
    )
    lines: list[bytes] = []
    quarantine, met = [], []
    judgements = judge_all(reply.page.records)
    for index, (record, judgement) in enumerate(zip(reply.page.records, judgements, strict=True)):
        operation_id = judgement.operation_id or hashlib.sha256(record).hexdigest()
        met.append(Met(operation_id, judgement.status, judgement.created_at, judgement.operation_id is not None))
        if judgement.reason is not None:
            quarantine.append(_quarantine_line(reply, origin.response, index, operation_id, judgement.reason))
        else:
            broken = b""
            if judgement.broken_fields:
                broken = b'"broken_fields":%s,' % msgspec.json.encode(judgement.broken_fields)
            lines += (prefix, b'%d,%s"record":' % (index, broken), record, b"}\n")
    frame = compress(b"".join(lines)) if lines else b""
    entry = PageEntry(
        response=origin.response,
        sent_after=origin.sent_after,
        request=reply.request,
        outcome=reply.outcome.name.lower(),
        observed_at=reply.observed_at,
        total=reply.page.total,
        page_no=reply.page.page_no,
        sha256=hashlib.sha256(reply.body).hexdigest(),
        bytes=len(reply.body),
        records=len(reply.page.records),
        quarantined=len(quarantine),
        frame_bytes=len(frame),
        undocumented_fields=sorted(set().union(*map(undocumented_fields, reply.page.records[::LOOKED_INTO]))),
        of=origin.of,
        operation_id=origin.operation_id,
    )
    return StoredPage(entry, frame, b"".join(quarantine), met)


def compress(lines: bytes) -> bytes:
    """One closed zstd frame."""
    frame: bytes = pa.Codec("zstd", compression_level=1).compress(lines, asbytes=True)
    return frame


class RawWriter:
    """Writes one sync under way. `add` in the order of the responses; `commit` makes it one that happened."""

    def __init__(self, warehouse: Warehouse, beginning: Beginning) -> None:
        self._warehouse = warehouse
        self.folder = open_folder(warehouse)
        shutil.rmtree(self.folder, ignore_errors=True)  # `recovery` has taken what an interrupted sync left
        self.folder.mkdir(parents=True)
        self.begin(beginning)
        self._pages = (self.folder / "pages.jsonl").open("ab", BUFFER_BYTES)
        self._quarantine = (self.folder / "quarantine.jsonl").open("ab", BUFFER_BYTES)
        self._records: BinaryIO | None = None
        self._synced_at = time.monotonic()
        self.pages = self.records = self.quarantined = 0
        self.undocumented_fields: set[str] = set()
        self.last_response = beginning.first_response - 1

    def begin(self, beginning: Beginning) -> None:
        """Say what the sync is, for whoever finds it interrupted."""
        replace_file(self.folder / "begun.json", msgspec.json.encode(beginning))

    def add(self, page: StoredPage, *, next_row: int | None = None) -> None:
        """Write one response; durable within `FSYNC_SECONDS`. `next_row`: how far the sweep has come with it."""
        if self._records is None or self.pages % PAGES_PER_FILE == 0:
            self._next_file()
        assert self._records is not None  # noqa: S101 - just opened
        self._records.write(page.frame)
        self._quarantine.write(page.quarantine)
        entry = page.entry if next_row is None else msgspec.structs.replace(page.entry, next_row=next_row)
        self._pages.write(msgspec.json.encode(entry) + b"\n")
        self.pages += 1
        self.records += page.entry.records
        self.quarantined += page.entry.quarantined
        self.undocumented_fields.update(page.entry.undocumented_fields)
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

    def commit(self, manifest: SyncManifest, removals: Sequence[RemovalEntry] = ()) -> Path:
        """Make it a sync that happened."""
        self.flush(to_disk=True)
        self.close()
        write_removals(self.folder, removals)
        return commit_folder(self._warehouse, manifest)

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
        self._records = records_file(self.folder, self.pages).open("ab", BUFFER_BYTES)


def open_folder(warehouse: Warehouse) -> Path:
    """Where a sync lies while it is under way."""
    return warehouse.raw / "open"


def records_file(folder: Path, page: int) -> Path:
    """The file with the records of the page with this place in `pages.jsonl`, from 0."""
    return folder / f"records-{page // PAGES_PER_FILE:05d}.jsonl.zst"


def write_removals(folder: Path, removals: Sequence[RemovalEntry]) -> None:
    """Write `removals.jsonl`, durably, if there are any."""
    if removals:
        replace_file(folder / "removals.jsonl", b"".join(msgspec.json.encode(entry) + b"\n" for entry in removals))


def commit_folder(warehouse: Warehouse, manifest: SyncManifest) -> Path:
    """Write `sync.json` and move the folder of the sync under way to its place; from here on the sync happened."""
    folder = open_folder(warehouse)
    file = folder / "sync.json"
    file.write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n")
    sync_to_disk(file)
    sync_to_disk(folder)
    target = warehouse.raw / f"synced_date={manifest.started_at:%Y-%m-%d}" / f"sync={manifest.sync_id:06d}"
    target.parent.mkdir(exist_ok=True)
    folder.rename(target)
    sync_to_disk(target.parent)
    sync_to_disk(warehouse.raw)
    return target


def committed_syncs(warehouse: Warehouse, after: int = 0) -> Iterator[tuple[Path, SyncManifest]]:
    """Yield the folder and the manifest of every committed sync with a number above `after`, oldest first.

    Raises:
        StorageError: a manifest can't be read.
    """
    for folder in sync_folders(warehouse):
        if number_of(folder) > after:
            yield folder, read_manifest(folder / "sync.json")


def sync_folders(warehouse: Warehouse) -> list[Path]:
    """The folders of all committed syncs, oldest first; what was moved aside under another name is none."""
    return sorted(filter(_is_numbered, warehouse.raw.glob("synced_date=????-??-??/sync=*")), key=lambda path: path.name)


def _is_numbered(folder: Path) -> bool:
    return folder.name.rpartition("=")[2].isdecimal()


def number_of(folder: Path) -> int:
    """The number in the name of a sync's or a base's folder."""
    return int(folder.name.rpartition("=")[2])


def newest_base(warehouse: Warehouse) -> Path | None:
    """The folder of the base that holds the most syncs; None if nothing was pruned."""
    return max(filter(_is_numbered, warehouse.raw.glob("base=*")), key=number_of, default=None)


def newest_sync(warehouse: Warehouse) -> SyncManifest | None:
    """The manifest of the last committed sync; the next sync and the next response are numbered after it."""
    folders = sync_folders(warehouse)
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


def _quarantine_line(reply: Reply, response: int, index: int, operation_id: str, reason: str) -> bytes:
    record = reply.page.records[index].decode()
    entry = QuarantineEntry(response, index, reply.observed_at, operation_id, reason, record)
    return msgspec.json.encode(entry) + b"\n"
