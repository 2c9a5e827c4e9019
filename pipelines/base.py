"""A base: what a rebuild needs of syncs whose raw responses are dropped. It stands for them, and can be flattened anew.

It is the state of a rebuild after the last of these syncs: each task's newest record, as received, and beside it what
no record says: when the task and its content were first met, when it was removed, history, syncs, quarantine. Written
once, for `prune`; read wherever everything is made again. Fails with `StorageError` when it is not what was written.
"""

from __future__ import annotations

import itertools
from datetime import UTC
from pathlib import Path
from typing import Any

import duckdb
import msgspec

from pipelines.errors import StorageError
from pipelines.extract.entries import BaseManifest, QuarantineEntry
from pipelines.records import LINES, MAX_RECORD_BYTES, POSITIONS_PER_RESPONSE, RESTORE, create_records, judge_again
from pipelines.sql_text import quoted, scalar
from pipelines.warehouse import replace_file, sha256_of, sync_to_disk

RESTORE_BASE = "Restore raw/ from a backup, then run it again; what was published is still served"

# The newest record of a task came later than its content, if that did not change.
_OF_BASE = f"""(
    select lines.* replace (tasks.observed_at as observed_at), tasks.sync_id as sync
    from read_json({LINES}, hive_partitioning = false) as lines
    inner join base_tasks as tasks on tasks.position = lines.response * {POSITIONS_PER_RESPONSE} + lines.index
)"""
_READ = f"format = 'newline_delimited', ignore_errors = true, maximum_object_size = {MAX_RECORD_BYTES}"
_PLACE = f"* {POSITIONS_PER_RESPONSE} +"  # as in sql/core/records.sql
_LAST_MET = f"""
    select record.operationId as operation_id, max(response {_PLACE} index) as position
    from read_json(
        $files, {_READ}, hive_partitioning = false,
        columns = {{response: 'BIGINT', index: 'BIGINT', record: 'STRUCT(operationId VARCHAR)'}}
    )
    group by operation_id
"""
_RECORDS = f"""
    select cast(json as varchar) as line from read_json_objects(getvariable('files'), {_READ})
    where cast(json ->> '$.response' as bigint) {_PLACE} cast(json ->> '$.index' as bigint)
        in (select position from last_met)
"""
_TASKS = """
    select
        newest.operation_id, last_met.position, records.observed_at, records.sync_id, newest.first_observed_at,
        removed.removed_at
    from newest
    inner join records on newest.position = records.position
    left join last_met on newest.operation_id = last_met.operation_id
    left join removed on newest.operation_id = removed.operation_id
"""
_PARTS = {
    "tasks": _TASKS,
    "history": "from new_history",
    "syncs": "from new_syncs",
    "quarantine": "from quarantine_before",
}
# JSON text holds no control characters: nothing is quoted, each line stays as it was received.
_AS_LINES = (
    "format csv, header false, delimiter '\x01', quote '', escape '', compression zstd, "
    "file_size_bytes '64MB', filename_pattern 'records-{i}', file_extension 'jsonl.zst'"
)


