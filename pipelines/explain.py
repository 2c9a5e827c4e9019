"""Where a number comes from: from rows of a report to the tasks behind them, their raw records and their responses.

Reads the published file and the raw store, writes nothing. A task's record is the one that brought the content that is
served: the newest of the sync that first met it. Of syncs that were pruned the record is kept, its response is not.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import duckdb

from pipelines.errors import SettingsError
from pipelines.evidence import collect_evidence
from pipelines.models import Model, load
from pipelines.report import Result, open_published, result_of, snapshot_of
from pipelines.sql_text import quoted
from pipelines.warehouse import Warehouse

TASKS = "operation_outcomes"
COUNTERS = ("total", "wait", "processing", "success", "fail", "stop", "timeout")

_TASKS = f"""
    select
        tasks.operation_id, tasks.status, tasks.created_at, tasks.removed_at,
        {", ".join(f"tasks.{name}" for name in COUNTERS)}, tasks.finished,
        tasks.fail_as_received, tasks.timeout_in_fail, tasks.total_is_derived,
        wanted.sync_id, newest.response, newest.observed_at, responses.request, responses.sha256 as response_sha256,
        newest.record
    from wanted
    inner join marts.operation_outcomes as tasks on wanted.operation_id = tasks.operation_id
    left join newest on wanted.operation_id = newest.operation_id
    left join responses on newest.response = responses.response
    order by tasks.finished desc nulls last, tasks.operation_id
"""
_RECEIVED = "coalesce(try_cast(record ->> '$.staResult.{}' as bigint), 0)"
_FAIL_RECEIVED = f"{_RECEIVED.format('fail')} - case when timeout_in_fail then {_RECEIVED.format('timeout')} else 0 end"
_SUMS = f"""
    select
        count(*) as operations,
        count(record) as records,
        count(distinct response) as responses,
        coalesce(sum(success), 0)::bigint as success,
        coalesce(sum(finished), 0)::bigint as finished,
        coalesce(sum({_RECEIVED.format("success")}), 0)::bigint as success_received,
        coalesce(sum(
            {_RECEIVED.format("success")} + {_RECEIVED.format("timeout")}
            + greatest(0, {_FAIL_RECEIVED})
        ), 0)::bigint as finished_received
    from ({_TASKS})
"""
_RECORD = """
    select newest.sync_id, newest.response, newest.observed_at, responses.request,
        responses.sha256 as response_sha256, newest.record
    from newest
    left join responses on newest.response = responses.response
    order by newest.sync_id desc
    limit 1
"""
_QUARANTINE = """
    select quarantine.reason, quarantine.first_sync_id, quarantine.last_sync_id as sync_id, evidence.response,
        evidence.observed_at, responses.request, responses.sha256 as response_sha256, quarantine.record
    from core.quarantine as quarantine
    left join evidence
        on quarantine.operation_id = evidence.operation_id
        and quarantine.last_sync_id = evidence.sync_id
        and evidence.is_broken
    left join responses on evidence.response = responses.response
    where quarantine.operation_id = $operation_id
    order by evidence.response desc
    limit 1
"""
_STATES = f"""
    select
        history.observed_at, history.sync_id, history.status, {", ".join(f"history.{name}" for name in COUNTERS)},
        newest.response, responses.request, responses.sha256 as response_sha256, newest.record
    from core.operation_history as history
    left join newest on history.operation_id = newest.operation_id and history.sync_id = newest.sync_id
    left join responses on newest.response = responses.response
    where history.operation_id = $operation_id
    order by history.sync_id
