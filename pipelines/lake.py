"""Core tables as Parquet: `lake/<table>/created_month=YYYY-MM/data.parquet`; `syncs` and `quarantine` without months.

A file is written whole beside its place and renamed, only if it differs, so that an unchanged month stays the same
file. Rows come sorted and in row groups of fixed size: the same rows give the same bytes. What belongs into a file is
decided in `flatten`; a manifest of what was written travels in the published file, so that a lake that a crash left
half new, or that somebody changed, is noticed and written again.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import duckdb
import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines.flatten import rows_at_most
from pipelines.sql_text import quoted
from pipelines.tables import OPERATION_TARGETS, TABLES, TEXT, Table
from pipelines.warehouse import sha256_of, sync_to_disk

ROWS_PER_GROUP = 131_072
ROWS_PER_SORT = 1_000_000
WRITERS = 2  # one encodes Parquet while the other's query runs
_UNIQUE_TEXT = ("operation_id", "target_id", "record")  # a dictionary of values that don't repeat only costs time


class LakeFile(msgspec.Struct, frozen=True):
    """One Parquet file: table, month (None without months), content, and the sync that last changed it."""

    table_name: str
    created_month: str | None
    rows: int
    bytes: int
    sha256: str
    sync_id: int

    def path(self, lake: Path) -> Path:
        """Where it lies."""
        return file_of(lake, self.table_name, self.created_month)


def file_of(lake: Path, table_name: str, created_month: str | None) -> Path:
    """The place of a table's month."""
    folder = lake / table_name
    return (folder / f"created_month={created_month}" if created_month else folder) / "data.parquet"


def stale_months(lake: Path, manifest: Iterable[LakeFile]) -> set[str]:
    """Months with a file that is not what the manifest says; files that it does not know are removed."""
    known = {entry.path(lake): entry for entry in manifest}
    for file in lake.glob("**/*.parquet"):
        if file not in known:
            file.unlink()
    return {
        entry.created_month
        for file, entry in known.items()
        if entry.created_month and (not file.is_file() or sha256_of(file) != entry.sha256)
    }


def write(
    connection: duckdb.DuckDBPyConnection, lake: Path, months: set[str], manifest: Iterable[LakeFile], sync_id: int
) -> list[LakeFile]:
    """Write the given months of every table from the views `merged_<table>`; returns the manifest of the whole lake."""
    before = {(entry.table_name, entry.created_month): entry for entry in manifest}
    after = {key: entry for key, entry in before.items() if key[1] is not None and key[1] not in months}
    with ThreadPoolExecutor(WRITERS) as writers:
        written = writers.map(
            lambda table: _write_table(connection.cursor(), lake, table, months, sync_id), _largest_first()
        )
        for entry in itertools.chain.from_iterable(written):
            old = before.get((entry.table_name, entry.created_month))
            after[entry.table_name, entry.created_month] = (
                old if old is not None and old.sha256 == entry.sha256 else entry
            )
    for key in before.keys() - after.keys():
        before[key].path(lake).unlink(missing_ok=True)
    return sorted(after.values(), key=lambda entry: (entry.table_name, entry.created_month or ""))


def _largest_first() -> list[Table]:
    """A table has targets by the dozen for each task: whoever writes it should start first."""
    return sorted(TABLES, key=lambda table: table is not OPERATION_TARGETS)


def _write_table(
    connection: duckdb.DuckDBPyConnection, lake: Path, table: Table, months: set[str], sync_id: int
) -> list[LakeFile]:
    return [
        _write_file(file_of(lake, table.name, month), table, month, batches, sync_id)
        for month, batches in _months_of(connection, table, months)
    ]


