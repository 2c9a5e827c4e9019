"""The SQL of `sql/`: one `select` per file, the file's name is the relation's name, its header says the rest.

Header lines are `-- key: value` or prose; comments behind output columns are their descriptions. Loading and ordering
only; running models belongs to `flatten` (core) and `publish` (macros, marts, checks).
"""

from __future__ import annotations

import contextlib
import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import duckdb

from pipelines.errors import QueryError

WINDOW = ["since", "until"]
_HEADER_KEYS = ("grain", "key", "severity", "share of", "parameters", "window", "relation")


@dataclass(frozen=True)
class Model:
    """A SQL file: relation name, text, the prose of its header and its `key: value` lines."""

    name: str
    path: Path
    sql: str
    description: str
    header: dict[str, str]

    @property
    def parameters(self) -> list[str]:
        """Parameters of the table macro that this model is, or none."""
        return [name.strip() for name in self.header.get("parameters", "").split(",") if name.strip()]

    @property
    def key(self) -> list[str] | None:
        """Columns that identify a row: none where there is only one row; None where the header does not say."""
        if "key" not in self.header:
            return None
        return [name.strip() for name in self.header["key"].split(",") if name.strip()]

    @property
    def kind(self) -> str:
        """`table` or `view`."""
        return self.header.get("relation", "table")

    @property
    def is_relation(self) -> bool:
        """True for a table or a view; false for what exists only as a table macro, because it needs an argument."""
        return self.parameters in ([], WINDOW)

    @property
    def has_window(self) -> bool:
        """True if there is a table macro `<name>_between(since, until)` beside it."""
        return self.parameters == WINDOW or "window" in self.header

    @property
    def order(self) -> str:
        """What its rows are ordered by, in terms of its own columns: a table does not keep the order of its query."""
        last = re.search(r"\norder by ([^()]+)$", self.sql)
        return re.sub(r"\b\w+\.", "", last[1]) if last else "all"


def sql_folder() -> Path:
    """The folder of SQL: inside the package in a wheel, beside it in the repository."""
    inside = Path(__file__).parent / "sql"
    return inside if inside.is_dir() else Path(__file__).parent.parent / "sql"


@functools.cache
def load(kind: str) -> dict[str, Model]:
    """Read all models of a kind (`core`, `macros`, `marts`, `checks`), by name, in the order of their names."""
    return {path.stem: _parse(path) for path in sorted((sql_folder() / kind).glob("*.sql"))}


def _parse(path: Path) -> Model:
    sql = path.read_text(encoding="utf-8").strip().removesuffix(";")
    header: dict[str, str] = {}
    prose = []
    for line in sql.splitlines():
        if not line.startswith("--"):
            break
        text = line.removeprefix("--").strip()
        key, _, value = text.partition(":")
        if key in _HEADER_KEYS:
            header[key] = value.strip()
        else:
            prose.append(text)
    return Model(path.stem, path, sql, " ".join(prose), header)


@contextlib.contextmanager
def query_errors(model: Model) -> Iterator[None]:
    """Say which file a query is in that DuckDB refused; what is no fault of the query stays what it is.

    Raises:
        QueryError: with DuckDB's reason, the file and its text.
    """
    try:
        yield
    except (duckdb.ProgrammingError, duckdb.DataError, duckdb.NotSupportedError) as error:
        file = f"{model.path.parent.name}/{model.path.name}"
        reason = " ".join(str(error).split("LINE ")[0].split())
        advice = f"Nothing was published. Correct sql/{file}, then run `iodm rebuild`"
        raise QueryError(f"sql/{file} failed: {reason}", advice=advice, file=file, sql=model.sql) from error


def column_comments(model: Model) -> dict[str, str]:
    """Descriptions of output columns: `expression as name, -- description`, or `'name': expression, -- description`."""
    comments = {}
    for line in model.sql.splitlines():
        found = re.match(r"^\s+'(\w+)': .*-- (.+)$", line) or re.match(
            r"^\s+(?:.*\bas\s+|.*\.)?(\w+),?\s+-- (.+)$", line
        )
        if found:
            comments[found[1]] = found[2].strip()
    return comments
