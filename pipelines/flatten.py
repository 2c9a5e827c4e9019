"""Raw records to core tables, merged with what is already served. The SQL is in `sql/core/`; this runs it in order.

Nothing here holds tasks in Python: records go from the raw store into a scratch database that spills to disk, in
batches of syncs. Merging is a function of the records and their response numbers alone: whatever is applied again,
in whatever batches, gives the same rows. Fails with `StorageError` where a raw file holds less than it says.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

import duckdb
import msgspec
import pyarrow as pa

from pipelines.errors import StorageError
from pipelines.extract.raw import PageEntry, QuarantineEntry, SyncManifest, compress
from pipelines.models import load
from pipelines.platform.structures import judge
from pipelines.sql_text import quoted, scalar
from pipelines.tables import MONTHLY_TABLES, OPERATION_HISTORY, OPERATIONS, SYNCS, TABLES, Table
from pipelines.warehouse import Warehouse

RECORDS_PER_BATCH = 1_000_000

RECORD_TYPE = """STRUCT(
    operationId VARCHAR, createTime VARCHAR, startTime VARCHAR, stopTime VARCHAR, operateType VARCHAR, status VARCHAR,
    targets STRUCT(deviceGroups VARCHAR[], deviceType VARCHAR, model VARCHAR, manufacturerName VARCHAR, devices VARCHAR[]),
    policy STRUCT(executeType VARCHAR, startTime VARCHAR, endTime VARCHAR, retryType BOOLEAN, retryTimes INTEGER),
    staResult STRUCT(total BIGINT, wait BIGINT, processing BIGINT, success BIGINT, fail BIGINT, stop BIGINT, timeout BIGINT),
    extendPara MAP(VARCHAR, VARCHAR)
)"""
LINE_COLUMNS = f"{{response: 'BIGINT', index: 'BIGINT', observed_at: 'VARCHAR', broken_fields: 'VARCHAR[]', record: '{RECORD_TYPE}'}}"

BROKEN_SCHEMA = pa.schema([("operation_id", pa.string()), ("sync_id", pa.int64()), ("position", pa.int64()), ("reason", pa.string()), ("record", pa.string())])


@contextlib.contextmanager
def scratch_database(warehouse: Warehouse, memory_limit: str) -> Iterator[duckdb.DuckDBPyConnection]:
    """A database for one run, in memory up to the limit, beyond it spilled to a folder that is emptied before and after."""
    shutil.rmtree(warehouse.work, ignore_errors=True)
    warehouse.work.mkdir(parents=True)
    try:
        with duckdb.connect() as connection:
            connection.execute(f"set memory_limit = '{memory_limit}'")
            connection.execute("set temp_directory = $folder", {"folder": str(warehouse.work / "spill")})
            connection.execute("set preserve_insertion_order = false")
            yield connection
    finally:
        shutil.rmtree(warehouse.work, ignore_errors=True)


def begin(connection: duckdb.DuckDBPyConnection, served: Path | None) -> int:
    """Attach what is served (nothing, for a rebuild) and prepare to apply syncs to it; returns the last sync applied."""
    if served is None:
        connection.execute("attach ':memory:' as served")
        connection.execute("create schema served.core")
        for table in TABLES:
            columns = ", ".join(f"{column.name} {column.duckdb_type}" for column in table.columns)
            connection.execute(f"create table served.core.{table.name} ({columns})")
    else:
        connection.execute(f"attach {quoted(str(served))} as served (read_only)")
    fingerprints = load("core")["with_fingerprints"]
    connection.execute(f"create macro with_fingerprints(relation) as table {fingerprints.sql}")
    connection.execute("create table newest (operation_id varchar, position bigint, sync_id bigint, observed_at timestamp, first_observed_at timestamp)")
    connection.execute("create view tasks as select 1 as placeholder")
    connection.execute("create table new_history as select * from served.core.operation_history limit 0")
    connection.execute("create table new_syncs as select * from served.core.syncs limit 0")
    connection.execute("create table quarantine_before as select * from served.core.quarantine")
    connection.execute("create table broken_records (operation_id varchar, sync_id bigint, position bigint, reason varchar, record varchar)")
    return int(scalar(connection, "select coalesce(max(sync_id), 0) from served.core.syncs"))


def apply_syncs(connection: duckdb.DuckDBPyConnection, syncs: Iterable[tuple[Path, SyncManifest]], scratch: Path) -> int:
    """Apply committed syncs, oldest first; returns how many.

    Raises:
        StorageError: a raw file is torn: it holds fewer records than its sync received.
    """
    count = 0
    for batch in _batches(syncs):
        _load_records(connection, batch, scratch)
        _merge(connection, batch)
        count += len(batch)
    _define_merged(connection)
    return count


def _batches(syncs: Iterable[tuple[Path, SyncManifest]]) -> Iterator[list[tuple[Path, SyncManifest]]]:
    batch: list[tuple[Path, SyncManifest]] = []
    records = 0
    for folder, manifest in syncs:
        if batch and records + manifest.records > RECORDS_PER_BATCH:
            yield batch
            batch, records = [], 0
        batch.append((folder, manifest))
        records += manifest.records
    if batch:
        yield batch


def _load_records(connection: duckdb.DuckDBPyConnection, batch: list[tuple[Path, SyncManifest]], scratch: Path) -> None:
    files, expected, broken = [], 0, []
    for folder, manifest in batch:
        _check_pages(folder, manifest)
        still_broken, retried = _judge_again(folder, manifest.sync_id, scratch)
        broken += still_broken
        files += [str(file) for file in sorted(folder.glob("records-*.jsonl.zst")) if file.stat().st_size] + retried
        expected += manifest.records - len(still_broken)
    _create_records(connection, files)
    first, last = batch[0][1].sync_id, batch[-1][1].sync_id
    readable = scalar(connection, "select count(*) from records where sync_id between ? and ?", [first, last])
    if readable != expected:
        raise StorageError(
            f"the raw records of syncs {first} to {last} are torn: {readable:,} can be read, {expected:,} were received",
            advice="Restore raw/ from a backup, or move the torn sync's folder away, then run `iodm rebuild`",
        )
    connection.execute("delete from broken_records")
    if broken:
        table = pa.Table.from_pylist(broken, schema=BROKEN_SCHEMA)
        connection.register("broken_arrow", table)
        connection.execute("insert into broken_records select * from broken_arrow")
        connection.unregister("broken_arrow")


def _create_records(connection: duckdb.DuckDBPyConnection, files: list[str]) -> None:
    """Append to `records`, or create it; a batch without any good record still needs the table."""
    source = "read_json(getvariable('record_files'), format = 'newline_delimited', ignore_errors = true, hive_partitioning = true, "
    source += f"hive_types = {{'sync': BIGINT, 'synced_date': VARCHAR}}, columns = {LINE_COLUMNS}, maximum_object_size = 67108864)"
    if not files:
        source = f"(select *, cast(null as bigint) as sync from (select {_empty_line()}) where false)"
    connection.execute("set variable record_files = $files", {"files": files})
    connection.execute(f"create or replace temp view raw_lines as select * from {source}")
    connection.execute(f"create or replace temp view typed_records as {load('core')['records'].sql}")
    target = "insert into records" if _has_records(connection) else "create table records as"
    try:
        connection.execute(f"{target} select * from with_fingerprints('typed_records')")
    except (duckdb.IOException, duckdb.InvalidInputException) as error:
        raise StorageError(f"raw records can't be read: {error}", advice="Restore raw/ from a backup, then run `iodm rebuild`") from error


def _has_records(connection: duckdb.DuckDBPyConnection) -> bool:
    return bool(scalar(connection, "select count(*) from duckdb_tables() where table_name = 'records' and database_name = current_database()"))


def _empty_line() -> str:
    types = {"response": "BIGINT", "index": "BIGINT", "observed_at": "VARCHAR", "broken_fields": "VARCHAR[]", "record": RECORD_TYPE}
    return ", ".join(f"cast(null as {type_}) as {name}" for name, type_ in types.items())


def _check_pages(folder: Path, manifest: SyncManifest) -> None:
    """Compare the manifest with `pages.jsonl`: a file cut short is noticed here, before anything is made of it."""
    try:
        entries = [msgspec.json.decode(line, type=PageEntry) for line in (folder / "pages.jsonl").read_bytes().splitlines()]
        found = (len(entries), sum(entry.records for entry in entries))
    except (msgspec.DecodeError, FileNotFoundError):
        found = (0, 0)
    if found != (manifest.pages, manifest.records):
        raise StorageError(
            f"{folder / 'pages.jsonl'} is torn: {found[0]:,} responses with {found[1]:,} records, expected {manifest.pages:,} with {manifest.records:,}",
            advice="Restore raw/ from a backup, or move this sync's folder away, then run `iodm rebuild`",
        )


def _judge_again(folder: Path, sync_id: int, scratch: Path) -> tuple[list[dict[str, object]], list[str]]:
    """Judge quarantined records by today's rules: those still broken as rows, the others as a file of records."""
    broken: list[dict[str, object]] = []
    good = []
    for line in (folder / "quarantine.jsonl").read_bytes().splitlines():
        entry = msgspec.json.decode(line, type=QuarantineEntry)
        judgement = judge(entry.record.encode())
        if judgement.reason is None:
            time = entry.observed_at.strftime("%Y-%m-%dT%H:%M:%SZ")
            head = {"response": entry.response, "index": entry.index, "observed_at": time, "broken_fields": judgement.broken_fields}
            good.append(msgspec.json.encode({**head, "record": msgspec.Raw(entry.record.encode())}) + b"\n")
        else:
            position = entry.response * 1_000_000 + entry.index
            broken.append({"operation_id": entry.operation_id, "sync_id": sync_id, "position": position, "reason": judgement.reason, "record": entry.record})
    if not good:
        return broken, []
    file = scratch / "synced_date=retried" / f"sync={sync_id:06d}" / "records.jsonl.zst"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(compress(b"".join(good)))
    return broken, [str(file)]


