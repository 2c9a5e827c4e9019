"""The data dictionary: every relation, macro and check of the published file, as Markdown on stdout.

It is read from an empty published file, made in memory by the functions that make the real one, and from the headers of
`sql/`: nothing is described here that is not described there. `make docs` writes it to docs/data-dictionary.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

import click
import duckdb

from pipelines.checks import store_results
from pipelines.marts import build_marts
from pipelines.models import Model, column_comments, load
from pipelines.publish import create_core_tables
from pipelines.tables import TABLES

INTRODUCTION = """\
# Data dictionary

What is in the published file. Generated from `pipelines/tables.py` and the headers of `sql/`: `make docs` writes it
anew. Times are UTC, `TIMESTAMP` without zone. In `core`, columns that begin with `_` are ours, the others are the
platform's. [The cookbook](cookbook.md) shows how to ask."""
CORE = """\
## core

What the platform said. A number has its unit in brackets; a column may be null unless it says `not null`."""
MARTS = """\
## marts

What it means. A window `_between(since, until)` takes the tasks created from `since` on and before `until`, UTC; null
leaves an end open: `from marts.success_by_day_between('2026-03-01', null)`."""
MACROS = """\
## Macros

For roll-ups of your own. They are in the schema `main` of the file: where it is attached beside others, `use` it
first."""
CHECKS = """\
## Checks

What is looked at before each publication. An error blocks it, a warning does not; `marts.data_quality` holds what they
found. The share is the offending rows among those of the relation named here."""
TARGET = "What verdicts compare with: the target success rate of this file (`IODM_TARGET_SUCCESS_RATE`)."
KEYS = {table.name: table.key for table in TABLES} | {"_lake_files": ("table_name", "created_month")}

Row = tuple[str, ...]


def dictionary() -> str:
    """The whole document."""
    with duckdb.connect() as connection:
        create_core_tables(connection)
        build_marts(connection, 1, 0.95, datetime.now(UTC).replace(tzinfo=None))
        store_results(connection, [])
        parts = [INTRODUCTION, CORE, *_core(connection), MARTS, *_marts(connection), MACROS, *_macros(connection)]
    return "\n\n".join([*parts, CHECKS, _checks()]) + "\n"


def _core(connection: duckdb.DuckDBPyConnection) -> Iterator[str]:
    for name, comment in _relations(connection, "core"):
        yield _section(f"core.{name}", comment, f"Key: {', '.join(f'`{column}`' for column in KEYS[name])}.")
        rows = (
            (f"`{column}`", type_ if is_nullable else f"{type_} not null", meaning)
            for column, type_, is_nullable, meaning in _columns(connection, "core", name)
        )
        yield _table(("column", "type", "meaning"), rows)


def _marts(connection: duckdb.DuckDBPyConnection) -> Iterator[str]:
    comments = dict(_relations(connection, "marts"))
    models = load("marts")
    for name in sorted(comments.keys() | models.keys()):
        model = models.get(name)
        title = f"marts.{name}" if name in comments else f"marts.{name}({', '.join(models[name].parameters)})"
        yield _section(title, comments.get(name, model.description if model else ""), _notes(model))
        columns = _columns(connection, "marts", name) if name in comments else _result(connection, models[name])
        rows = ((f"`{column}`", type_, meaning) for column, type_, _, meaning in columns)
        yield _table(("column", "type", "meaning"), rows)


def _notes(model: Model | None) -> str:
    if model is None:
        return ""
    notes = [f"One row: {model.header['grain']}."]
    if model.key:
        notes.append(f"Key: {', '.join(f'`{column}`' for column in model.key)}.")
    if "relation" in model.header:
        notes.append(f"A {model.header['relation']}.")
    if model.has_window:
        notes.append(f"Window: `marts.{model.name}_between(since, until)`.")
    if not model.is_relation:
        notes.append("A table macro alone: it needs its argument.")
    return " ".join([*notes, f"[SQL](../sql/marts/{model.name}.sql)"])


def _macros(connection: duckdb.DuckDBPyConnection) -> Iterator[str]:
    functions = connection.execute(
        "select function_name, parameters from duckdb_functions() "
        "where not internal and function_type = 'macro' order by function_name"
    ).fetchall()
    models = load("macros")
    for name, parameters in functions:
        description, _, source = (models[name].description if name in models else TARGET).partition("Source: ")
        yield _section(f"{name}({', '.join(parameters)})", description.strip(), f"Source: {source}" if source else "")


def _checks() -> str:
    rows = []
    for name, model in load("checks").items():
        share_of = f"`{model.header['share of']}`"
        rows.append((f"[{name}](../sql/checks/{name}.sql)", model.header["severity"], model.description, share_of))
    return _table(("check", "severity", "what should hold", "share of"), rows)


def _relations(connection: duckdb.DuckDBPyConnection, schema: str) -> list[tuple[str, str]]:
    return connection.execute(
        "select table_name, comment from duckdb_tables() where schema_name = $schema union all "
        "select view_name, comment from duckdb_views() where schema_name = $schema order by all",
        {"schema": schema},
    ).fetchall()


def _columns(connection: duckdb.DuckDBPyConnection, schema: str, name: str) -> list[tuple[str, str, bool, str]]:
    return connection.execute(
        "select column_name, data_type, is_nullable, coalesce(comment, '') from duckdb_columns() "
        "where schema_name = $schema and table_name = $name order by column_index",
        {"schema": schema, "name": name},
    ).fetchall()


def _result(connection: duckdb.DuckDBPyConnection, model: Model) -> list[tuple[str, str, bool, str]]:
    call = f"marts.{model.name}({', '.join('null' for _ in model.parameters)})"
    columns = connection.execute(f"select column_name, column_type from (describe from {call})").fetchall()
    comments = column_comments(model)
    return [(name, type_, True, comments.get(name, "")) for name, type_ in columns]


def _section(title: str, *paragraphs: str) -> str:
    return "\n\n".join([f"### {title}", *(text for text in paragraphs if text)])


def _table(heads: Row, rows: Iterable[Row]) -> str:
    lines = [heads, ("---",) * len(heads), *(tuple(cell.replace("|", "\\|") for cell in row) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    click.echo(dictionary(), nl=False)
