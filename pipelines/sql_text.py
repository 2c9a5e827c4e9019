"""Small helpers around SQL text and single values; DuckDB's own client has no name for them."""

from __future__ import annotations

from typing import Any

import duckdb


def quoted(text: str) -> str:
    """A SQL string, where a value can't be bound: comments, paths to attach."""
    return "'" + text.replace("'", "''") + "'"


def scalar(connection: duckdb.DuckDBPyConnection, sql: str, parameters: Any = None) -> Any:  # noqa: ANN401 - whatever the query selects
    """The first value of the first row, or None; the result is read to its end, as DuckDB 2.0 wants it."""
    rows = connection.execute(sql, parameters).fetchall()
    return rows[0][0] if rows else None
