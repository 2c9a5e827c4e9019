"""The ledger that a sync begins with: what is served, and what committed syncs met that are not served yet."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import duckdb

from pipelines.extract.ledger import CURRENT, FOLDED, MET, TIME, Ledger, forget_nameless
from pipelines.extract.past import Past, Reading
from pipelines.extract.raw import committed_syncs
from pipelines.sql_text import attach_served, duckdb_errors, last_applied
from pipelines.warehouse import Warehouse

MEMORY = "512MB"  # beyond it, what was met lies on disk

_IN_RECORD = "try(json_extract_string(record, '$.{}'))"
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
        {FOLDED.format(_IN_RECORD.format("status"))} as status,
        {TIME.format(_IN_RECORD.format("createTime"))} as created_at,
        operation_id <> sha256(record) as has_id
    from served.core.quarantine
    where (operation_id <> sha256(record) or last_sync_id >= getvariable('whole_since'))
        and operation_id not in (select operation_id from served.core.operations where removed_at is null);
    create view known_since as
    select operation_id, min(sync_id) as sync_id from served.core.operation_history group by operation_id
    union all
    select operation_id, first_sync_id from served.core.quarantine;
"""
_LINES = "format = 'newline_delimited', columns = {"


@contextmanager
def open_ledger(warehouse: Warehouse, past: Past, reading: Reading | None = None) -> Iterator[Ledger]:
    """The knowledge to begin a sync with: what is served, and committed syncs that are not served yet.

    What a `reading` to go on with has met is known response by response.

    Raises:
        StorageError: the served file or a raw file is damaged, or the disk failed.
    """
    served = warehouse.served_file()
    folder = warehouse.work / "ledger"
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with (
            duckdb_errors(),
            duckdb.connect(config={"temp_directory": str(folder), "memory_limit": MEMORY}) as connection,
            ThreadPoolExecutor(1, thread_name_prefix="ledger") as taker,
        ):
            connection.execute(MET)
            connection.execute(f"set variable whole_since = {past.whole_since}")
            if served is not None:
                attach_served(connection, served)
            connection.execute(_NOTHING_SERVED if served is None else _SERVED)
            connection.execute(CURRENT)
            applied = last_applied(connection) if served else 0
            after = min(applied, reading.sync_id - 1) if reading else applied
            for sync, manifest in committed_syncs(warehouse, after):
                if manifest.sync_id == past.whole_since:
                    forget_nameless(connection, manifest.first_response)
                _load(connection, sync)
            yield Ledger(connection, past.next_response, taker, is_served=served is not None)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


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
            f"insert into met select record.operationId, response, sent_after, {FOLDED.format('record.status')}, "
            f"{TIME.format('record.createTime')}, true, false from read_json($files, ignore_errors = true, {_LINES}"
            "response: 'BIGINT', record: 'STRUCT(operationId VARCHAR, status VARCHAR, createTime VARCHAR)'}) "
            "inner join pages using (response)",
            {"files": records},
        )
    if (folder / "quarantine.jsonl").stat().st_size:
        connection.execute(
            "insert into met select operation_id, response, sent_after, "
            f"{FOLDED.format(_IN_RECORD.format('status'))}, "
            f"{TIME.format(_IN_RECORD.format('createTime'))}, operation_id <> sha256(record), false "
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
