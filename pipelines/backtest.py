"""Abort rules tried on past rollouts: which would have been stopped, when, and how many devices would have been spared.

What a rollout is, how it went on, and whether that was observed closely enough to judge it by, is SQL:
`sql/marts/rollouts.sql` and `rollout_courses.sql`. How a rule is written is in `rules`. Only reads the published file;
fails with `StorageError` where there is none, or the memory does not suffice.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import duckdb

from pipelines.report import Result, open_published, result_of
from pipelines.rules import Rule
from pipelines.sql_text import insert_rows, scalar
from pipelines.warehouse import Warehouse

MANY_STATES = 1_000_000  # a second's work
ROWS_AT_ONCE = 10_000


@dataclass(frozen=True)
class Backtest:
    """What rules would have done; rows are read when they are asked for, one answer to its end before the next."""

    connection: duckdb.DuckDBPyConnection
    snapshot: dict[str, Any]
    rules: tuple[Rule, ...]
    by_task: bool

    def summary(self) -> Result:
        """A row per rule: how many rollouts it would have stopped, rightly or for nothing, and what that spares."""
        return result_of(self.connection.execute(_SUMMARY))

    def stopped(self, most: int | None = None) -> Iterator[dict[str, Any]]:
        """By rule the rollouts that it would have stopped, at most so many, first those that would have spared most."""
        return _rows(self.connection, _STOPPED.format(task=self._task), {"most": most})

    def left_out(self) -> Iterator[dict[str, Any]]:
        """The rollouts that can't be judged, oldest first, each with the longest gap in what was observed of it."""
        return _rows(self.connection, _LEFT_OUT.format(task=self._task))

    @property
    def _task(self) -> str:
        return "rollouts.operation_id," if self.by_task else ""


@contextlib.contextmanager
def backtest(
    warehouse: Warehouse,
    memory_limit: str,
    rules: Sequence[Rule],
    *,
    by_task: bool,
    since: datetime | None = None,
    until: datetime | None = None,
    announce: Callable[[str], None] = lambda _: None,
) -> Iterator[Backtest]:
    """Try rules on the rollouts that began in [since, until), UTC; says so through `announce` if that takes a while.

    Raises:
        StorageError: nothing is published, the file can't be read, or the memory does not suffice.
    """
    with open_published(warehouse, memory_limit) as connection:
        connection.execute("set preserve_insertion_order = false")
        states = scalar(connection, "select count(*) from core.operation_history")
        if states > MANY_STATES:
            announce(f"Replaying {states:,} observed states: some seconds.")
        yield evaluate(connection, rules, by_task=by_task, since=since, until=until)


