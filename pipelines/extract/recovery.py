"""What an interrupted sync left: its durable pages become a sync of their own, `unproven`, before anything else runs.

A page counts if its line, all its records and its quarantine lines can be read; the pages that count are those before
the first that does not. What lies behind them was in flight when the process died, and is cut off.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pyarrow as pa

from pipelines.extract.entries import Beginning, PageEntry, QuarantineEntry, SyncManifest
from pipelines.extract.past import next_sync_id
from pipelines.extract.raw import PAGES_PER_FILE, commit_folder, open_folder, records_file
from pipelines.warehouse import Warehouse, replace_file, storage_errors

Entry = TypeVar("Entry")

log = logging.getLogger("iodm")


def recover(warehouse: Warehouse) -> SyncManifest | None:
    """Commit what is durable of an interrupted sync; None if nothing was. The caller holds the warehouse's lock.

    Raises:
        StorageError: the disk failed, or the served file is damaged.
    """
    folder = open_folder(warehouse)
    if not folder.is_dir():
        return None
    with storage_errors(f"recover {folder}"):
        manifest = _decoded(folder / "sync.json", SyncManifest) or _cut_to_durable_pages(warehouse, folder)
        if manifest is None:
            shutil.rmtree(folder)
            return None
        commit_folder(warehouse, manifest)
    log.info("Kept %d responses of an interrupted sync, as sync %d", manifest.pages, manifest.sync_id)
    return manifest


def _cut_to_durable_pages(warehouse: Warehouse, folder: Path) -> SyncManifest | None:
    begun = _decoded(folder / "begun.json", Beginning)
    quarantine = _lines(folder / "quarantine.jsonl", QuarantineEntry)
    entries = _durable(folder, _lines(folder / "pages.jsonl", PageEntry), quarantine)
    if begun is None or not entries:
        return None
    responses = {entry.response for entry in entries}
    _cut_records(folder, entries)
    _rewrite(folder / "quarantine.jsonl", [entry for entry in quarantine if entry.response in responses])
    _rewrite(folder / "pages.jsonl", entries)
    (folder / "removals.jsonl").unlink(missing_ok=True)
    rows = [entry.next_row for entry in entries if entry.next_row is not None]
    totals = [entry.total for entry in entries if entry.of == "all" and entry.total is not None]
    return SyncManifest(
        sync_id=next_sync_id(warehouse),
        mode="interrupted",
        source=begun.source,
        grade="unproven",
        grade_evidence=f"{begun.mode} sync, interrupted after {len(entries):,} responses",
        started_at=min(entry.observed_at for entry in entries),
        finished_at=max(entry.observed_at for entry in entries),
        first_response=begun.first_response,
        last_response=max(responses),
        api_calls=len(entries),
        pages=len(entries),
        records=sum(entry.records for entry in entries),
        quarantined=sum(entry.quarantined for entry in entries),
        undocumented_fields=sorted({name for entry in entries for name in entry.undocumented_fields}),
        total_after=totals[-1] if totals else None,
        reading_since=begun.reading_since if rows else None,
        next_row=rows[-1] if rows else None,
    )


def _durable(folder: Path, entries: Sequence[PageEntry], quarantine: Sequence[QuarantineEntry]) -> Sequence[PageEntry]:
    """The entries before the first whose records or quarantine lines are not all there."""
    set_aside = Counter(entry.response for entry in quarantine)
    for first in range(0, len(entries), PAGES_PER_FILE):
        file = records_file(folder, first)
        content = file.read_bytes() if file.exists() else b""
        place = 0
        for index, entry in enumerate(entries[first : first + PAGES_PER_FILE], first):
            frame = content[place : place + entry.frame_bytes]
            place += entry.frame_bytes
            if set_aside[entry.response] != entry.quarantined or not _holds(frame, entry):
                return entries[:index]
    return entries


def _holds(frame: bytes, entry: PageEntry) -> bool:
    """Whether a frame is whole and has a line for each record that was not set aside."""
    if len(frame) != entry.frame_bytes:
        return False
    if not frame:
        return entry.records == entry.quarantined
    try:
        with pa.input_stream(pa.BufferReader(frame), compression="zstd") as stream:
            lines: int = stream.read().count(b"\n")
    except OSError:
        return False
    return lines == entry.records - entry.quarantined


def _cut_records(folder: Path, entries: Sequence[PageEntry]) -> None:
    kept = set()
    for first in range(0, len(entries), PAGES_PER_FILE):
        file = records_file(folder, first)
        with file.open("ab") as handle:
            handle.truncate(sum(entry.frame_bytes for entry in entries[first : first + PAGES_PER_FILE]))
            os.fsync(handle.fileno())
        kept.add(file)
    for file in set(folder.glob("records-*")) - kept:
        file.unlink()


def _rewrite(file: Path, entries: Sequence[Any]) -> None:
    replace_file(file, b"".join(msgspec.json.encode(entry) + b"\n" for entry in entries))


def _lines(file: Path, type_: type[Entry]) -> list[Entry]:
    """The lines up to the first that can't be read."""
    decoder = msgspec.json.Decoder(type_)
    entries: list[Entry] = []
    try:
        for line in file.read_bytes().splitlines(keepends=True):
            if not line.endswith(b"\n"):
                break
            entries.append(decoder.decode(line))
    except (FileNotFoundError, msgspec.DecodeError):
        pass
    return entries


def _decoded(file: Path, type_: type[Entry]) -> Entry | None:
    try:
        return msgspec.json.decode(file.read_bytes(), type=type_)
    except (FileNotFoundError, msgspec.DecodeError):
        return None
