"""A full sync: one sweep over everything, a closing count, and the grade that says how far to trust it.

`counted`: the tasks met in this sync are as many as the platform said there are, in a response after the reading.
`unproven`: they are not, after bounded attempts; committed all the same, and said loudly.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable

import duckdb
import msgspec

from pipelines.extract.raw import RawWriter, SyncManifest, newest_sync
from pipelines.extract.reader import ListReader
from pipelines.extract.sweep import MAX_REREADS, Sweep
from pipelines.platform.client import Client
from pipelines.progress import Reporter
from pipelines.settings import Settings
from pipelines.sql_text import scalar
from pipelines.warehouse import Warehouse, claim, source_of, storage_errors

STATUSES = ("wait", "processing", "success", "failed", "stop")
OPERATION_TYPES = ("firmware_upgrade", "software_upgrade")
CLOSING_DEPTHS = (1, 2, 4, 8)  # pages read again from either end where the count doesn't close: 30 calls at most

COUNTING_MEMORY = "512MB"  # beyond it the ids are counted on disk

log = logging.getLogger("iodm")


class Verdict(msgspec.Struct, frozen=True):
    """A grade with its evidence and the total that it was compared with."""

    grade: str
    evidence: str
    total: int | None


def run_full_sync(
    settings: Settings,
    warehouse: Warehouse,
    client: Client,
    reporter: Reporter,
    *,
    announce: Callable[[str], None] = log.info,
) -> SyncManifest:
    """Read every page of the scope's task list into the raw store, and commit it.

    The caller holds the warehouse's lock.

    Raises:
        PlatformError: the platform refused a call or kept failing; nothing is committed.
        SettingsError: the warehouse belongs to another source.
        StorageError: the disk failed.
    """
    source = source_of(settings)
    claim(warehouse, source)
    with storage_errors(f"write to {warehouse.raw}"):
        newest = newest_sync(warehouse)
        first_response = newest.last_response + 1 if newest else 1
        calls_before = client.quota.calls
        writer = RawWriter(warehouse, first_response)

        def after_first_page(sweep: Sweep) -> None:
            if newest is None:
                announce(_first_sync(settings, warehouse, client, sweep))

        try:
            with ListReader(client, writer, first_response, reporter) as reader:
                verdict = _read_everything(reader, writer, settings, warehouse, after_first_page)
            assert reader.first_reply is not None and reader.last_reply is not None  # noqa: S101, PT018 - a sweep reads at least one page
            manifest = SyncManifest(
                sync_id=newest.sync_id + 1 if newest else 1,
                mode="full",
                source=source,
                grade=verdict.grade,
                grade_evidence=verdict.evidence,
                started_at=reader.first_reply.observed_at,
                finished_at=reader.last_reply.observed_at,
                first_response=first_response,
                last_response=writer.last_response,
                api_calls=client.quota.calls - calls_before,
                pages=writer.pages,
                records=writer.records,
                quarantined=writer.quarantined,
                total_after=verdict.total,
            )
            writer.commit(manifest)
        finally:
            writer.close()
    return manifest


def _first_sync(settings: Settings, warehouse: Warehouse, client: Client, sweep: Sweep) -> str:
    """What a first sync says before it goes on: where the data goes, and the calls and minutes that it needs."""
    if sweep.total is None:
        return f"First sync into {warehouse.root}; the platform does not say how many tasks there are"
    calls = (sweep.pages_left or 0) + 1
    minutes = client.quota.seconds_for(calls) / 60
    duration = (
        f"about {minutes:,.0f} min at {settings.calls_per_minute} calls a minute"
        if minutes >= 1
        else "less than a minute"
    )
    return f"First sync into {warehouse.root}: {sweep.total:,} tasks, {calls:,} more calls, {duration}"


def _read_everything(
    reader: ListReader,
    writer: RawWriter,
    settings: Settings,
    warehouse: Warehouse,
    after_first_page: Callable[[Sweep], None],
) -> Verdict:
    sweep = reader.sweep(settings.filters, settings.page_size, "all tasks", after_first_page=after_first_page)
    notes = []
    if sweep.hit_ceiling:
        notes.append(f"the platform refused pages beyond {sweep.next_page}; read by status instead")
        notes += _read_by_parts(reader, settings)
    if sweep.gave_up:
        notes.append("the list grew faster than it could be read")
    verdict = _close(reader, writer, settings, sweep, warehouse)
    return msgspec.structs.replace(verdict, evidence="; ".join([verdict.evidence, *notes]))


def _read_by_parts(reader: ListReader, settings: Settings) -> list[str]:
    """Sweep by status, and by type where that is still too long; returns what stayed unread."""
    unread = []
    for status in STATUSES:
        by_status = {**settings.filters, "operationStatus": status}
        if not reader.sweep(by_status, settings.page_size, f"tasks in status {status}").hit_ceiling:
            continue
        if settings.operation_type is not None:
            unread.append(f"{status} tasks beyond the platform's limit stayed unread")
            continue
        for operation_type in OPERATION_TYPES:
            part = {**by_status, "operationType": operation_type}
            if reader.sweep(part, settings.page_size, f"{operation_type} tasks in status {status}").hit_ceiling:
                unread.append(f"{operation_type} tasks in status {status} beyond the platform's limit stayed unread")
    return unread


def _close(reader: ListReader, writer: RawWriter, settings: Settings, sweep: Sweep, warehouse: Warehouse) -> Verdict:
    """Count; where it doesn't close, read both ends of the list again, deeper each time."""
    total = _closing_total(reader, settings, sweep)
    met = count_tasks(writer, warehouse)
    done = {0}
    for depth in CLOSING_DEPTHS:
        if total is None or met == total:
            break
        pages = _ends(depth, -(-total // sweep.page_size)) - done
        for page_no in sorted(pages, reverse=True):
            newest = reader.read_page(settings.filters, page_no, sweep.page_size).total
            total = newest if newest is not None else total
        met = count_tasks(writer, warehouse)
        done |= pages
    if total is None:
        return Verdict("unproven", f"{met:,} tasks met; the platform gave no total to compare with", None)
    if met == total:
        return Verdict("counted", f"{met:,} tasks met, {total:,} there after the reading", total)
    return Verdict("unproven", f"{met:,} tasks met, but {total:,} there after the reading", total)


def _closing_total(reader: ListReader, settings: Settings, sweep: Sweep) -> int | None:
    """The total after the reading; a response without one, where others had it, is asked for again."""
    for _ in range(MAX_REREADS):
        total = reader.read_page(settings.filters, 0, sweep.page_size).total
        if total is not None or sweep.first_total is None:
            return total
    return None


def _ends(depth: int, pages: int) -> set[int]:
    return {page_no for page_no in range(pages) if page_no < depth or page_no >= pages - depth}


def count_tasks(writer: RawWriter, warehouse: Warehouse) -> int:
    """How many different tasks the sync under way has met; those without an id count by their content."""
    writer.flush()
    records = [str(file) for file in sorted(writer.folder.glob("records-*.jsonl.zst")) if file.stat().st_size]
    quarantine = [str(file) for file in writer.folder.glob("quarantine.jsonl") if file.stat().st_size]
    parts = []
    if records:  # with `record` as the only column DuckDB 2.0 reads ten times as long
        parts.append(
            "select record.operationId as id from read_json($records, format = 'newline_delimited', "
            "ignore_errors = true, columns = {response: 'BIGINT', record: 'STRUCT(operationId VARCHAR)'})"
        )
    if quarantine:
        parts.append(
            "select operation_id as id from read_json($quarantine, format = 'newline_delimited', "
            "columns = {operation_id: 'VARCHAR'})"
        )
    if not parts:
        return 0
    parameters = dict(itertools.compress({"records": records, "quarantine": quarantine}.items(), [records, quarantine]))
    with duckdb.connect(config={"temp_directory": str(warehouse.work), "memory_limit": COUNTING_MEMORY}) as connection:
        return int(scalar(connection, f"select count(distinct id) from ({' union all '.join(parts)})", parameters))
