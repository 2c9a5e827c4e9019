"""From committed syncs to the file that is served: merge, lake, a new DuckDB file with marts, checks, swap.

The only place that changes what readers see, and it does so in one rename. A crash anywhere before leaves the served
file as it was; the next run applies the same syncs again to that file's tables, and heals what lies half new in the
lake.
Fails with `CheckFailedError` when a check of severity `error` finds rows: then nothing is served that was not before.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from pipelines import lake
from pipelines.checks import CheckResult, refuse_if_failed, run_checks, store_results
from pipelines.errors import StorageError
from pipelines.extract.raw import committed_syncs, newest_base, number_of
from pipelines.flatten import apply_syncs, begin, changed_months, scratch_database
from pipelines.hold import read_hold
from pipelines.lake import LakeFile
from pipelines.marts import build_marts
from pipelines.progress import Reporter
from pipelines.settings import Settings
from pipelines.sql_text import attach_served, duckdb_errors, insert_rows, last_applied, quoted, scalar
from pipelines.tables import TABLES, Column, Table, has_todays_columns
from pipelines.warehouse import Warehouse, publications, serve, storage_errors, sync_to_disk

STORAGE_VERSION = "v1.2.0"  # clients from DuckDB 1.2 on can open it
KEPT_NEWEST, KEPT_DAYS = 3, 7
ROWS_PER_GROUP = 61_440  # half of DuckDB's: a table is compressed while it is loaded from its first full group on
LOADERS = 2
MONTH_OF_FILE = "regexp_extract(filename, 'created_month=([^/]*)/[^/]*$', 1)"  # folders above may be named so too
COMPRESSION = {"target_id": "fsst", "target_type": "dictionary"}  # what DuckDB chooses too, after trying all
LAKE_MANIFEST = {
    "table_name": ("VARCHAR", "the core table"),
    "created_month": ("VARCHAR", "month of the tasks, null for tables without months"),
    "rows": ("BIGINT", "rows in the file"),
    "bytes": ("BIGINT", "size of the file"),
    "sha256": ("VARCHAR", "its content: a file that differs is written again"),
    "sync_id": ("BIGINT", "sync that last changed it"),
}


@dataclass(frozen=True)
class Publication:
    """What `publish` did: the served file, the months rewritten, rows by table, check results."""

    file: Path
    number: int
    syncs_applied: int
    changed_months: list[str]
    rows: dict[str, int]
    checks: list[CheckResult]


def publish(settings: Settings, warehouse: Warehouse, reporter: Reporter, *, from_scratch: bool = False) -> Publication:
    """Apply the committed syncs that are not served yet, and serve the result. The caller holds the warehouse's lock.

    With `from_scratch`, or where what is served lacks what was pruned, or was made by a version with other columns, all
    is made again from the raw store.

    Raises:
        CheckFailedError: a check of severity `error` found rows; the served file is unchanged.
        StorageError: the disk failed, a file is torn, or there is nothing to publish.
    """
    with storage_errors(f"publish in {warehouse.root}"), duckdb_errors():
        base = newest_base(warehouse)
        served = None if from_scratch else warehouse.served_file()
        with _nothing_unfinished(warehouse), scratch_database(warehouse, settings.memory_limit) as connection:
            if served is not None and not _can_be_added_to(connection, served, base):
                served = None
            newest_before = begin(connection, served, base, scratch=warehouse.work)
            syncs = list(committed_syncs(warehouse, after=newest_before))
            if not syncs and newest_before == 0:
                raise StorageError(f"there is no committed sync in {warehouse.raw}", advice="Run `iodm sync` first")
            reporter.step("flattening")
            applied = apply_syncs(connection, syncs, warehouse.work)
            manifest = _manifest_of(connection) if served else []
            months = changed_months(connection) | lake.stale_months(warehouse.lake, manifest)
            reporter.step("writing Parquet")
            newest = syncs[-1][1].sync_id if syncs else newest_before
            files = lake.write(connection, warehouse.lake, months, manifest, newest)
            reporter.step("building the published file")
            number = max(publications(warehouse), default=0) + 1
            checks, rows = _build(connection, settings, warehouse, files, number, reporter=reporter)
        reporter.step("serving")
        file = _serve(warehouse, number)
        _drop_old(warehouse)
    return Publication(file, number, applied, sorted(months), rows, checks)


def _can_be_added_to(connection: duckdb.DuckDBPyConnection, file: Path, base: Path | None) -> bool:
    """Whether what is served has today's columns, and every sync that was pruned."""
    attach_served(connection, file)
    has_pruned = base is None or last_applied(connection) >= number_of(base)
    can_be = has_pruned and has_todays_columns(connection, "served.core")
    connection.execute("detach served")
    return can_be


def _manifest_of(connection: duckdb.DuckDBPyConnection) -> list[LakeFile]:
    rows = connection.execute(f"select {', '.join(LAKE_MANIFEST)} from served.core._lake_files").fetchall()
    return [LakeFile(*row) for row in rows]


