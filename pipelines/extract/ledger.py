"""What is known of the platform's tasks, before a sync and while it reads: which live, in which status, met when.

What was known before is brought in by `opening`; what this sync meets is added response by response. All of it lies in
a scratch database that spills to disk, never in Python. It takes in what came while the next calls are on their way.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime

import duckdb
import msgspec

from pipelines.extract.entries import RemovalEntry
from pipelines.extract.past import Reading
from pipelines.extract.plan import Knowledge
from pipelines.extract.raw import Met, StoredPage
from pipelines.sql_text import scalar

BUFFERED_RECORDS = 10_000

FOLDED = "case lower(trim({0})) when 'fail' then 'failed' else coalesce(lower(trim({0})), '') end"
TIME = "try_strptime({}, '%Y%m%dT%H%M%SZ')"

MET = """
    create table met (
        operation_id varchar, response bigint, sent_after bigint, status varchar, created_at timestamp,
        has_id boolean, is_gone boolean
    )
"""
CURRENT = """
    create view current as
    select * from base where operation_id not in (select operation_id from met)
    union all
    select operation_id, status, created_at, has_id from met
    where not is_gone and rowid in (select max_by(rowid, response) from met group by operation_id)
"""
# As JSON, because making Arrow arrays of Python objects imports pandas, which takes a third of a second.
_TAKE_IN = f"""
    insert into met
    with pages as (
        select unnest(from_json($pages, '[{{
            "response": "BIGINT", "sent_after": "BIGINT",
            "met": [{{"operation_id": "VARCHAR", "status": "VARCHAR", "created_at": "VARCHAR", "has_id": "BOOLEAN"}}]
        }}]')) as page
    ),
    tasks as (select page.response, page.sent_after, unnest(page.met) as task from pages)
    select
        task.operation_id, response, sent_after, {FOLDED.format("task.status")}, {TIME.format("task.created_at")},
        task.has_id, false
    from tasks