def _merge(connection: duckdb.DuckDBPyConnection, batch: list[tuple[Path, SyncManifest]]) -> None:
    core = load("core")
    connection.execute("set variable first_sync = $id", {"id": batch[0][1].sync_id})
    connection.execute("set variable last_sync = $id", {"id": batch[-1][1].sync_id})
    connection.register("manifests", _manifest_table([manifest for _, manifest in batch]))
    connection.execute(f"create or replace temp view known_content as {core['known_tasks'].sql}")
    connection.execute("create or replace table known_tasks as select * from with_fingerprints('known_content')")
    connection.execute(f"create or replace table observations as {core['observations'].sql}")
    connection.execute(f"create or replace table changes as {core['newest_changes'].sql}")
    connection.execute(f"insert into new_history by name {core['operation_history'].sql}")
    connection.execute(f"insert into new_syncs by name {core['syncs'].sql}")
    connection.execute(f"create or replace table quarantine_after as {core['quarantine'].sql}")
    connection.execute("create or replace table quarantine_before as select * from quarantine_after")
    connection.execute("delete from newest where operation_id in (select operation_id from changes)")
    connection.execute("insert into newest by name select * from changes")
    connection.execute("delete from records where position not in (select position from newest)")
    connection.execute("drop table known_tasks")
    connection.unregister("manifests")


