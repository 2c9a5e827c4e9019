"""What is known of the platform's tasks, before a sync and while it reads: which live, in which status, met when.

What was known before comes from the served file and from committed syncs that it does not hold yet; what this sync
meets is added response by response. All of it lies in a scratch database that spills to disk, never in Python.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import duckdb
import msgspec

from pipelines.extract.entries import RemovalEntry
from pipelines.extract.past import Past, Reading
from pipelines.extract.plan import Knowledge
from pipelines.extract.raw import Met, StoredPage, committed_syncs
from pipelines.sql_text import quoted, scalar
from pipelines.warehouse import Warehouse

MEMORY = "512MB"  # beyond it, what was met lies on disk
BUFFERED_RECORDS = 25_000
OTHER = ""  # the status of a record that does not say

_FOLDED = "case lower(trim({0})) when 'fail' then 'failed' else coalesce(lower(trim({0})), '') end"
_IN_RECORD = "try(json_extract_string(record, '$.{}'))"
_TIME = "try_strptime({}, '%Y%m%dT%H%M%SZ')"

_MET = """
    create table met (
        operation_id varchar, response bigint, sent_after bigint, status varchar, created_at timestamp,
        has_id boolean, is_gone boolean
    )
"""
_NOTHING_SERVED = """
    create view base as
    select '' as operation_id, '' as status, cast(null as timestamp) as created_at, true as has_id where false;
    create view known_since as select '' as operation_id, 0 as sync_id where false;
"""
# A task whose record is broken is known by the quarantine alone; one without an id only as long as the last whole
# reading met it.
_SERVED = f"""
    create view base as
    select operation_id, coalesce(status, '') as status, created_at, true as has_id
    from served.core.operations where removed_at is null
    union all
    select
        operation_id,
        {_FOLDED.format(_IN_RECORD.format("status"))} as status,
        {_TIME.format(_IN_RECORD.format("createTime"))} as created_at,
        operation_id <> sha256(record) as has_id
    from served.core.quarantine
    where (operation_id <> sha256(record) or last_sync_id >= getvariable('whole_since'))
        and operation_id not in (select operation_id from served.core.operations where removed_at is null);
    create view known_since as
    select operation_id, min(sync_id) as sync_id from served.core.operation_history group by operation_id
    union all
    select operation_id, first_sync_id from served.core.quarantine;
"""
_CURRENT = """
    create view current as
    with newest as (
        select
            operation_id,
            max_by({'status': status, 'created_at': created_at, 'has_id': has_id, 'is_gone': is_gone}, response) as task
        from met group by operation_id
    )
    select * from base where operation_id not in (select operation_id from newest)
    union all
    select operation_id, task.status, task.created_at, task.has_id from newest where not task.is_gone