def write_base(connection: duckdb.DuckDBPyConnection, folder: Path, sync_id: int, record_paths: list[str]) -> None:
    """Write the state of a rebuild after this sync into an empty folder, durably, `base.json` last.

    `record_paths` are the files with all records that the state was made of.

    Raises:
        StorageError: a task's newest record is in none of them.
    """
    connection.execute("create table last_met (operation_id varchar, position bigint)")
    rows = {"records": 0}
    if record_paths:
        connection.execute(f"insert into last_met {_LAST_MET}", {"files": record_paths})
        connection.execute("set variable files = $files", {"files": record_paths})
        rows["records"] = _copy(connection, _RECORDS, folder, _AS_LINES)
    for name, query in _PARTS.items():
        rows[name] = _copy(connection, query, folder / f"{name}.parquet", "format parquet, compression zstd")
    if rows["records"] != rows["tasks"]:
        raise StorageError(f"{rows['records']:,} records of {rows['tasks']:,} tasks can be read", advice=RESTORE)
    files = sorted(folder.iterdir())
    for file in files:
        sync_to_disk(file)
    manifest = BaseManifest(sync_id, rows, {file.name: sha256_of(file) for file in files})
    replace_file(folder / "base.json", msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n")


def _copy(connection: duckdb.DuckDBPyConnection, query: str, target: Path, options: str) -> int:
    ((count,),) = connection.execute(f"copy ({query}) to {quoted(str(target))} ({options})").fetchall()
    return int(count)


def load_base(
    connection: duckdb.DuckDBPyConnection, folder: Path, scratch: Path
) -> tuple[BaseManifest, list[dict[str, object]]]:
    """Load the newest record of each task of a base into `records`, and `base_tasks`, `base_history`, `base_syncs`.

    Returns its manifest, and the quarantined records that are still broken; those that are not go into `records` too.

    Raises:
        StorageError: a file is damaged or missing.
    """
    manifest = check_base(folder)
    for name in ("tasks", "history", "syncs"):
        connection.execute(
            f"create table base_{name} as select * from read_parquet($file, hive_partitioning = false)",
            {"file": str(folder / f"{name}.parquet")},
        )
    create_records(
        connection, [str(folder / name) for name in manifest.sha256 if name.startswith("records-")], _OF_BASE
    )
    found = {name: scalar(connection, f"select count(*) from {name}") for name in ("records", "base_tasks")}
    if set(found.values()) != {manifest.rows["records"]}:
        raise StorageError(
            f"{folder} is damaged: {found}, expected {manifest.rows['records']:,} of each", advice=RESTORE_BASE
        )
    still_broken, retried = _judge_base_again(connection, folder, scratch)
    if retried:
        create_records(connection, retried)
    return manifest, still_broken


def check_base(folder: Path) -> BaseManifest:
    """Read the manifest of a base, and compare its files with it.

    Raises:
        StorageError: a file is damaged or missing.
    """
    try:
        manifest = msgspec.json.decode((folder / "base.json").read_bytes(), type=BaseManifest)
    except (msgspec.DecodeError, FileNotFoundError) as error:
        raise StorageError(f"{folder / 'base.json'} is torn or corrupt: {error}", advice=RESTORE_BASE) from None
    for name, sha256 in manifest.sha256.items():
        if not (folder / name).is_file() or sha256_of(folder / name) != sha256:
            raise StorageError(f"{folder / name} is damaged or missing", advice=RESTORE_BASE)
    return manifest


def quarantine_of(connection: duckdb.DuckDBPyConnection, folder: Path) -> list[tuple[dict[str, Any], QuarantineEntry]]:
    """The records that a base set aside, by the last sync that met them: each as its row, and as a sync keeps it."""
    found = connection.execute(
        "from read_parquet($file, hive_partitioning = false) order by last_sync_id",
        {"file": str(folder / "quarantine.parquet")},
    )
    names = [column[0] for column in found.description]
    rows = [dict(zip(names, values, strict=True)) for values in found.fetchall()]
    return [
        (
            row,
            QuarantineEntry(
                row["position"] // POSITIONS_PER_RESPONSE,
                row["position"] % POSITIONS_PER_RESPONSE,
                row["observed_at"].replace(tzinfo=UTC),
                row["operation_id"],
                row["reason"],
                row["record"],
            ),
        )
        for row in rows
    ]


def _judge_base_again(
    connection: duckdb.DuckDBPyConnection, folder: Path, scratch: Path
) -> tuple[list[dict[str, object]], list[str]]:
    """Judge the quarantine by today's rules: rows that are still broken, files of records with the others."""
    still_broken, retried = [], []
    kept = quarantine_of(connection, folder)
    for sync_id, group in itertools.groupby(kept, key=lambda each: int(each[0]["last_sync_id"])):
        entries = {entry.operation_id: (row, entry) for row, entry in group}
        broken, files = judge_again([entry for _, entry in entries.values()], sync_id, scratch)
        still_broken += [entries[str(row["operation_id"])][0] | {"reason": row["reason"]} for row in broken]
        retried += files
    return still_broken, retried
