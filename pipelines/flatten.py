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

from pipelines.base import load_base
from pipelines.extract.entries import SyncManifest
from pipelines.models import load
from pipelines.records import batches, ensure_records, load_records
from pipelines.sql_text import attach_served, insert_rows, last_applied, scalar
from pipelines.tables import MONTHLY_TABLES, OPERATION_HISTORY, OPERATION_TARGETS, OPERATIONS, TABLES, Table
from pipelines.warehouse import Warehouse

TASKS_PER_PART = 250_000


@contextlib.contextmanager
def scratch_database(warehouse: Warehouse, memory_limit: str) -> Iterator[duckdb.DuckDBPyConnection]:
    """A database for one run, in memory up to the limit, beyond it in a folder that is emptied before and after."""
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


def begin(
    connection: duckdb.DuckDBPyConnection, served: Path | None, base: Path | None = None, *, scratch: Path
) -> int:
    """Attach what is served (None for a rebuild, which starts from a base, if there is one) to apply syncs to it.

    Returns the last sync that it holds.

    Raises:
        StorageError: the base is damaged.
    """
    if served is None:
        connection.execute("attach ':memory:' as served")
        connection.execute("create schema served.core")
        for table in TABLES:
            columns = ", ".join(f"{column.name} {column.duckdb_type}" for column in table.columns)
            connection.execute(f"create table served.core.{table.name} ({columns})")
    else:
        attach_served(connection, served)
    fingerprints = load("core")["with_fingerprints"]
    connection.execute(f"create macro with_fingerprints(relation) as table {fingerprints.sql}")
    connection.execute("create table newest (operation_id varchar, position bigint, first_observed_at timestamp)")
    connection.execute("create table new_history as select * from served.core.operation_history limit 0")
    connection.execute("create table new_syncs as select * from served.core.syncs limit 0")
    connection.execute(
        "create table quarantine_before as "
        "select *, cast(-1 as bigint) as position, cast(null as timestamp) as observed_at from served.core.quarantine"
    )
    connection.execute(
        "create table broken_records (operation_id varchar, sync_id bigint, position bigint, observed_at timestamp, "
        "reason varchar, record varchar)"
    )
    connection.execute("create table removal_lines (operation_id varchar, position bigint, observed_at timestamp)")
    connection.execute("create table removed (operation_id varchar, removed_at timestamp)")
    if served is None and base is not None:
        return _begin_with(connection, base, scratch)
    return last_applied(connection)


def _begin_with(connection: duckdb.DuckDBPyConnection, base: Path, scratch: Path) -> int:
    """Take in a base: first its records, with those that only today's rules take; then what it says of them."""
    manifest, still_broken = load_base(connection, base, scratch)
    connection.execute("insert into newest select operation_id, position, first_observed_at from base_tasks")
    _merge(connection, [], 1, manifest.sync_id)
    connection.execute(
        "insert into new_history by name select * from base_history anti join new_history using (operation_id, sync_id)"
    )
    connection.execute("insert into new_syncs by name select * from base_syncs")
    connection.execute(
        "insert into removed select operation_id, removed_at from base_tasks where removed_at is not null"
    )
    insert_rows(connection, "quarantine_before", still_broken)
    for name in ("tasks", "history", "syncs"):
        connection.execute(f"drop table base_{name}")
    return manifest.sync_id


def apply_syncs(
    connection: duckdb.DuckDBPyConnection, syncs: Iterable[tuple[Path, SyncManifest]], scratch: Path
) -> int:
    """Apply committed syncs, oldest first; returns how many.

    Raises:
        StorageError: a raw file is torn: it holds fewer records than its sync received.
    """
    count = 0
    for batch in batches(syncs):
        load_records(connection, batch, scratch)
        _merge(connection, [manifest for _, manifest in batch], batch[0][1].sync_id, batch[-1][1].sync_id)
        count += len(batch)
    _define_merged(connection)
    return count


