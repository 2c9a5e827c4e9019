"""Column lineage from the parsed SQL: which columns of which tables each output column of a query is made from.

Follows CTEs, subqueries, macros and the fields of structs down to the published tables, or to the records as received.
What only decides which rows there are (`where`, `join … on`, `group by`) is not in it. Knows DuckDB's SQL as far as
`sql/` uses it; a relation that it does not know adds nothing.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import dagster as dg
import sqlglot
from sqlglot import exp

from pipelines.models import load
from pipelines.tables import TABLES

RAW = "raw/operations"
_OF_THE_RUN = {"tasks": "records"}  # tables that `flatten` makes of a model's rows


@dataclass(frozen=True)
class Origin:
    """Columns, as (relation, column), and those of a struct's fields by name."""

    columns: frozenset[tuple[str, str]] = frozenset()
    fields: Mapping[str, Origin] = field(default_factory=dict)


Scope = Mapping[str, Mapping[str, Origin]]
"""Columns of each relation that a query can name."""


def lineage_of(relation: str) -> dg.TableColumnLineage:
    """The lineage of a published table, given as `schema/table`; only columns that have one are in it."""
    kind, _, name = relation.partition("/")
    outputs = _outputs_of_model(kind, name)
    names = [column.name for table in TABLES if relation == f"core/{table.name}" for column in table.columns]
    return dg.TableColumnLineage(
        {
            column: [
                dg.TableColumnDep(dg.AssetKey.from_user_string(source), name)
                for source, name in sorted(outputs[column].columns)
            ]
            for column in names or outputs
            if column in outputs and outputs[column].columns
        }
    )


@functools.cache
def _outputs_of_model(kind: str, name: str) -> Mapping[str, Origin]:
    return _query(sqlglot.parse_one(load(kind)[name].sql, dialect="duckdb"), {})


@functools.cache
def _columns_of(relation: str) -> Mapping[str, Origin]:
    """The columns of a published table, each its own origin."""
    schema, _, name = relation.partition("/")
    if schema == "core":
        names = [column.name for table in TABLES if table.name == name for column in table.columns]
    else:
        names = list(_outputs_of_model(schema, name))
    return {column: Origin(frozenset({(relation, column)})) for column in names}


def _query(query: exp.Expr, ctes: Mapping[str, Mapping[str, Origin]]) -> Mapping[str, Origin]:
    ctes = dict(ctes)
    for cte in query.ctes if isinstance(query, exp.Query) else []:
        ctes[cte.alias] = _query(cte.this, ctes)
    if isinstance(query, exp.SetOperation):
        sides = [_query(side, ctes) for side in (query.this, query.expression)]
        return {name: _merge(side[name] for side in sides if name in side) for name in {**sides[0], **sides[1]}}
    if isinstance(query, exp.Subquery):
        return _query(query.this, ctes)
    relations = [query.args["from_"], *query.args.get("joins", [])] if query.args.get("from_") else []
    scope = {each.this.alias_or_name: _relation(each.this, ctes) for each in relations}
    outputs: dict[str, Origin] = {}
    for projection in query.expressions:
        outputs |= _projection(projection, scope, ctes)
    return outputs


def _relation(relation: exp.Expr, ctes: Mapping[str, Mapping[str, Origin]]) -> Mapping[str, Origin]:
    if isinstance(relation, exp.Subquery):
        return _query(relation.this, ctes)
    if not isinstance(relation, exp.Table):
        return {}
    name = relation.name or relation.this.name  # a table macro's stands one level deeper
    if relation.db:
        return _columns_of(f"{relation.db}/{name.removesuffix('_between')}")
    if name in ctes:
        return ctes[name]
    if name == "raw_lines":
        return {"record": Origin(frozenset({(RAW, "record")}))}
    model = _OF_THE_RUN.get(name, name)
    return _outputs_of_model("core", model) if model in load("core") else {}


def _projection(projection: exp.Expr, scope: Scope, ctes: Mapping[str, Mapping[str, Origin]]) -> Mapping[str, Origin]:
    if projection.is_star:
        names = [projection.table] if isinstance(projection, exp.Column) else list(scope)
        return {column: origin for name in names for column, origin in scope.get(name, {}).items()}
    if isinstance(projection, exp.Explode | exp.Unnest):  # of a struct: a column for each field
        return _origin(projection.this, scope, ctes).fields
    origin = _origin(projection.unalias(), scope, ctes)
    return {projection.alias_or_name: origin}


def _origin(expression: exp.Expr, scope: Scope, ctes: Mapping[str, Mapping[str, Origin]]) -> Origin:
    if isinstance(expression, exp.Column):
        return _column([part.name for part in expression.parts], scope)
    if isinstance(expression, exp.Dot):
        return _path([part.name for part in expression.parts], scope, ctes, expression)
    if isinstance(expression, exp.Struct):
        fields = {each.name: _origin(each.expression, scope, ctes) for each in expression.expressions}
        return Origin(_merge(fields.values()).columns, fields)
    if isinstance(expression, exp.Query):
        return _merge(_query(expression, ctes).values())
    if isinstance(expression, exp.Anonymous) and expression.name in load("macros"):
        parameters, body = _macro(expression.name)
        arguments = [each.expression if isinstance(each, exp.PropertyEQ) else each for each in expression.expressions]
        origins = (_origin(argument, scope, ctes) for argument in arguments)
        return _origin(body, {"": dict(zip(parameters, origins, strict=False))}, ctes)
    return _merge(
        _origin(child, scope, ctes) for child in expression.iter_expressions() if not isinstance(child, exp.Identifier)
    )


def _path(parts: list[str], scope: Scope, ctes: Mapping[str, Mapping[str, Origin]], whole: exp.Dot) -> Origin:
    return _column(parts, scope) if parts else _merge(_origin(child, scope, ctes) for child in whole.iter_expressions())


def _column(parts: list[str], scope: Scope) -> Origin:
    """`column`, `relation.column`, each with fields behind it."""
    if len(parts) > 1 and parts[0] in scope and parts[1] in scope[parts[0]]:
        return _field(scope[parts[0]][parts[1]], parts[2:])
    for columns in scope.values():
        if parts[0] in columns:
            return _field(columns[parts[0]], parts[1:])
    return Origin()


def _field(origin: Origin, path: list[str]) -> Origin:
    """A field of a struct; of a record as received, what the path says; of anything else, the whole."""
    if origin.columns == {(RAW, "record")} and path:
        return Origin(frozenset({(RAW, ".".join(["record", *path]))}))
    for name in path:
        origin = origin.fields.get(name, origin)
    return origin


def _merge(origins: Iterable[Origin]) -> Origin:
    return Origin(frozenset[tuple[str, str]]().union(*(origin.columns for origin in origins)))


@functools.cache
def _macro(name: str) -> tuple[list[str], exp.Expr]:
    """Parameters and body of a scalar macro."""
    head, _, body = load("macros")[name].sql.partition(") as")
    parameters = head.rpartition("(")[2].split(",")
    [expression] = sqlglot.parse_one(f"select {body}", dialect="duckdb").expressions
    return [parameter.partition(":=")[0].strip() for parameter in parameters], expression
