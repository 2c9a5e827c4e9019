"""From raw files to the table `records` of the scratch database: the only place that reads what the raw store wrote.

What is read is compared with what was received: a torn zstd file reads as a shorter one without an error. Records that
were quarantined are judged again, by today's rules. What records mean for a task is decided in `flatten`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import duckdb
import msgspec

from pipelines.errors import StorageError
from pipelines.extract.entries import PageEntry, QuarantineEntry, RemovalEntry, SyncManifest
from pipelines.extract.raw import compress
from pipelines.models import load
from pipelines.platform.judgement import judge
from pipelines.sql_text import insert_rows, scalar

RECORDS_PER_BATCH = 1_000_000
POSITIONS_PER_RESPONSE = 1_000_000  # as in sql/core/records.sql
RESTORE = "Restore raw/ from a backup, or move the torn sync's folder away, then run `iodm rebuild`"
MAX_RECORD_BYTES = 64 * 2**20

RECORD_TYPE = """STRUCT(
    operationId VARCHAR, createTime VARCHAR, startTime VARCHAR, stopTime VARCHAR, operateType VARCHAR, status VARCHAR,
    targets STRUCT(
        deviceGroups VARCHAR[], deviceType VARCHAR, model VARCHAR, manufacturerName VARCHAR, devices VARCHAR[]
    ),
    policy STRUCT(executeType VARCHAR, startTime VARCHAR, endTime VARCHAR, retryType BOOLEAN, retryTimes INTEGER),
    staResult STRUCT(
        total BIGINT, wait BIGINT, processing BIGINT, success BIGINT, fail BIGINT, stop BIGINT, timeout BIGINT
    ),
    extendPara MAP(VARCHAR, VARCHAR)
)"""
LINE_TYPES = {
    "response": "BIGINT",
    "index": "BIGINT",
    "observed_at": "VARCHAR",
    "broken_fields": "VARCHAR[]",
    "record": RECORD_TYPE,
}

LINES = f"""
    getvariable('record_files'), format = 'newline_delimited', ignore_errors = true,
    columns = {{{", ".join(f"{name}: '{type_}'" for name, type_ in LINE_TYPES.items())}}},
    maximum_object_size = {MAX_RECORD_BYTES}