def _build(
    connection: duckdb.DuckDBPyConnection,
    settings: Settings,
    warehouse: Warehouse,
    files: list[LakeFile],
    number: int,
    *,
    reporter: Reporter,
) -> tuple[list[CheckResult], dict[str, int]]:
    """Make the next file beside its place; the name changes only when it is complete."""
    warehouse.published.mkdir(exist_ok=True)
    connection.execute("set wal_autocheckpoint = '1TB'")  # one at the end
    if sum(entry.rows for entry in files) < ROWS_PER_GROUP:  # else a fifth of the time goes for nothing
        connection.execute("set threads = 1; set force_compression = 'uncompressed'")
    connection.execute(  # without a log: nobody recovers an unfinished file
        f"attach {quoted(str(_unfinished(warehouse)))} as unfinished "
        f"(storage_version '{STORAGE_VERSION}', row_group_size {ROWS_PER_GROUP}, recovery_mode 'no_wal_writes')"
    )
    connection.execute("use unfinished; detach served; detach memory")  # what was scratch is freed
    create_core_tables(connection)
    with ThreadPoolExecutor(LOADERS) as loaders:  # one compresses a small table beside a large one
        counts = loaders.map(lambda table: _load(connection.cursor(), warehouse, table, files), TABLES)
        rows = dict(zip([table.name for table in TABLES], counts, strict=True))
    insert_rows(connection, "core._lake_files", files)
    reporter.step("making the marts")
    now = datetime.now(UTC).replace(tzinfo=None)
    build_marts(connection, number, settings.target_success_rate, now)
    reporter.step("running the checks")
    checks = run_checks(connection)
    refuse_if_failed(checks)
    store_results(connection, checks)
    connection.execute("checkpoint")
    return checks, rows


def create_core_tables(connection: duckdb.DuckDBPyConnection) -> None:
    """Make the schema `core` with all its tables, empty, with their comments."""
    statements = ["create schema core"]
    for table in TABLES:
        definitions = ", ".join(_definition(column) for column in table.columns)
        comments = {column.name: column.comment for column in table.columns}
        statements += _creation(table.name, definitions, table.description, comments)
    definitions = ", ".join(f"{name} {type_}" for name, (type_, _) in LAKE_MANIFEST.items())
    comments = {name: comment for name, (_, comment) in LAKE_MANIFEST.items()}
    description = "One row per Parquet file of the lake that this file was made from."
    statements += _creation("_lake_files", definitions, description, comments)
    connection.execute(f"begin; {'; '.join(statements)}; commit")


def _creation(name: str, definitions: str, description: str, comments: dict[str, str]) -> list[str]:
    return [
        f"create table core.{name} ({definitions})",
        f"comment on table core.{name} is {quoted(description)}",
        *(f"comment on column core.{name}.{column} is {quoted(comment)}" for column, comment in comments.items()),
    ]


def _definition(column: Column) -> str:
    constraint = "" if column.nullable else " not null"
    compression = f" using compression {COMPRESSION[column.name]}" if column.name in COMPRESSION else ""
    return f"{column.name} {column.duckdb_type}{constraint}{compression}"


def _load(connection: duckdb.DuckDBPyConnection, warehouse: Warehouse, table: Table, files: list[LakeFile]) -> int:
    paths = [str(entry.path(warehouse.lake)) for entry in files if entry.table_name == table.name]
    if not paths:
        return 0
    columns = ", ".join(MONTH_OF_FILE if column.name == "created_month" else column.name for column in table.columns)
    return int(
        scalar(
            connection,
            f"insert into unfinished.core.{table.name} select {columns} "
            "from read_parquet($paths, hive_partitioning = false, filename = true)",
            {"paths": paths},
        )
    )


def _serve(warehouse: Warehouse, number: int) -> Path:
    unfinished = _unfinished(warehouse)
    unfinished.chmod(0o444)
    sync_to_disk(unfinished)
    file = warehouse.published / f"iodm-{number:06d}.duckdb"
    unfinished.replace(file)
    sync_to_disk(warehouse.published)
    serve(warehouse, file)
    return file


def _drop_old(warehouse: Warehouse) -> None:
    """Keep the newest files, the last one of each of the newest days, and what a rollback is about."""
    files, hold = publications(warehouse), read_hold(warehouse)
    last_of_day = {datetime.fromtimestamp(file.stat().st_mtime, UTC).date(): file for file in files.values()}
    kept = {
        *list(files.values())[-KEPT_NEWEST:],
        *(last_of_day[day] for day in sorted(last_of_day)[-KEPT_DAYS:]),
        warehouse.served_file(),
        *((files.get(hold.from_publication), files.get(hold.to_publication)) if hold else ()),
    }
    for file in files.values():
        if file not in kept:
            file.unlink()


def _unfinished(warehouse: Warehouse) -> Path:
    return warehouse.published / "unfinished.duckdb"


@contextlib.contextmanager
def _nothing_unfinished(warehouse: Warehouse) -> Iterator[None]:
    """Drop what a crash left, and, once DuckDB has closed it, what fails now; the disk may be full."""
    _drop_unfinished(warehouse)
    try:
        yield
    except BaseException:
        _drop_unfinished(warehouse)
        raise


def _drop_unfinished(warehouse: Warehouse) -> None:
    for file in warehouse.published.glob(f"{_unfinished(warehouse).name}*"):
        file.unlink()