def _manifest_table(manifests: list[SyncManifest]) -> pa.Table:
    schema = pa.schema([field for field in SYNCS.schema if not field.name.startswith("operations_")])
    rows = [{name: getattr(manifest, name) for name in schema.names} for manifest in manifests]
    for row in rows:
        row |= {name: row[name].replace(tzinfo=None) for name in ("started_at", "finished_at")}
    return pa.Table.from_pylist(rows, schema=schema)


def _define_merged(connection: duckdb.DuckDBPyConnection) -> None:
    """Views `merged_<table>`: what is served without the tasks that changed, and these as they are now."""
    if not _has_records(connection):
        _create_records(connection, [])
    connection.execute(f"create or replace view tasks as {load('core')['tasks'].sql}")
    for table in MONTHLY_TABLES:
        connection.execute(f"create or replace view merged_{table.name} as {_merged(table)}")
    connection.execute("create or replace view merged_syncs as select * from served.core.syncs union all by name select * from new_syncs")
    connection.execute("create or replace view merged_quarantine as select * from quarantine_before")


def _merged(table: Table) -> str:
    """The month of a row's task comes first, in `lake_month`."""
    columns = ", ".join(f"kept.{column.name}" for column in table.columns)
    if table is OPERATION_HISTORY:
        every = "select * from served.core.operation_history union all by name select * from new_history"
        return f"select months.lake_month, {columns} from ({every}) as kept inner join merged_operations as months using (operation_id)"
    month = "kept.created_month" if table is OPERATIONS else "operations.created_month"
    join = "" if table is OPERATIONS else "inner join served.core.operations as operations using (operation_id)"
    return f"""
        select {month} as lake_month, {columns} from served.core.{table.name} as kept {join}
        where kept.operation_id not in (select operation_id from newest)
        union all
        select lake_month, {columns} from ({load("core")[table.name].sql}) as kept
    """


def changed_months(connection: duckdb.DuckDBPyConnection) -> set[str]:
    """Months of the tasks that changed, before and after the change."""
    rows = connection.execute(
        "select distinct created_month from tasks union select distinct created_month from served.core.operations semi join newest using (operation_id)"
    ).fetchall()
    return {str(month) for (month,) in rows}