"""


class _Taken(msgspec.Struct, gc=False):
    """A response with the tasks in it, not in the database yet."""

    response: int
    sent_after: int
    met: list[Met]


class Ledger:
    """Knowledge of one sync, whose responses are numbered from `first_response`. Not safe for threads.

    `taker` is one thread; who asks the database waits for it.
    """

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, first_response: int, taker: ThreadPoolExecutor, *, is_served: bool
    ) -> None:
        self._connection = connection
        self._taker = taker
        self._taking: Future[object] | None = None
        self._is_served = is_served
        self.first_response = first_response
        self._knowledge: Knowledge | None = None
        self._gone_at: dict[str, RemovalEntry] = {}
        self._buffer: list[_Taken] = []
        self._buffered_records = 0

    @property
    def database(self) -> duckdb.DuckDBPyConnection:
        """The database, with all that was added."""
        self._take_in()
        self._wait()
        return self._connection

    def add(self, page: StoredPage) -> None:
        """Take in the tasks of a response."""
        self._knowledge = None
        self._buffer.append(_Taken(page.entry.response, page.entry.sent_after, page.met))
        self._buffered_records += len(page.met)
        if self._buffered_records >= BUFFERED_RECORDS:
            self._take_in()

    def add_gone(self, operation_id: str, response: int, sent_after: int, observed_at: datetime) -> None:
        """Take in that a look-up found no such task."""
        self._knowledge = None
        self._gone_at[operation_id] = RemovalEntry(response, observed_at, operation_id)
        self.database.execute(
            "insert into met values (?, ?, ?, null, null, true, true)", [operation_id, response, sent_after]
        )

    def _take_in(self) -> None:
        self._wait()
        if self._buffer:
            pages = {"pages": msgspec.json.encode(self._buffer).decode()}
            self._taking = self._taker.submit(self._connection.execute, _TAKE_IN, pages)
            self._buffer.clear()
            self._buffered_records = 0

    def _wait(self) -> None:
        if self._taking is not None:
            self._taking.result()
            self._taking = None

    def knowledge(self) -> Knowledge:
        """How many tasks live, by status."""
        if self._knowledge is None:
            rows = self.database.execute("select status, count(*) from current group by status").fetchall()
            self._knowledge = Knowledge(dict(rows))
        return self._knowledge

    def missed_active(self, since: int) -> list[str]:
        """Ids of tasks known as waiting or processing that no response from `since` on has met."""
        rows = self.database.execute(
            "select operation_id from current where status in ('wait', 'processing') and has_id "
            "and operation_id not in (select operation_id from met where response >= $since) order by all",
            {"since": since},
        ).fetchall()
        return [operation_id for (operation_id,) in rows]

    def newer_than(self, operation_ids: Sequence[str]) -> dict[str, dict[str, int]]:
        """For each of these tasks, how many living ones of each status were created after it."""
        rows = self.database.execute(
            """
            with lost as (select operation_id, created_at from current where operation_id in (select unnest($ids))),
            peers as (
                select status, created_at, count(*) as tasks from current
                where created_at > (select min(created_at) from lost) group by all
            ),
            counted as (
                select
                    status, created_at,
                    sum(tasks) over (partition by status order by created_at desc) as not_older
                from peers
            )
            select lost.operation_id, counted.status, counted.not_older
            from lost
            cross join (select distinct status from counted) as statuses
            asof inner join counted
                on statuses.status = counted.status and lost.created_at < counted.created_at
            """,
            {"ids": list(operation_ids)},
        ).fetchall()
        newer: dict[str, dict[str, int]] = {operation_id: {} for operation_id in operation_ids}
        for operation_id, status, count in rows:
            newer[operation_id][status] = int(count)
        return newer

    def scope_fields(self, operation_id: str) -> dict[str, str | None] | None:
        """The fields of a served task that the API filters by, under the filters' names; None if it is not served."""
        if not self._is_served:
            return None
        rows = self.database.execute(
            "select operation_type, device_type, model, manufacturer_name from served.core.operations "
            "where operation_id = ?",
            [operation_id],
        ).fetchall()
        names = ("operationType", "deviceType", "model", "manufacturerName")
        return dict(zip(names, rows[0], strict=True)) if rows else None

    def met_since(self, response: int) -> int:
        """How many different tasks were met from this response on."""
        return int(
            scalar(self.database, "select count(distinct operation_id) from met where response >= ?", [response])
        )

    def not_met(self, since: int, limit: int | None) -> tuple[int, list[str]]:
        """Known living tasks that no response from `since` on has met: how many, and the ids of the first `limit`."""
        rows = self.database.execute(
            "select operation_id, count(*) over () from current "
            "where has_id and operation_id not in (select operation_id from met where response >= $since) "
            "order by all limit $limit",
            {"since": since, "limit": limit},
        ).fetchall()
        return (rows[0][1] if rows else 0), [operation_id for operation_id, _ in rows]

    def count_not_newer(self, status: str | None, created_at: str) -> int:
        """Living tasks of a status, or of any, that were not created after this (yyyyMMdd'T'HHmmss'Z')."""
        return int(
            scalar(
                self.database,
                "select count(*) from current where ($status is null or status = $status) "
                f"and created_at <= {TIME.format('$created_at')}",
                {"status": status, "created_at": created_at},
            )
        )

    def not_met_between(self, status: str | None, after: str | None, until: str | None, since: int) -> list[str]:
        """Ids of living tasks of a status created after one instant and not after another, not met since a response."""
        rows = self.database.execute(
            "select operation_id from current where ($status is null or status = $status) and has_id "
            f"and ($after is null or created_at > {TIME.format('$after')}) "
            f"and ($until is null or created_at <= {TIME.format('$until')}) "
            "and operation_id not in (select operation_id from met where response >= $since) order by all",
            {"status": status, "after": after, "until": until, "since": since},
        ).fetchall()
        return [operation_id for (operation_id,) in rows]

    def gone(self) -> list[RemovalEntry]:
        """Tasks that this sync found to be gone, and has not met since."""
        rows = self.database.execute(
            "select operation_id from met where response >= ? group by operation_id having max_by(is_gone, response) "
            "order by all",
            [self.first_response],
        ).fetchall()
        return [self._gone_at[operation_id] for (operation_id,) in rows]

    def forget_gone(self) -> None:
        """Take back what `add_gone` said in this sync: these tasks still count as living."""
        self._knowledge = None
        self.database.execute("delete from met where is_gone and response >= ?", [self.first_response])

    def has_records_without_id(self, since: int) -> bool:
        """Whether a response from `since` on held a record without an id."""
        return bool(scalar(self.database, "select count(*) from met where not has_id and response >= ?", [since]))

    def begin_whole_reading(self, reading: Reading) -> None:
        """From now on a record without an id counts only if it was met in this reading."""
        self._knowledge = None
        self.database.execute(f"set variable whole_since = {reading.sync_id}")
        forget_nameless(self.database, reading.first_response)


def forget_nameless(connection: duckdb.DuckDBPyConnection, first_response: int) -> None:
    """Records without an id that were met before this response; those of today have other words, but are no more."""
    connection.execute("delete from met where not has_id and response < ?", [first_response])