def evaluate(
    connection: duckdb.DuckDBPyConnection,
    rules: Sequence[Rule],
    *,
    by_task: bool = False,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Backtest:
    """As `backtest`, on a connection that has the marts; keeps what it finds in temporary tables."""
    connection.execute(_ROLLOUTS, {"by_task": by_task, "since": since, "until": until})
    connection.execute(_RULES)
    insert_rows(connection, "rules", [{"position": number, **asdict(rule)} for number, rule in enumerate(rules)])
    connection.execute(_STOPS, {"by_task": by_task})
    (snapshot,) = result_of(connection.execute("from marts.snapshot")).dicts()
    return Backtest(connection, snapshot, tuple(rules), by_task)


def _rows(
    connection: duckdb.DuckDBPyConnection, sql: str, parameters: dict[str, Any] | None = None
) -> Iterator[dict[str, Any]]:
    cursor = connection.execute(sql, parameters)  # not before the first row is wanted: it ends the answer before
    names = [column[0] for column in cursor.description or ()]
    while rows := cursor.fetchmany(ROWS_AT_ONCE):
        yield from (dict(zip(names, row, strict=True)) for row in rows)


# Good is what has reached the target now; without a finished device a rollout is neither good nor bad.
_ROLLOUTS = """
    create or replace temp table rollouts as
    select *, success_rate >= target_success_rate() as is_good
    from marts.rollouts($by_task)
    where created_between(created_at, $since, $until)
"""
_RULES = """
    create or replace temp table rules (
        position integer, text varchar, measure varchar, includes_threshold boolean, threshold double, after bigint
    )
"""
_STOPS = """
    create or replace temp table stops as
    with moments as (
        select
            rules.position, rules.includes_threshold, rules.threshold, rollouts.rollout_id, courses.sync_id,
            courses.looked_at, courses.age_seconds, courses.begun, courses.finished, courses.failed,
            courses.failed
            / nullif(if(rules.measure = 'failure_rate', courses.finished, rollouts.total), 0) as measured
        from marts.rollout_courses($by_task) as courses
        inner join rollouts on courses.rollout_id = rollouts.rollout_id
        inner join rules on courses.finished >= rules.after
        where rollouts.is_observed
    ),
    first_moments as (
        select
            position, rollout_id,
            unnest(min_by(
                {
                    'looked_at': looked_at, 'age_seconds': age_seconds,
                    'begun': begun, 'finished': finished, 'failed': failed
                },
                sync_id
            ))
        from moments
        where measured > threshold or (includes_threshold and measured = threshold)
        group by position, rollout_id
    )
    select
        first_moments.*,
        greatest(rollouts.begun - first_moments.begun, 0) as devices_spared,
        least(greatest(rollouts.failed - first_moments.failed, 0), devices_spared) as failures_after
    from first_moments
    inner join rollouts on first_moments.rollout_id = rollouts.rollout_id
"""
_SUMMARY = """
    with every_rollout as (
        select
            count(*) as rollouts,
            count(*) filter (not is_observed) as left_out,
            count(*) filter (is_observed) as judged,
            count(*) filter (is_observed and is_under_way) as under_way,
            count(*) filter (is_observed and is_good) as good,
            count(*) filter (is_observed and not is_good) as bad
        from rollouts
    ),
    stopped as (
        select
            stops.position,
            count(*) as stopped,
            count(*) filter (rollouts.is_good) as good_stopped,
            count(*) filter (not rollouts.is_good) as bad_stopped,
            cast(sum(stops.devices_spared) as bigint) as devices_spared,
            cast(sum(stops.failures_after) as bigint) as failures_after
        from stops
        inner join rollouts on stops.rollout_id = rollouts.rollout_id
        group by stops.position
    )
    select
        rules.text as rule, every_rollout.rollouts, every_rollout.left_out, every_rollout.judged,
        every_rollout.under_way, every_rollout.good, every_rollout.bad,
        coalesce(stopped.stopped, 0) as stopped,
        coalesce(stopped.good_stopped, 0) as good_stopped,
        every_rollout.bad - coalesce(stopped.bad_stopped, 0) as bad_not_stopped,
        coalesce(stopped.devices_spared, 0) as devices_spared,
        coalesce(stopped.failures_after, 0) as failures_after
    from rules
    cross join every_rollout
    left join stopped on rules.position = stopped.position
    order by rules.position
"""
_STOPPED = """
    select
        rules.text as rule, rollouts.manufacturer_name, rollouts.model, rollouts.device_type, rollouts.file_version,
        {task} rollouts.is_under_way, stops.looked_at, stops.age_seconds, stops.finished,
        stops.failed / nullif(stops.finished, 0) as failure_rate,
        rollouts.failed / nullif(rollouts.finished, 0) as final_failure_rate,
        rollouts.is_good, stops.devices_spared, stops.failures_after
    from stops
    inner join rules on stops.position = rules.position
    inner join rollouts on stops.rollout_id = rollouts.rollout_id
    qualify
        $most is null
        or row_number() over (
            partition by rules.position order by stops.devices_spared desc, stops.looked_at, stops.rollout_id
        ) <= $most
    order by rules.position, stops.devices_spared desc, stops.looked_at, stops.rollout_id
"""
_LEFT_OUT = """
    select
        manufacturer_name, model, device_type, file_version, {task} operations, created_at, is_under_way,
        unobserved_from, unobserved_until, epoch(unobserved_until) - epoch(unobserved_from) as unobserved_seconds
    from rollouts
    where not is_observed
    order by created_at, rollout_id
"""
