"""Macros and marts: the SQL of `sql/macros` and `sql/marts` run in a file that is being built, with their comments.

A mart whose header names parameters becomes a table macro `marts.<name>_between` (or `marts.<name>` where it can't be a
table) and, with all parameters null, a table. What is served and what is refused is decided in `publish`.
"""

from __future__ import annotations

import graphlib
import re
from datetime import datetime

import duckdb

from pipelines.models import Model, column_comments, load
from pipelines.sql_text import quoted

WINDOW = ["since", "until"]


def build_marts(
    connection: duckdb.DuckDBPyConnection, publication: int, target_success_rate: float, published_at: datetime
) -> None:
    """Make all macros and marts of the publication with this number, made at this instant (UTC, without zone).

    Raises:
        duckdb.Error: a query failed; a note on the error names the SQL file.
    """
    connection.begin()  # one transaction: each commit waits for the disk
    connection.execute("set variable publication = $number", {"number": publication})
    connection.execute("set variable published_at = $now", {"now": published_at})
    connection.execute(f"create macro target_success_rate() as {target_success_rate!r}")
    for model in _in_order(load("macros"), r"\b{name}\("):
        _run(connection, model, model.sql)
    connection.execute("create schema marts")
    for model in _in_order(load("marts"), r"\bmarts\.{name}\b"):
        _build_mart(connection, model)
    connection.commit()


def _build_mart(connection: duckdb.DuckDBPyConnection, model: Model) -> None:
    if model.parameters == WINDOW:
        _run(connection, model, f"create macro marts.{model.name}_between(since, until) as table {model.sql}")
        _run(
            connection,
            model,
            f"create table marts.{model.name} as select * from marts.{model.name}_between(null, null)",
        )
    elif model.parameters:
        _run(connection, model, f"create macro marts.{model.name}({', '.join(model.parameters)}) as table {model.sql}")
        return
    else:
        _run(connection, model, f"create table marts.{model.name} as {model.sql}")
    connection.execute(f"comment on table marts.{model.name} is {quoted(model.description)}")
    comments = {**column_comments(load("macros")["success_measures"]), **column_comments(model)}
    columns = connection.execute(f"select column_name from (describe marts.{model.name})").fetchall()
    for (column,) in columns:
        if column in comments:
            connection.execute(f"comment on column marts.{model.name}.{column} is {quoted(comments[column])}")


def _in_order(models: dict[str, Model], reference: str) -> list[Model]:
    """Each model after the ones that it refers to."""
    refers = {
        name: {
            other for other in models if other != name and re.search(reference.format(name=re.escape(other)), model.sql)
        }
        for name, model in models.items()
    }
    return [models[name] for name in graphlib.TopologicalSorter(refers).static_order()]


def _run(connection: duckdb.DuckDBPyConnection, model: Model, sql: str) -> None:
    try:
        connection.execute(sql)
    except duckdb.Error as error:
        error.add_note(f"in {model.path.parent.name}/{model.path.name}")
        raise