"""
_LINES = "format = 'newline_delimited', columns = {"


class Ledger:
    """Knowledge of one sync, whose responses are numbered from `first_response`. Not safe for threads."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, first_response: int, *, is_served: bool) -> None:
        self.connection = connection
        self._is_served = is_served
        self.first_response = first_response
        self._knowledge: Knowledge | None = None
        self._gone_at: dict[str, RemovalEntry] = {}
        self._buffer: list[tuple[int, int, Met]] = []

    def add(self, page: StoredPage) -> None:
        """Take in the tasks of a response."""
        self._knowledge = None
        self._buffer += [(page.entry.response, page.entry.sent_after, met) for met in page.met]
        if len(self._buffer) >= BUFFERED_RECORDS:
            self.flush()

    def add_gone(self, operation_id: str, response: int, sent_after: int, observed_at: datetime) -> None:
        """Take in that a look-up found no such task."""
        self.flush()
        self._knowledge = None
        self._gone_at[operation_id] = RemovalEntry(response, observed_at, operation_id)
        self.connection.execute(
            "insert into met values (?, ?, ?, null, null, true, true)", [operation_id, response, sent_after]
        )

    def flush(self) -> None:
        """Bring what was added into the database; every question does it first."""
        if not self._buffer:
            return
        responses, sent, met = zip(*self._buffer, strict=True)
        columns = {
            "operation_id": [each.operation_id for each in met],
            "response": responses,
            "sent_after": sent,
            "status": [each.status for each in met],
            "created_at": [each.created_at for each in met],
            "has_id": [each.has_id for each in met],
        }
        types = {"response": "BIGINT", "sent_after": "BIGINT", "has_id": "BOOLEAN"}
        unnested = ", ".join(
            f"""unnest(from_json(${name}, '["{types.get(name, "VARCHAR")}"]')) as {name}""" for name in columns
        )  # JSON, because making Arrow arrays of Python objects imports pandas, which takes a third of a second
        self.connection.execute(
            f"insert into met select operation_id, response, sent_after, {_FOLDED.format('status')}, "
            f"{_TIME.format('created_at')}, has_id, false from (select {unnested})",
            {name: msgspec.json.encode(values).decode() for name, values in columns.items()},
        )
        self._buffer.clear()

    def knowledge(self) -> Knowledge:
        """How many tasks live, by status."""
        self.flush()
        if self._knowledge is None:
            rows = self.connection.execute("select status, count(*) from current group by status").fetchall()
            self._knowledge = Knowledge(dict(rows))
        return self._knowledge

    def missed_active(self, since: int) -> list[str]:
        """Ids of tasks known as waiting or processing that no response from `since` on has met."""
        self.flush()
        rows = self.connection.execute(
            "select operation_id from current where status in ('wait', 'processing') and has_id "
            "and operation_id not in (select operation_id from met where response >= $since) order by all",
            {"since": since},
        ).fetchall()
        return [operation_id for (operation_id,) in rows]

    def newer_than(self, operation_ids: Sequence[str]) -> dict[str, dict[str, int]]:
        """For each of these tasks, how many living ones of each status were created after it."""
        rows = self.connection.execute(
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
        rows = self.connection.execute(
            "select operation_type, device_type, model, manufacturer_name from served.core.operations "
            "where operation_id = ?",
            [operation_id],
        ).fetchall()
        names = ("operationType", "deviceType", "model", "manufacturerName")
        return dict(zip(names, rows[0], strict=True)) if rows else None

    def met_since(self, response: int) -> int:
        """How many different tasks were met from this response on."""
        self.flush()
        return int(
            scalar(self.connection, "select count(distinct operation_id) from met where response >= ?", [response])
        )

    def not_met(self, since: int, limit: int | None = None) -> tuple[int, list[str]]:
        """Known living tasks that no response from `since` on has met: how many, and the ids of the first `limit`."""
        self.flush()
        missing = (
            "from current where has_id and operation_id not in (select operation_id from met where response >= $since)"
        )
        rows = self.connection.execute(
            f"select operation_id {missing} order by all limit $limit", {"since": since, "limit": limit}
        ).fetchall()
        return int(scalar(self.connection, f"select count(*) {missing}", {"since": since})), [each for (each,) in rows]

    def count_not_newer(self, status: str | None, created_at: str) -> int:
        """Living tasks of a status, or of any, that were not created after this (yyyyMMdd'T'HHmmss'Z')."""
        self.flush()
        return int(
            scalar(
                self.connection,
                "select count(*) from current where ($status is null or status = $status) "
                f"and created_at <= {_TIME.format('$created_at')}",
                {"status": status, "created_at": created_at},
            )
        )

    def not_met_between(self, status: str | None, after: str | None, until: str | None, since: int) -> list[str]:
        """Ids of living tasks of a status created after one instant and not after another, not met since a response."""
        self.flush()
        rows = self.connection.execute(
            "select operation_id from current where ($status is null or status = $status) and has_id "
            f"and ($after is null or created_at > {_TIME.format('$after')}) "
            f"and ($until is null or created_at <= {_TIME.format('$until')}) "
            "and operation_id not in (select operation_id from met where response >= $since) order by all",
            {"status": status, "after": after, "until": until, "since": since},
        ).fetchall()
        return [operation_id for (operation_id,) in rows]

    def gone(self) -> list[RemovalEntry]:
        """Tasks that this sync found to be gone, and has not met since."""
        self.flush()
        rows = self.connection.execute(
            "select operation_id from met where response >= ? group by operation_id having max_by(is_gone, response) "
            "order by all",
            [self.first_response],
        ).fetchall()
        return [self._gone_at[operation_id] for (operation_id,) in rows]

    def forget_gone(self) -> None:
        """Take back what `add_gone` said in this sync: these tasks still count as living."""
        self._knowledge = None
        self.connection.execute("delete from met where is_gone and response >= ?", [self.first_response])

    def has_records_without_id(self, since: int) -> bool:
        """Whether a response from `since` on held a record without an id."""
        self.flush()
        return bool(scalar(self.connection, "select count(*) from met where not has_id and response >= ?", [since]))

    def begin_whole_reading(self, reading: Reading) -> None:
        """From now on a record without an id counts only if it was met in this reading."""
        self.flush()
        self._knowledge = None
        self.connection.execute(f"set variable whole_since = {reading.sync_id}")
        _forget_nameless(self.connection, reading.first_response)


@contextmanager
def open_ledger(warehouse: Warehouse, past: Past, reading: Reading | None = None) -> Iterator[Ledger]:
    """The knowledge to begin a sync with: what is served, and committed syncs that are not served yet.

    What a `reading` to go on with has met is known response by response.
    """
    served = warehouse.served_file()
    folder = warehouse.work / "ledger"
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with duckdb.connect(config={"temp_directory": str(folder), "memory_limit": MEMORY}) as connection:
            connection.execute(_MET)
            connection.execute(f"set variable whole_since = {past.whole_since}")
            if served is not None:
                connection.execute(f"attach {quoted(str(served))} as served (read_only)")
            connection.execute(_NOTHING_SERVED if served is None else _SERVED)
            connection.execute(_CURRENT)
            applied = scalar(connection, "select max(sync_id) from served.core.syncs") if served else 0
            reading_since = reading.sync_id if reading else past.next_sync_id
            for sync, manifest in committed_syncs(warehouse, after=min(applied, reading_since - 1)):
                if manifest.sync_id == past.whole_since:
                    _forget_nameless(connection, manifest.first_response)
                _load(connection, sync)
            yield Ledger(connection, past.next_response, is_served=served is not None)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _forget_nameless(connection: duckdb.DuckDBPyConnection, first_response: int) -> None:
    """Records without an id that were met before this response; those of today have other words, but are no more."""
    connection.execute("delete from met where not has_id and response < ?", [first_response])


def _load(connection: duckdb.DuckDBPyConnection, folder: Path) -> None:
    """Take in what a committed sync met, and what it found to be gone."""
    records = [str(file) for file in sorted(folder.glob("records-*.jsonl.zst")) if file.stat().st_size]
    connection.execute(
        f"create or replace temp table pages as select * from read_json($file, {_LINES}"
        "response: 'BIGINT', sent_after: 'BIGINT'})",
        {"file": str(folder / "pages.jsonl")},
    )
    if records:
        connection.execute(
            f"insert into met select record.operationId, response, sent_after, {_FOLDED.format('record.status')}, "
            f"{_TIME.format('record.createTime')}, true, false from read_json($files, ignore_errors = true, {_LINES}"
            "response: 'BIGINT', record: 'STRUCT(operationId VARCHAR, status VARCHAR, createTime VARCHAR)'}) "
            "inner join pages using (response)",
            {"files": records},
        )
    if (folder / "quarantine.jsonl").stat().st_size:
        connection.execute(
            "insert into met select operation_id, response, sent_after, "
            f"{_FOLDED.format(_IN_RECORD.format('status'))}, "
            f"{_TIME.format(_IN_RECORD.format('createTime'))}, operation_id <> sha256(record), false "
            f"from read_json($file, {_LINES}operation_id: 'VARCHAR', response: 'BIGINT', record: 'VARCHAR'}}) "
            "inner join pages using (response)",
            {"file": str(folder / "quarantine.jsonl")},
        )
    if (folder / "removals.jsonl").exists():
        connection.execute(
            "insert into met select operation_id, response, sent_after, null, null, true, true "
            f"from read_json($file, {_LINES}operation_id: 'VARCHAR', response: 'BIGINT'}}) "
            "inner join pages using (response)",
            {"file": str(folder / "removals.jsonl")},
        )
