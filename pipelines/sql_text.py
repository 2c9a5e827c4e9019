"""Small helpers around SQL text, single values and few rows; DuckDB's own client has no name for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import duckdb
import msgspec


def quoted(text: str) -> str:
    """A SQL string, where a value can't be bound: comments, paths to attach."""
    return "'" + text.replace("'", "''") + "'"


def scalar(connection: duckdb.DuckDBPyConnection, sql: str, parameters: Any = None) -> Any:  # noqa: ANN401 - whatever the query selects
    """The first value of the first row, or None; the result is read to its end, as DuckDB 2.0 wants it."""
    rows = connection.execute(sql, parameters).fetchall()
    return rows[0][0] if rows else None


def insert_rows(connection: duckdb.DuckDBPyConnection, table: str, rows: Sequence[object]) -> None:
    """Insert a few objects into a table by the names of its columns; what else they have is left out.

    They travel as JSON: making an Arrow table of Python objects imports pandas, which takes a third of a second.
    """
    columns = connection.execute(f"select column_name, column_type from (describe {table})").fetchall()
    structure = msgspec.json.encode([dict(columns)]).decode()
    names = ", ".join(f"row.{name}" for name, _ in columns)
    connection.execute(
        f"insert into {table} select {names} from (select unnest(from_json($rows, {quoted(structure)})) as row)",
        {"rows": msgspec.json.encode(rows).decode()},
    )