def _merge(connection: duckdb.DuckDBPyConnection, manifests: list[SyncManifest], first: int, last: int) -> None:
    core = load("core")
    connection.execute("set variable first_sync = $id", {"id": first})
    connection.execute("set variable last_sync = $id", {"id": last})
    connection.execute(
        "create or replace table manifests as "
        "select * exclude (operations_new, operations_changed) from new_syncs limit 0"
    )
    rows = [msgspec.to_builtins(each) | {"_undocumented_fields": each.undocumented_fields} for each in manifests]
    insert_rows(connection, "manifests", rows)
    connection.execute(f"create or replace temp view known_content as {core['known_tasks'].sql}")
    _load_known_tasks(connection)
    connection.execute(f"create or replace table observations as {core['observations'].sql}")
    connection.execute(f"create or replace table changes as {core['newest_changes'].sql}")
    connection.execute(f"insert into new_history by name {core['operation_history'].sql}")
    connection.execute(f"insert into new_syncs by name {core['syncs'].sql}")
    connection.execute(f"create or replace table removals as {core['removals'].sql}")
    connection.execute("delete from removed where operation_id in (select operation_id from removals)")
    connection.execute("insert into removed select * from removals")
    connection.execute(f"create or replace table quarantine_after as {core['quarantine'].sql}")
    connection.execute("create or replace table quarantine_before as select * from quarantine_after")
    connection.execute("delete from newest where operation_id in (select operation_id from changes)")
    connection.execute("insert into newest by name select * from changes")
    connection.execute("delete from records where position not in (select position from newest)")
    connection.execute("drop table known_tasks")


def _load_known_tasks(connection: duckdb.DuckDBPyConnection) -> None:
    """Fingerprints of what is served of the tasks met, in parts: all targets of a million don't fit the memory."""
    connection.execute(
        "create or replace table known_tasks "
        "(operation_id varchar, first_observed_at timestamp, content ubigint, state ubigint)"
    )
    served, met = (scalar(connection, f"select count(*) from {name}") for name in ("served.core.operations", "records"))
    parts = min(served, met) // TASKS_PER_PART + 1
    connection.execute(f"set variable parts = {parts}")
    for part in range(parts):
        connection.execute(f"set variable part = {part}")
        connection.execute(
            "insert into known_tasks "
            "select operation_id, first_observed_at, content, state from with_fingerprints('known_content')"
        )


def _define_merged(connection: duckdb.DuckDBPyConnection) -> None:
    """Views `merged_<table>`: what is served without the tasks that changed, and these as they are now."""
    ensure_records(connection)
    connection.execute("create or replace view tasks as select * from records")  # pruned to each task's newest content
    for table in MONTHLY_TABLES:
        connection.execute(f"create or replace view merged_{table.name} as {_merged(table)}")
    connection.execute(
        "create or replace view merged_syncs as "
        "select * from served.core.syncs union all by name select * from new_syncs"
    )
    connection.execute("create or replace view merged_quarantine as select * from quarantine_before")


def _merged(table: Table) -> str:
    """The month of a row's task comes first, in `lake_month`."""
    columns = ", ".join(f"kept.{column.name}" for column in table.columns)
    if table is OPERATION_HISTORY:
        every = "select * from served.core.operation_history union all by name select * from new_history"
        return f"""
            select months.lake_month, {columns} from ({every}) as kept
            inner join merged_operations as months using (operation_id)
        """
    month = "kept.created_month" if table is OPERATIONS else "operations.created_month"
    join = "" if table is OPERATIONS else "inner join served.core.operations as operations using (operation_id)"
    served_columns = columns
    if table is OPERATIONS:
        join = "left join removed using (operation_id)"
        served_columns = columns.replace(
            "kept.removed_at",
            "case when removed.operation_id is null then kept.removed_at else removed.removed_at end as removed_at",
        )
    return f"""
        select {month} as lake_month, {served_columns} from served.core.{table.name} as kept {join}
        where kept.operation_id not in (select operation_id from newest)
        union all
        select lake_month, {columns} from ({load("core")[table.name].sql}) as kept
    """


def rows_at_most(connection: duckdb.DuckDBPyConnection, table: Table) -> int:
    """A bound on the rows of `merged_<table>`; counting them takes a small publication a twentieth of its time."""
    new = {
        OPERATION_TARGETS: "sum(named_device_count + device_group_count) from tasks",
        OPERATION_HISTORY: "count(*) from new_history",
    }.get(table, "count(*) from tasks")
    served = scalar(connection, f"select count(*) from served.core.{table.name}")
    return int(served) + int(scalar(connection, f"select {new}") or 0)


def changed_months(connection: duckdb.DuckDBPyConnection) -> set[str]:
    """Months of the tasks that changed, before and after the change."""
    rows = connection.execute(
        "select distinct created_month from tasks union "
        "select distinct created_month from served.core.operations "
        "where operation_id in (select operation_id from newest union all select operation_id from removed)"
    ).fetchall()
    return {str(month) for (month,) in rows}