def _months_of(
    connection: duckdb.DuckDBPyConnection, table: Table, months: set[str]
) -> Iterator[tuple[str | None, Iterator[pa.RecordBatch]]]:
    """Each month with its rows, in order; a month's rows must be read before the next month is asked for."""
    columns = ", ".join(table.file_schema.names)
    order = ", ".join(table.order_by)
    if not table.is_monthly:
        query = f"select {columns} from merged_{table.name} order by {order}"
        yield None, iter(connection.sql(query).to_arrow_reader(ROWS_PER_GROUP))
        return
    for group in _groups_of_months(connection, table, months):
        listed = ", ".join(quoted(month) for month in group)
        # DuckDB compares the first 8 bytes of a sort key for free, and months hardly differ there: their place does
        query = f"""
            select lake_month, {columns} from merged_{table.name} where lake_month in ({listed})
            order by cast(list_position([{listed}], lake_month) as usmallint), {order}
        """
        parts = _by_month(connection.sql(query).to_arrow_reader(ROWS_PER_GROUP))
        for month, slices in itertools.groupby(parts, key=lambda part: part[0]):
            yield month, (batch for _, batch in slices)


def _groups_of_months(connection: duckdb.DuckDBPyConnection, table: Table, months: set[str]) -> Iterator[list[str]]:
    """Months sorted together: few queries for small ones, no sort of more than `ROWS_PER_SORT` rows for large ones."""
    if rows_at_most(connection, table) <= ROWS_PER_SORT:
        yield sorted(months)
        return
    sizes = connection.execute(f"select lake_month, count(*) from merged_{table.name} group by lake_month").fetchall()
    group: list[str] = []
    rows = 0
    for month, size in sorted(sizes):
        if month in months:
            if group and rows + size > ROWS_PER_SORT:
                yield group
                group, rows = [], 0
            group.append(month)
            rows += size
    if group:
        yield group


def _by_month(batches: Iterable[pa.RecordBatch]) -> Iterator[tuple[str, pa.RecordBatch]]:
    """Cut batches where `lake_month`, their first column, changes, and take it off."""
    for batch in batches:
        start = 0
        for end in pc.run_end_encode(batch.column(0)).run_ends.to_pylist():
            yield batch.column(0)[start].as_py(), batch.slice(start, end - start).remove_column(0)
            start = end


def _write_file(
    file: Path, table: Table, month: str | None, batches: Iterator[pa.RecordBatch], sync_id: int
) -> LakeFile:
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(f".{file.name}.new")
    schema = table.file_schema
    dictionary = [field.name for field in schema if field.type == TEXT and field.name not in _UNIQUE_TEXT]
    rows = 0
    with pq.ParquetWriter(
        temporary, schema, compression="zstd", compression_level=1, use_dictionary=dictionary, store_schema=True
    ) as writer:
        for group in _groups(batches, schema):
            writer.write_table(group, row_group_size=ROWS_PER_GROUP)
            rows += group.num_rows
    sha256 = sha256_of(temporary)
    if file.is_file() and sha256_of(file) == sha256:
        temporary.unlink()
    else:
        sync_to_disk(temporary)
        temporary.replace(file)
    return LakeFile(table.name, month, rows, file.stat().st_size, sha256, sync_id)


def _groups(batches: Iterator[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.Table]:
    """Tables of exactly `ROWS_PER_GROUP` rows but for the last, whatever the sizes of the batches."""
    waiting: list[pa.RecordBatch] = []
    count = 0
    for batch in batches:
        waiting.append(batch)
        count += batch.num_rows
        if count >= ROWS_PER_GROUP:
            table = pa.Table.from_batches(waiting)
            whole = count - count % ROWS_PER_GROUP
            yield _conform(table.slice(0, whole), schema)
            waiting, count = table.slice(whole).to_batches(), count - whole
    if count:
        yield _conform(pa.Table.from_batches(waiting), schema)


def _conform(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """The registry's types and nullability; DuckDB marks every column as nullable."""
    for field in schema:
        if not field.nullable and table.column(field.name).null_count:
            raise pa.ArrowInvalid(f"{field.name} has nulls, which the registry excludes")
    return pa.table([pc.cast(table.column(field.name), field.type) for field in schema], schema=schema)
