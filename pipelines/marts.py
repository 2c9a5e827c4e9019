"""Macros and marts: the SQL of `sql/macros` and `sql/marts` run in a file that is being built, with their comments.

A mart is a table, or a view where its header says `relation: view`. Where the header names the parameters `since,
until` it is also the table macro `marts.<name>_between`, and the table is what that gives for two nulls; where it says
`window: created_at` the macro picks rows of the table. With other parameters it is a table macro alone. What is served
and what is refused is decided in `publish`.
"""

from __future__ import annotations

import graphlib
import re
from datetime import datetime

import duckdb

from pipelines.models import Model, column_comments, load, query_errors
from pipelines.sql_text import column_types, quoted


def build_marts(
    connection: duckdb.DuckDBPyConnection, publication: int, target_success_rate: float, published_at: datetime
) -> None:
    """Make all macros and marts of the publication with this number, made at this instant (UTC, without zone).

    Raises:
        QueryError: a query is wrong; it names the SQL file.
    """
    connection.begin()  # one transaction: each commit waits for the disk
    connection.execute("set variable publication = $number", {"number": publication})
    connection.execute("set variable published_at = $now", {"now": published_at})
    connection.execute(f"create macro target_success_rate() as {target_success_rate!r}")
    for model in _in_order(load("macros"), r"\b(\w+)\("):
        _run(connection, model, model.sql)
    connection.execute("create schema marts")
    for model in _in_order(load("marts"), r"\bmarts\.(\w+?)(?:_between)?\b"):
        _build_mart(connection, model)
    _comment(connection)
    connection.commit()


def _build_mart(connection: duckdb.DuckDBPyConnection, model: Model) -> None:
    relation = f"marts.{model.name}"
    if not model.is_relation:
        _run(connection, model, f"create macro {relation}({', '.join(model.parameters)}) as table {model.sql}")
        return
    if model.parameters:
        _run(connection, model, f"create macro {relation}_between(since, until) as table {model.sql}")
        _run(connection, model, f"create {model.kind} {relation} as from {relation}_between(null, null)")
    else:
        _run(connection, model, f"create {model.kind} {relation} as {model.sql}")
    if "window" in model.header:
        rows = f"select * from {relation} where created_between({model.header['window']}, since, until)"
        _run(connection, model, f"create macro {relation}_between(since, until) as table {rows}")


def _comment(connection: duckdb.DuckDBPyConnection) -> None:
    """Say of each mart and column what it is; all at once, because hundreds of statements take half as long again."""
    measures = column_comments(load("macros")["success_measures"])
    comments = {name: measures | column_comments(model) for name, model in load("marts").items() if model.is_relation}
    statements = [
        f"comment on {load('marts')[name].kind} marts.{name} is {quoted(load('marts')[name].description)}"
        for name in comments
    ]
    statements += [
        f"comment on column marts.{name}.{column} is {quoted(comments[name][column])}"
        for name in comments
        for column in column_types(connection, f"marts.{name}")
        if column in comments[name]
    ]
    connection.execute("; ".join(statements))


def _in_order(models: dict[str, Model], reference: str) -> list[Model]:
    """Each model after the ones that it refers to."""
    refers = {name: (set(re.findall(reference, model.sql)) & models.keys()) - {name} for name, model in models.items()}
    return [models[name] for name in graphlib.TopologicalSorter(refers).static_order()]


def _run(connection: duckdb.DuckDBPyConnection, model: Model, sql: str) -> None:
    with query_errors(model):
        connection.execute(sql)
