"""The committed syncs as the next one needs them: how to number it, whether it must be full, what it may go on with."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

import duckdb
import msgspec

from pipelines.extract.entries import PageEntry, SyncManifest
from pipelines.extract.plan import ALL
from pipelines.extract.raw import committed_syncs, newest_sync, read_manifest, sync_folders
from pipelines.extract.sweep import Sweep
from pipelines.sql_text import attach_served, duckdb_errors, last_applied
from pipelines.warehouse import Warehouse


@dataclass(frozen=True)
class Reading:
    """A whole reading: its first sync and response and, if it was interrupted, when it began and how far it came."""

    sync_id: int
    first_response: int
    began_at: datetime | None = None
    next_row: int = 0
    total: int | None = None

    def is_younger(self, hours: float, now: datetime | None) -> bool:
        """Whether it began at most so long ago, by the platform's clock."""
        return now is None or self.began_at is None or now - self.began_at <= timedelta(hours=hours)

    def sweep(self, page_size: int) -> Sweep:
        """Where its sweep goes on: at the row that it had come to, whatever the size of the pages was."""
        page_no = self.next_row // page_size
        return Sweep(page_size, next_page=page_no, frontier=page_no, total=self.total, first_total=self.total)


@dataclass(frozen=True)
class Past:
    """The newest sync, the newest one that read everything, and a whole reading that was interrupted after it."""

    newest: SyncManifest | None = None
    last_full: SyncManifest | None = None
    interrupted: Reading | None = None
    unlocated: dict[str, int] = field(default_factory=dict)
    unexplained: int = 0

    @property
    def next_response(self) -> int:
        """The number of the next response."""
        return self.newest.last_response + 1 if self.newest else 1

    @property
    def whole_since(self) -> int:
        """The first sync of the last whole reading; 0 if there was none."""
        return (self.last_full.reading_since or self.last_full.sync_id) if self.last_full else 0


def next_sync_id(warehouse: Warehouse) -> int:
    """The number of the next sync: above all committed ones, and above all served ones, should raw/ be older.

    Raises:
        StorageError: the newest manifest can't be read, or the served file is damaged.
    """
    newest = newest_sync(warehouse)
    return max(newest.sync_id if newest else 0, last_served(warehouse)) + 1


def last_served(warehouse: Warehouse) -> int:
    """The number of the last sync that the served file holds; 0 if nothing is served.

    Raises:
        StorageError: the served file is damaged.
    """
    served = warehouse.served_file()
    if served is None:
        return 0
    with duckdb_errors(), duckdb.connect() as connection:
        attach_served(connection, served)
        return last_applied(connection)


def read_past(warehouse: Warehouse) -> Past:
    """Look back from the newest sync to the last full one.

    Raises:
        StorageError: a manifest can't be read.
    """
    since_full: list[SyncManifest] = []
    last_full = None
    for folder in reversed(sync_folders(warehouse)):
        manifest = read_manifest(folder / "sync.json")
        if manifest.mode == "full":
            last_full = manifest
            break
        since_full.append(manifest)
    finished = [each for each in since_full if each.mode != "interrupted"]
    newest_finished = finished[0] if finished else last_full
    return Past(
        newest=since_full[0] if since_full else last_full,
        last_full=last_full,
        interrupted=_interrupted(since_full),
        unlocated=newest_finished.unlocated if newest_finished else {},
        unexplained=newest_finished.unexplained if newest_finished and newest_finished.mode != "full" else 0,
    )


def _interrupted(newest_first: list[SyncManifest]) -> Reading | None:
    left = next((each for each in newest_first if each.next_row is not None), None)
    first = next((each for each in newest_first if left and each.sync_id == left.reading_since), None)
    if left is None or first is None:
        return None
    return Reading(first.sync_id, first.first_response, first.started_at, left.next_row or 0, left.total_after)


def totals_since(warehouse: Warehouse, sync_id: int) -> list[tuple[int, int, int]]:
    """(response, sent_after, total) of the responses of the scope's own list, of the syncs from this one on."""
    decoder = msgspec.json.Decoder(PageEntry)
    return [
        (entry.response, entry.sent_after, entry.total)
        for folder, _ in committed_syncs(warehouse, after=sync_id - 1)
        for entry in decoder.decode_lines((folder / "pages.jsonl").read_bytes())
        if entry.of == ALL and entry.total is not None
    ]