"""


@dataclass(frozen=True)
class Explanation:
    """Rows of a report, the query that gives them, and what is behind them.

    `tasks` has a row per task: its counters, its record as received, the response that brought it. `sums` adds up all
    of them, as they are served and as they were received.
    """

    snapshot: dict[str, Any]
    query: str
    model: Model
    rows: Result
    sums: dict[str, int]
    tasks: Result


@dataclass(frozen=True)
class TaskHistory:
    """A task as it is served, the record that this is made of, and each state that a sync met.

    `set_aside` is a newer record, or the only one, that is no task, with the reason. Records come with the response
    that brought them; `states` has status and counters, too.
    """

    snapshot: dict[str, Any]
    task: dict[str, Any] | None
    record: dict[str, Any] | None
    set_aside: dict[str, Any] | None
    states: Result


def explain(
    warehouse: Warehouse,
    mart: str,
    where: str = "true",
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    limit: int | None = None,
    memory_limit: str | None = None,
) -> Explanation:
    """Explain the rows of a mart for which a condition in SQL holds, of the tasks created in [since, until), UTC.

    With `limit` only so many tasks are listed, those with the most finished devices; the sums are of all. What needs
    more than the memory limit goes to disk.

    Raises:
        SettingsError: there is no such mart, it is no sum of tasks, or the condition is wrong.
        StorageError: nothing is published, or a raw file is damaged.
    """
    with open_published(warehouse, memory_limit) as connection:
        model = _made_of_tasks(connection, mart)
        query = f"from {_relation(model, since, until)} where {where} order by {model.order}"
        _run_condition(connection, model, f"create temp table explained as {query}")
        same = [f"tasks.{column} is not distinct from explained.{column}" for column in model.key or []]
        connection.execute(
            f"""
            create temp table wanted as
            select tasks.operation_id, operations._sync_id as sync_id
            from marts.{TASKS} as tasks
            inner join core.operations as operations on tasks.operation_id = operations.operation_id
            semi join explained on {" and ".join(same) or "true"}
            where created_between(tasks.created_at, $since, $until)
            """,
            {"since": since, "until": until},
        )
        collect_evidence(connection, warehouse)
        return Explanation(
            snapshot=snapshot_of(connection, warehouse),
            query=query,
            model=model,
            rows=result_of(connection.execute(f"from explained order by {model.order}")),
            sums=_one(connection, _SUMS) or {},
            tasks=result_of(connection.execute(f"{_TASKS} limit $limit", {"limit": limit})),
        )


def explain_record(warehouse: Warehouse, operation_id: str) -> TaskHistory:
    """Explain one task: its record as received, and the response behind each state that syncs met.

    Raises:
        SettingsError: the published file knows no such task.
        StorageError: nothing is published, or a raw file is damaged.
    """
    known = {"operation_id": operation_id}
    with open_published(warehouse) as connection:
        connection.execute(
            """
            create temp table wanted as
            select operation_id, sync_id from core.operation_history where operation_id = $operation_id
            union
            select operation_id, _sync_id from core.operations where operation_id = $operation_id
            union
            select operation_id, last_sync_id from core.quarantine where operation_id = $operation_id
            """,
            known,
        )
        collect_evidence(connection, warehouse)
        task = _one(connection, f"from marts.{TASKS} where operation_id = $operation_id", known)
        set_aside = _one(connection, _QUARANTINE, known)
        if task is None and set_aside is None:
            raise SettingsError(
                f"the published file knows no task {operation_id!r}",
                advice='`iodm sql "select operation_id from core.operations limit 5"` shows what ids look like',
            )
        return TaskHistory(
            snapshot=snapshot_of(connection, warehouse),
            task=task,
            record=_one(connection, _RECORD) if task else None,
            set_aside=set_aside,
            states=result_of(connection.execute(_STATES, known)),
        )


def _made_of_tasks(connection: duckdb.DuckDBPyConnection, mart: str) -> Model:
    """The mart, if each of its rows is made of the tasks that have the row's key.

    Raises:
        SettingsError: it is not one of these.
    """
    columns = set(_columns(connection, TASKS))
    explained = [
        name for name, model in load("marts").items() if model.key is not None and columns.issuperset(model.key)
    ]
    if mart not in explained:
        raise SettingsError(
            f"there is no report {mart!r} whose rows are made of tasks as they are now",
            advice=f"Such are {', '.join(explained)}",
        )
    return load("marts")[mart]


def _columns(connection: duckdb.DuckDBPyConnection, mart: str) -> list[str]:
    return [name for (name,) in connection.execute(f"select column_name from (describe marts.{mart})").fetchall()]


def _relation(model: Model, since: datetime | None, until: datetime | None) -> str:
    """What to select from; the instants are written out, so that the query can be run as it is shown.

    Raises:
        SettingsError: the mart has no window.
    """
    if since is None and until is None:
        return f"marts.{model.name}"
    if not model.has_window:
        raise SettingsError(f"{model.name} has no time window", advice="Leave --since and --until out")
    ends = (quoted(str(each)) if each else "null" for each in (since, until))
    return f"marts.{model.name}_between({', '.join(ends)})"


def _run_condition(connection: duckdb.DuckDBPyConnection, model: Model, sql: str) -> None:
    try:
        connection.execute(sql)
    except (duckdb.ProgrammingError, duckdb.DataError, duckdb.NotSupportedError) as error:
        reason = " ".join(str(error).split("LINE ")[0].split())
        raise SettingsError(
            f"the condition failed: {reason}",
            advice=f"Write it in SQL, with the columns {', '.join(_columns(connection, model.name))}",
        ) from None


def _one(connection: duckdb.DuckDBPyConnection, query: str, parameters: object = None) -> dict[str, Any] | None:
    return next(iter(result_of(connection.execute(query, parameters)).dicts()), None)
