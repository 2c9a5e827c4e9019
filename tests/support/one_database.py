"""Connections that share one DuckDB: opening a database of its own takes a sync longer than everything else in it."""

import contextlib
from collections.abc import Iterator
from typing import Any

import duckdb

RENEWED_AFTER = 200  # connections: it grows slower with each


class OneDatabase:
    """Stands in for `duckdb.connect`: each connection sees a fresh, empty database, or the file that it names."""

    def __init__(self) -> None:
        self._open = duckdb.connect  # before anything stands in for it
        self._instance = self._open(config={"threads": 1})
        self._connected = 0

    @contextlib.contextmanager
    def connect(self, file: str = ":memory:", *, read_only: bool = False, config: Any = None) -> Iterator[Any]:
        """As `with duckdb.connect(…) as connection`."""
        self._connected += 1
        if self._connected % RENEWED_AFTER == 0:
            self.close()
            self._instance = self._open(config={"threads": 1})
        name = f"database_{self._connected}"
        with self._instance.cursor() as connection:
            connection.execute(f"attach '{file}' as {name} {'(read_only)' if read_only else ''}; use {name}")
            try:
                yield connection
            finally:
                connection.execute(f"use memory; detach {name}; detach database if exists served")

    def close(self) -> None:
        """Let go of it."""
        self._instance.close()
        del self._instance
