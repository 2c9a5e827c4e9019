"""The raw records behind tasks, and the responses that brought them: found in the raw store for `explain`.

Of syncs that were pruned, the base holds each task's newest record; which response brought it is not kept. Fails with
`StorageError` where a sync that is kept does not hold what it received.
"""

from __future__ import annotations

from pathlib import Path

import duckdb
import msgspec

from pipelines.base import quarantine_of
from pipelines.errors import StorageError
from pipelines.extract.entries import QuarantineEntry
from pipelines.extract.raw import newest_base, number_of, sync_folders
from pipelines.platform.judgement import judge
from pipelines.records import (
    MAX_RECORD_BYTES,
    POSITIONS_PER_RESPONSE,
    RESTORE,
    SYNC_OF_FILE,
    pages_of,
    quarantined,
    record_files,
)
from pipelines.sql_text import insert_rows, scalar
from pipelines.warehouse import Warehouse

_READ = f"format = 'newline_delimited', ignore_errors = true, maximum_object_size = {MAX_RECORD_BYTES}"
_TABLES = """
    create temp table evidence (
        operation_id varchar, sync_id bigint, response bigint, index bigint, observed_at timestamp, record varchar,
        is_broken boolean
    );
    create temp table responses (response bigint, request varchar, sha256 varchar);
    create temp view newest as
    from evidence
    where not is_broken
    qualify row_number() over (partition by operation_id, sync_id order by response desc, index desc) = 1
"""
# A line ends with the record, exactly as it was received.
_KEPT = """
    with lines as (
        select
            cast(json ->> '$.response' as bigint) as response,
            cast(json ->> '$.index' as bigint) as index,
            cast(json ->> '$.observed_at' as timestamp) as observed_at,
            json ->> '$.record.operationId' as operation_id,
            substr(json, instr(json, '"record":') + 9)[:-2] as record,
            *
        from read_json_objects($files, {read})
    )
    insert into evidence
    select wanted.operation_id, wanted.sync_id, lines.response, lines.index, lines.observed_at, lines.record, false
    from lines
    inner join wanted on lines.operation_id = wanted.operation_id
"""
_RECORDS = (
    _KEPT.format(read=f"{_READ}, hive_partitioning = false, filename = true") + f" and {SYNC_OF_FILE} = wanted.sync_id"
)
# A base holds each task's newest record, of the sync that first met its content.
_BASE_RECORDS = (
    _KEPT.format(read=f"{_READ}, hive_partitioning = false")
    + f"""
    inner join read_parquet($tasks, hive_partitioning = false) as tasks
        on tasks.position = lines.response * {POSITIONS_PER_RESPONSE} + lines.index and tasks.sync_id = wanted.sync_id
    """
)


def collect_evidence(connection: duckdb.DuckDBPyConnection, warehouse: Warehouse) -> None:
    """Find the records of the tasks and syncs in the table `wanted`, and the responses that brought them.

    Makes the tables `evidence` and `responses`, and the view `newest`: of each task and sync its newest good record.

    Raises:
        StorageError: a raw file is damaged.
    """
    connection.execute(_TABLES)
    base = newest_base(warehouse)
    wanted = {sync_id for (sync_id,) in connection.execute("select distinct sync_id from wanted").fetchall()}
    folders = {number_of(folder): folder for folder in sync_folders(warehouse) if number_of(folder) in wanted}
    try:
        if records := [file for folder in folders.values() for file in record_files(folder)]:
            connection.execute(_RECORDS, {"files": records})
        if base and (records := record_files(base)):
            connection.execute(_BASE_RECORDS, {"files": records, "tasks": str(base / "tasks.parquet")})
        for folder in folders.values():
            insert_rows(connection, "responses", _responses(folder))
    except duckdb.IOException as error:
        raise StorageError(f"raw records can't be read: {error}", advice=RESTORE) from error
    set_aside = [
        (sync_id, entry) for sync_id, folder in folders.items() for entry in quarantined(folder / "quarantine.jsonl")
    ]
    if base:
        set_aside += [(int(row["last_sync_id"]), entry) for row, entry in quarantine_of(connection, base)]
    _insert_set_aside(connection, set_aside)
    torn = scalar(
        connection,
        "select count(*) from wanted anti join evidence using (operation_id, sync_id) "
        "where sync_id in (select unnest($kept))",
        {"kept": list(folders)},
    )
    if torn:
        raise StorageError(f"{torn:,} records that syncs received can't be found in {warehouse.raw}", advice=RESTORE)


def _responses(folder: Path) -> list[dict[str, object]]:
    """The responses of a sync. A page's records are one closed frame: a file of another size reads as a shorter one."""
    pages = pages_of(folder)
    if sum(Path(file).stat().st_size for file in record_files(folder)) != sum(page.frame_bytes for page in pages):
        raise StorageError(f"the records in {folder} are not as many bytes as were received", advice=RESTORE)
    return [{"response": page.response, "request": page.request, "sha256": page.sha256} for page in pages]


def _insert_set_aside(connection: duckdb.DuckDBPyConnection, entries: list[tuple[int, QuarantineEntry]]) -> None:
    """Records that a sync found broken when they came; by today's rules they may be good ones."""
    ids = {each for (each,) in connection.execute("select distinct operation_id from wanted").fetchall()}
    rows = [
        msgspec.structs.asdict(entry)
        | {"sync_id": sync_id, "is_broken": judge(entry.record.encode()).reason is not None}
        for sync_id, entry in entries
        if entry.operation_id in ids
    ]
    insert_rows(connection, "evidence", rows)
