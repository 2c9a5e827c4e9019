"""Small helpers around SQL text, single values, few rows and errors; DuckDB's own client has no name for them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import duckdb
import msgspec

from pipelines.errors import StorageError


def quoted(text: str) -> str:
    """A SQL string, where a value can't be bound: comments, paths to attach."""
    return "'" + text.replace("'", "''") + "'"


def scalar(connection: duckdb.DuckDBPyConnection, sql: str, parameters: Any = None) -> Any:  # noqa: ANN401 - whatever the query selects
    """The first value of the first row, or None; the result is read to its end, as DuckDB 2.0 wants it."""
    rows = connection.execute(sql, parameters).fetchall()
    return rows[0][0] if rows else None


def siblings(connection: duckdb.DuckDBPyConnection, count: int) -> list[duckdb.DuckDBPyConnection]:
    """Connections for other threads, with the same default database, which `cursor()` forgets."""
    database = scalar(connection, "select current_database()")
    cursors = [connection.cursor() for _ in range(count)]
    for cursor in cursors:
        cursor.execute(f'use "{database}"')
    return cursors


def column_types(connection: duckdb.DuckDBPyConnection, relation: str) -> dict[str, str]:
    """The columns of a table or view with their types; `duckdb_columns()` looks at every relation there is."""
    rows = connection.execute(f"select column_name, column_type from (describe {relation})").fetchall()
    return dict(rows)


def insert_rows(connection: duckdb.DuckDBPyConnection, table: str, rows: Sequence[object]) -> None:
    """Insert a few objects into a table by the names of its columns; what else they have is left out.

    They travel as JSON: making an Arrow table of Python objects imports pandas, which takes a third of a second.
    """
    columns = column_types(connection, table)
    structure = msgspec.json.encode([columns]).decode()
    names = ", ".join(f"row.{name}" for name in columns)
    connection.execute(
        f"insert into {table} select {names} from (select unnest(from_json($rows, {quoted(structure)})) as row)",
        {"rows": msgspec.json.encode(rows).decode()},
    )


def attach_served(connection: duckdb.DuckDBPyConnection, file: Path) -> None:
    """Attach a published file as `served`, to be read.

    Raises:
        StorageError: it is damaged, or may not be read.
    """
    try:
        connection.execute(f"attach {quoted(str(file))} as served (read_only)")
    except duckdb.Error as error:
        raise StorageError(
            f"{file} can't be read: {str(error).splitlines()[0]}",
            advice="Run `iodm rebuild`: it makes a new one from the raw store",
        ) from error


def last_applied(connection: duckdb.DuckDBPyConnection) -> int:
    """The number of the last sync that `served` holds; 0 if none."""
    return int(scalar(connection, "select coalesce(max(sync_id), 0) from served.core.syncs"))


@contextlib.contextmanager
def duckdb_errors() -> Iterator[None]:
    """Turn what DuckDB says of disk and memory into a `StorageError`."""
    try:
        yield
    except duckdb.OutOfMemoryException as error:
        raise StorageError(
            f"out of memory: {str(error).splitlines()[0]}", advice="Give more with IODM_MEMORY_LIMIT"
        ) from error
    except (
        duckdb.IOException,
        duckdb.TransactionException,
        duckdb.FatalException,
    ) as error:  # a full disk is any of them
        raise StorageError(
            f"the database failed: {str(error).splitlines()[0]}",
            advice="Check the disk (`df -h`, permissions), then run it again, or `iodm rebuild`: nothing is lost",
        ) from error
