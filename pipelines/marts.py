"""Macros and marts: the SQL of `sql/macros` and `sql/marts` run in a file that is being built, with their comments.

A mart is a table, or a view where its header says `relation: view`. Where the header names the parameters `since,
until` it is also the table macro `marts.<name>_between`, and the table is what that gives for two nulls; where it says
`window: created_at` the macro picks rows of the table. With other parameters it is a table macro alone. What is served
and what is refused is decided in `publish`.
"""

from __future__ import annotations

import graphlib
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import duckdb

from pipelines.models import Model, column_comments, load, query_errors
from pipelines.sql_text import column_types, quoted, siblings

ROLL_UPS_AT_ONCE = 2  # they are mostly planning


def build_marts(
    connection: duckdb.DuckDBPyConnection, publication: int, target_success_rate: float, published_at: datetime
) -> None:
    """Make all macros and marts of the publication with this number, made at this instant (UTC, without zone).

    Raises:
        QueryError: a query is wrong; it names the SQL file.
    """
    connection.execute(f"create macro target_success_rate() as {target_success_rate!r}")
    macros, marts = load("macros"), load("marts")
    for name in _order(macros, r"\b(\w+)\(").static_order():
        _run(connection, macros[name], macros[name].sql)
    connection.execute("create schema marts")
    measures = column_comments(macros["success_measures"])

    def make(cursor: duckdb.DuckDBPyConnection, mart: Model) -> None:
        with cursor:
            cursor.execute("set variable publication = $number", {"number": publication})
            cursor.execute("set variable published_at = $now", {"now": published_at})
            _build_mart(cursor, mart)
            if mart.is_relation:
                _comment(cursor, mart, measures)

    order = _order(marts, r"\bmarts\.(\w+?)(?:_between)?\b")
    order.prepare()
    at_once = 1  # the first read the core tables: two of them together spill to disk
    while order.is_active():
        ready = order.get_ready()
        with ThreadPoolExecutor(at_once) as makers:
            list(makers.map(make, siblings(connection, len(ready)), [marts[name] for name in ready]))
        order.done(*ready)
        at_once = ROLL_UPS_AT_ONCE


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


def _comment(connection: duckdb.DuckDBPyConnection, mart: Model, measures: dict[str, str]) -> None:
    """Say of a mart and its columns what they are; at once, because many statements take half as long again."""
    comments = measures | column_comments(mart)
    relation = f"marts.{mart.name}"
    statements = [f"comment on {mart.kind} {relation} is {quoted(mart.description)}"]
    statements += [
        f"comment on column {relation}.{column} is {quoted(comments[column])}"
        for column in column_types(connection, relation)
        if column in comments
    ]
    connection.execute(f"begin; {'; '.join(statements)}; commit")


def _order(models: dict[str, Model], reference: str) -> graphlib.TopologicalSorter[str]:
    """Each model after the ones that it refers to."""
    refers = {name: (set(re.findall(reference, model.sql)) & models.keys()) - {name} for name, model in models.items()}
    return graphlib.TopologicalSorter(refers)


def _run(connection: duckdb.DuckDBPyConnection, model: Model, sql: str) -> None:
    with query_errors(model):
        connection.execute(sql)
