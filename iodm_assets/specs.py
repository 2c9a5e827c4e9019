"""What each asset is, derived from the column registry and from the SQL: columns, version, what it is made from."""

from __future__ import annotations

import graphlib
import hashlib
import itertools
import re
from collections.abc import Mapping
from datetime import datetime, timedelta

import dagster as dg
from dagster._utils.schedules import is_valid_cron_string, schedule_execution_time_iterator

from pipelines.errors import SettingsError
from pipelines.models import Model, column_comments, load
from pipelines.settings import Schedule, load_schedule
from pipelines.tables import TABLES, Column, Table

RAW_OPERATIONS = dg.AssetKey(["raw", "operations"])
UPGRADE_REPORT = dg.AssetKey(["reports", "upgrade_report"])
DATA_QUALITY = "marts/data_quality"
# What the report page reads; it is not asked itself, because what draws takes a second to load.
PAGE_MARTS = (
    "snapshot",
    "success_overall",
    "success_by_day",
    "success_by_week",
    "success_by_model",
    "success_by_model_version",
    "weekly_control_chart",
    "failure_hotspots",
    "rollouts_at_equal_age",
    "stalled_operations",
    "data_quality",
)
FIVE_WEEKS = timedelta(weeks=5)  # nights, weekends and ends of months lie within
OPERATORS, ANALYSTS = "team:operators", "team:analysts"

_RELATION = re.compile(r"\b(core|marts)\.([a-z]\w*)")


def published_specs() -> list[dg.AssetSpec]:
    """Every table of the published file, each after the ones that it is made from; none is made while held."""
    specs = [
        *(_core_spec(table) for table in TABLES),
        *(_mart_spec(model) for model in _in_order()),
        _data_quality_spec(),
    ]
    return [spec.replace_attributes(skippable=True) for spec in specs]


def freshness() -> dg.FreshnessPolicy:
    """How old an asset may be; the daemon judges it."""
    late, stale = freshness_limits()
    return dg.FreshnessPolicy.time_window(fail_window=stale, warn_window=late)


def freshness_limits() -> tuple[timedelta, timedelta]:
    """Data is late after two missed syncs, stale after four, but never within an hour and two hours."""
    interval = longest_interval(crons().sync_cron)
    return max(3 * interval, timedelta(hours=1)), max(5 * interval, timedelta(hours=2))


def crons() -> Schedule:
    """When to run what, as the settings say.

    Raises:
        SettingsError: `IODM_SYNC_CRON` or `IODM_FULL_CRON` is no cron expression.
    """
    schedule = load_schedule()
    for name, cron in (("IODM_SYNC_CRON", schedule.sync_cron), ("IODM_FULL_CRON", schedule.full_cron)):
        if not is_valid_cron_string(cron):
            raise SettingsError(
                f"{name}: {cron!r} is no cron expression", advice="Write five fields, such as */15 * * * *"
            )
    return schedule


def longest_interval(cron: str) -> timedelta:
    """The longest time between two ticks of a cron expression, in UTC."""
    ticks: list[datetime] = []
    for tick in schedule_execution_time_iterator(0.0, cron, "UTC"):
        ticks.append(tick)
        if len(ticks) > 1 and tick - ticks[0] > FIVE_WEEKS:
            break
    return max(after - before for before, after in itertools.pairwise(ticks))


def relations_in(sql: str) -> list[str]:
    """The published tables that a query reads, as `schema/table`, in the order in which it names them.

    A table macro with a time window, `marts.<name>_between`, is made of the same query as the table.
    """
    code = re.sub(r"--.*", "", sql)
    return list(dict.fromkeys(f"{schema}/{name.removesuffix('_between')}" for schema, name in _RELATION.findall(code)))


def code_version(*texts: str) -> str:
    """A short name for exactly this text."""
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:12]


def with_named(sql: str, models: Mapping[str, Model]) -> list[str]:
    """A query's text, and the text of all models that it names, directly or not; one too many does no harm."""
    found: dict[str, str] = {}
    waiting = [sql]
    while waiting:
        text = waiting.pop()
        for name, model in models.items():
            if name not in found and re.search(rf"\b{name}\b", text):
                found[name] = model.sql
                waiting.append(model.sql)
    return [sql, *(found[name] for name in sorted(found))]


def _core_spec(table: Table) -> dg.AssetSpec:
    sql = load("core")[table.name].sql
    return dg.AssetSpec(
        ["core", table.name],
        deps=[RAW_OPERATIONS],
        description=table.description,
        metadata={
            "dagster/column_schema": dg.TableSchema([_column(column, table) for column in table.columns]),
            "dagster/table_name": f"core.{table.name}",
            "sql": _markdown(sql),
        },
        group_name="core",
        kinds={"duckdb", "parquet"},
        owners=[OPERATORS],
        code_version=code_version(*with_named(sql, load("core")), str(table.schema)),
    )


def _column(column: Column, table: Table) -> dg.TableColumn:
    constraints = dg.TableColumnConstraints(nullable=column.nullable, unique=table.key == (column.name,))
    return dg.TableColumn(column.name, column.duckdb_type, column.comment, constraints)


def _mart_spec(model: Model) -> dg.AssetSpec:
    return dg.AssetSpec(
        ["marts", model.name],
        deps=[dg.AssetKey.from_user_string(relation) for relation in relations_in(model.sql)],
        freshness_policy=freshness() if model.name == "snapshot" else None,
        description=f"{model.description}\n\nOne row is: {model.header['grain']}."
        if "grain" in model.header
        else model.description,
        metadata={
            "dagster/column_schema": dg.TableSchema(
                [dg.TableColumn(name, "", comment) for name, comment in _comments(model).items()]
            ),
            "dagster/table_name": f"marts.{model.name}",
            "sql": _markdown(model.sql),
        },
        group_name="marts",
        kinds={"duckdb", "sql"},
        owners=[ANALYSTS],
        code_version=code_version(*with_named(model.sql, load("macros"))),
    )


def _comments(model: Model) -> dict[str, str]:
    """Output columns with their descriptions; their types are known once the file is made."""
    measures = load("macros")["success_measures"]
    return column_comments(model) | (column_comments(measures) if f"{measures.name}(" in model.sql else {})


def _data_quality_spec() -> dg.AssetSpec:
    checks = [model.sql for model in load("checks").values()]
    return dg.AssetSpec(
        dg.AssetKey.from_user_string(DATA_QUALITY),
        deps=[
            dg.AssetKey.from_user_string(relation)
            for relation in sorted({relation for sql in checks for relation in relations_in(sql)})
        ],
        description="One row per check of sql/checks: what it found when this file was made.",
        metadata={"dagster/table_name": "marts.data_quality"},
        group_name="marts",
        kinds={"duckdb", "sql"},
        owners=[ANALYSTS],
        code_version=code_version(*checks),
    )


def _in_order() -> list[Model]:
    """Each mart after the marts that it reads."""
    marts = {name: model for name, model in load("marts").items() if model.is_relation}
    reads = {
        name: {relation.removeprefix("marts/") for relation in relations_in(model.sql) if relation.startswith("marts/")}
        for name, model in marts.items()
    }
    return [marts[name] for name in graphlib.TopologicalSorter(reads).static_order()]


def _markdown(sql: str) -> dg.MetadataValue:
    return dg.MetadataValue.md(f"```sql\n{sql}\n```")