"""
SYNC_OF_FILE = (
    r"cast(regexp_extract(filename, 'sync=(\d+)/[^/]*$', 1) as bigint)"  # who names a folder above so has no say
)
OF_SYNCS = f"(select *, {SYNC_OF_FILE} as sync from read_json({LINES}, hive_partitioning = false, filename = true))"


def batches(syncs: Iterable[tuple[Path, SyncManifest]]) -> Iterator[list[tuple[Path, SyncManifest]]]:
    """Group syncs, oldest first, in groups of a single sync or of at most `RECORDS_PER_BATCH` records."""
    batch: list[tuple[Path, SyncManifest]] = []
    records = 0
    for folder, manifest in syncs:
        if batch and records + manifest.records > RECORDS_PER_BATCH:
            yield batch
            batch, records = [], 0
        batch.append((folder, manifest))
        records += manifest.records
    if batch:
        yield batch


def load_records(connection: duckdb.DuckDBPyConnection, batch: list[tuple[Path, SyncManifest]], scratch: Path) -> None:
    """Load the records of a batch of committed syncs into `records`, those still broken into `broken_records`.

    Tasks found to be gone go into `removal_lines`.

    Raises:
        StorageError: a raw file is torn: it holds less than its sync received.
    """
    files, broken, removals = [], [], []
    expected: dict[int, tuple[int, Path]] = {}
    for folder, manifest in batch:
        _check_pages(folder, manifest)
        still_broken, retried = judge_again(quarantined(folder / "quarantine.jsonl"), manifest.sync_id, scratch)
        broken += still_broken
        removals += _removals(folder / "removals.jsonl")
        files += record_files(folder) + retried
        expected[manifest.sync_id] = (manifest.records - len(still_broken), folder)
    create_records(connection, files)
    counted = "select sync_id, count(*) from records where sync_id between ? and ? group by sync_id"
    readable = dict(connection.execute(counted, [min(expected), max(expected)]).fetchall())
    for sync_id, (received, folder) in expected.items():
        if readable.get(sync_id, 0) != received:
            raise StorageError(
                f"the raw records in {folder} are torn: {readable.get(sync_id, 0):,} can be read, "
                f"{received:,} were received",
                advice=RESTORE,
            )
    connection.execute("delete from broken_records")
    insert_rows(connection, "broken_records", broken)
    connection.execute("delete from removal_lines")
    insert_rows(connection, "removal_lines", removals)


def record_files(folder: Path) -> list[str]:
    """The files with the records of a sync or a base, but for empty ones."""
    return [str(file) for file in sorted(folder.glob("records-*.jsonl.zst")) if file.stat().st_size]


def ensure_records(connection: duckdb.DuckDBPyConnection) -> None:
    """Make the table, empty, if nothing was loaded."""
    if not _has_records(connection):
        create_records(connection, [])


def create_records(connection: duckdb.DuckDBPyConnection, files: list[str], source: str = OF_SYNCS) -> None:
    """Append to `records`, or create it; a batch without any good record still needs the table."""
    if not files:
        source = f"(select *, cast(null as bigint) as sync from (select {_empty_line()}) where false)"
    connection.execute("set variable record_files = $files", {"files": files})
    connection.execute(f"create or replace temp view raw_lines as select * from {source}")
    connection.execute(f"create or replace temp view typed_records as {load('core')['records'].sql}")
    target = "insert into records" if _has_records(connection) else "create table records as"
    try:
        connection.execute(f"{target} select * from with_fingerprints('typed_records')")
    except (duckdb.IOException, duckdb.InvalidInputException) as error:
        torn = next((file for file in files if not _is_readable(connection, file)), "raw records")
        raise StorageError(f"{torn} can't be read: {error}", advice=RESTORE) from error


def _is_readable(connection: duckdb.DuckDBPyConnection, file: str) -> bool:
    connection.execute("set variable record_files = $files", {"files": [file]})
    try:
        connection.execute("select count(record) from raw_lines").fetchall()
    except duckdb.Error:
        return False
    return True


def _has_records(connection: duckdb.DuckDBPyConnection) -> bool:
    try:
        scalar(connection, "from records limit 0")
    except duckdb.CatalogException:
        return False
    return True


def _empty_line() -> str:
    return ", ".join(f"cast(null as {type_}) as {name}" for name, type_ in LINE_TYPES.items())


def _check_pages(folder: Path, manifest: SyncManifest) -> None:
    """Compare the manifest with `pages.jsonl`: a file cut short is noticed here, before anything is made of it."""
    entries = pages_of(folder)
    found = (len(entries), sum(entry.records for entry in entries))
    if found != (manifest.pages, manifest.records):
        raise StorageError(
            f"{folder / 'pages.jsonl'} is torn: {found[0]:,} responses with {found[1]:,} records, "
            f"expected {manifest.pages:,} with {manifest.records:,}",
            advice=RESTORE,
        )


def pages_of(folder: Path) -> list[PageEntry]:
    """The responses of a sync; none where the file is torn, which fits no manifest."""
    try:
        return msgspec.json.Decoder(PageEntry).decode_lines((folder / "pages.jsonl").read_bytes())
    except (msgspec.DecodeError, FileNotFoundError):
        return []


def quarantined(file: Path) -> list[QuarantineEntry]:
    """What a sync set aside.

    Raises:
        StorageError: the file is torn.
    """
    try:
        return [msgspec.json.decode(line, type=QuarantineEntry) for line in file.read_bytes().splitlines()]
    except (msgspec.DecodeError, FileNotFoundError) as error:
        raise StorageError(f"{file} is torn: {error}", advice=RESTORE) from None


def _removals(file: Path) -> list[dict[str, object]]:
    if not file.exists():
        return []
    try:
        entries = msgspec.json.Decoder(RemovalEntry).decode_lines(file.read_bytes())
    except msgspec.DecodeError as error:
        raise StorageError(f"{file} is torn: {error}", advice=RESTORE) from None
    return [
        {
            "operation_id": entry.operation_id,
            "position": entry.response * POSITIONS_PER_RESPONSE,
            "observed_at": entry.observed_at.replace(tzinfo=None),
        }
        for entry in entries
    ]


def judge_again(
    entries: Iterable[QuarantineEntry], sync_id: int, scratch: Path
) -> tuple[list[dict[str, object]], list[str]]:
    """Judge quarantined records by today's rules: those still broken as rows, the others as a file of records."""
    broken: list[dict[str, object]] = []
    good = []
    for entry in entries:
        judgement = judge(entry.record.encode())
        if judgement.reason is None:
            time = entry.observed_at.strftime("%Y-%m-%dT%H:%M:%SZ")
            head = {
                "response": entry.response,
                "index": entry.index,
                "observed_at": time,
                "broken_fields": judgement.broken_fields,
            }
            good.append(msgspec.json.encode({**head, "record": msgspec.Raw(entry.record.encode())}) + b"\n")
        else:
            position = entry.response * POSITIONS_PER_RESPONSE + entry.index
            broken.append(
                {
                    "operation_id": entry.operation_id,
                    "sync_id": sync_id,
                    "position": position,
                    "observed_at": entry.observed_at.replace(tzinfo=None),
                    "reason": judgement.reason,
                    "record": entry.record,
                }
            )
    if not good:
        return broken, []
    file = scratch / "synced_date=retried" / f"sync={sync_id:06d}" / "records-00000.jsonl.zst"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(compress(b"".join(good)))
    return broken, [str(file)]
