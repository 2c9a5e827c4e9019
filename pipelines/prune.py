"""Dropping old raw responses: what they still say is written into a base first, which a rebuild then starts from.

A base is written beside its place and renamed; from then on the syncs that it holds are read no more, whether or not
they are still there, and neither is an older base. Fails with `StorageError` when the disk does or a raw file is torn;
nothing is dropped then.
"""

from __future__ import annotations

import itertools
import shutil
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from pipelines.base import check_base, write_base
from pipelines.extract.entries import SyncManifest
from pipelines.extract.past import read_past
from pipelines.extract.raw import committed_syncs, newest_base, number_of, sync_folders
from pipelines.flatten import apply_syncs, begin, scratch_database
from pipelines.records import record_files
from pipelines.settings import Settings
from pipelines.sql_text import duckdb_errors
from pipelines.warehouse import Warehouse, storage_errors, sync_to_disk


@dataclass(frozen=True)
class Plan:
    """What a prune would drop: syncs that a base will hold, and what an earlier prune left lying around."""

    syncs: list[tuple[Path, SyncManifest]]
    leftovers: list[Path]

    @property
    def folders(self) -> list[Path]:
        """All that would be dropped."""
        return [*self.leftovers, *(folder for folder, _ in self.syncs)]

    def describe(self) -> str:
        """What would be dropped, for people."""
        size = f"{sum(map(_bytes, self.folders)) / 1e6:,.1f} MB"
        if not self.syncs:
            return f"what an earlier prune left lying around, {size}"
        first, last = self.syncs[0][1], self.syncs[-1][1]
        return (
            f"the raw responses of {len(self.syncs):,} syncs, {first.sync_id} to {last.sync_id}, "
            f"from {first.started_at:%Y-%m-%d %H:%M} to {last.finished_at:%Y-%m-%d %H:%M} UTC, {size}"
        )


def plan(warehouse: Warehouse, keep_days: int, *, up_to: float = float("inf")) -> Plan:
    """What may be dropped: syncs as old as `keep_days`, by the platform's clock, before the newest whole reading.

    Raises:
        StorageError: a manifest can't be read.
    """
    base = newest_base(warehouse)
    held = number_of(base) if base else 0
    strays = [folder for folder in warehouse.raw.glob("base*") if folder != base]
    past = read_past(warehouse)

    def may_go(sync: tuple[Path, SyncManifest]) -> bool:
        manifest = sync[1]
        assert past.newest is not None  # noqa: S101 - there is this one
        age = past.newest.finished_at - manifest.finished_at
        return manifest.sync_id < past.whole_since and manifest.sync_id <= up_to and age >= timedelta(days=keep_days)

    return Plan(
        list(itertools.takewhile(may_go, committed_syncs(warehouse, after=held))),
        strays + [folder for folder in sync_folders(warehouse) if number_of(folder) <= held],
    )


def prune(settings: Settings, warehouse: Warehouse, todo: Plan) -> int:
    """Write the base, then drop; returns the bytes that this freed. All syncs are served, the caller holds the lock.

    Raises:
        StorageError: the disk failed, or a raw file or the base before is damaged; nothing was dropped.
    """
    before = _bytes(warehouse.raw)
    with storage_errors(f"prune {warehouse.raw}"):
        old_base = newest_base(warehouse)
        if old_base:
            check_base(old_base)
        _drop(todo.leftovers)
        if todo.syncs:
            _make_base(settings, warehouse, old_base, todo.syncs)
            _drop([*(folder for folder, _ in todo.syncs), *([old_base] if old_base else [])])
    return max(before - _bytes(warehouse.raw), 0)  # a base can take more than a few small syncs


def _make_base(
    settings: Settings, warehouse: Warehouse, old_base: Path | None, syncs: list[tuple[Path, SyncManifest]]
) -> None:
    folder = warehouse.raw / "base.new"
    folder.mkdir()
    with duckdb_errors(), scratch_database(warehouse, settings.memory_limit) as connection:
        begin(connection, None, old_base, scratch=warehouse.work)
        apply_syncs(connection, syncs, warehouse.work)
        retried = (warehouse.work / "synced_date=retried").glob("sync=*")
        folders = [*([old_base] if old_base else []), *(each for each, _ in syncs), *sorted(retried)]
        write_base(connection, folder, syncs[-1][1].sync_id, [file for each in folders for file in record_files(each)])
    folder.rename(warehouse.raw / f"base={syncs[-1][1].sync_id:06d}")
    sync_to_disk(warehouse.raw)


def _drop(folders: list[Path]) -> None:
    """Remove folders of syncs and bases, and those of days that have none left."""
    for folder in folders:
        shutil.rmtree(folder)
        if folder.parent.name.startswith("synced_date=") and not any(folder.parent.iterdir()):
            folder.parent.rmdir()


def _bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
