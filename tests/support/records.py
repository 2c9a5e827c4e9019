"""OperationInfos as the platform documents them, and raw syncs made of them through the project's own raw store."""

import atexit
import json
import shutil
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

from pipelines.extract.entries import Beginning, Origin, RemovalEntry, SyncManifest
from pipelines.extract.raw import RawWriter, newest_sync, prepare
from pipelines.platform.client import LIST_PATH, Reply
from pipelines.platform.outcomes import Outcome
from pipelines.platform.structures import Page, decode_page
from pipelines.progress import Silent
from pipelines.prune import plan, prune
from pipelines.publish import Publication, publish
from pipelines.settings import Settings
from pipelines.warehouse import Warehouse
from support.one_database import OneDatabase

T0 = datetime(2026, 3, 4, 12, 0, 0, tzinfo=UTC)
SOURCE = {"platform": "test"}
_files = OneDatabase()
atexit.register(_files.close)


def counters(**values: Any) -> dict[str, Any]:
    """A staResult; `total` is the sum unless given, None leaves a counter out."""
    every = {"wait": 0, "processing": 0, "success": 0, "fail": 0, "stop": 0, "timeout": 0} | values
    if "total" not in every:
        every["total"] = sum(value for value in every.values() if isinstance(value, int))
    return {name: value for name, value in every.items() if value is not None}


def record(operation_id: Any = "task-1", **changes: Any) -> dict[str, Any]:
    """A documented, finished task with two devices; `changes` replace whole fields."""
    return {
        "operationId": operation_id,
        "createTime": "20260301T080000Z",
        "startTime": "20260301T080500Z",
        "stopTime": "20260301T090000Z",
        "operateType": "firmware_upgrade",
        "targets": {
            "deviceGroups": None,
            "deviceType": "WaterMeter",
            "model": "NB-1",
            "manufacturerName": "Acme",
            "devices": ["d-1", "d-2"],
        },
        "policy": {"executeType": "now", "retryType": False},
        "status": "success",
        "staResult": counters(success=2),
        "extendPara": {"fileVersion": "V1.0"},
    } | changes


def without(fields: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name not in names}


def encode(value: Any) -> bytes:
    return value if isinstance(value, bytes) else json.dumps(value).encode()


def reply_of(records: Iterable[Any], *, at: datetime = T0, total: int | None = None, page_no: int = 0) -> Reply:
    """What the client would return for a page; records are objects, or bytes to be sent as they are."""
    texts = [encode(each) for each in records]
    head = encode({"totalCount": len(texts) if total is None else total, "pageNo": page_no, "pageSize": 100})
    body = head[:-1] + b', "data": [' + b",".join(texts) + b"]}"
    return Reply(f"{LIST_PATH}?pageNo={page_no}&pageSize=100", Outcome.OK, at, body, decode_page(body))


def write_sync(
    warehouse: Warehouse,
    *pages: Sequence[Any],
    mode: str = "full",
    grade: str = "counted",
    gone: Sequence[str] = (),
    at: datetime | None = None,
    total: int | None = None,
) -> Path:
    """Commit one full sync whose responses held these records; returns its folder."""
    newest = newest_sync(warehouse)
    first = newest.last_response + 1 if newest else 1
    sync_id = newest.sync_id + 1 if newest else 1
    started = at or T0 + timedelta(hours=sync_id)
    writer = RawWriter(warehouse, Beginning(mode, SOURCE, first))
    replies = [
        reply_of(page, at=started + timedelta(seconds=index), page_no=index)
        for index, page in enumerate(pages or ([],))
    ]
    for response, reply in enumerate(replies, first):
        writer.add(prepare(reply, Origin(response, response - 1, of="all")))
    removals = []
    for response, operation_id in enumerate(gone, first + len(replies)):
        answer = Reply(f"{LIST_PATH}/{operation_id}", Outcome.GONE, started, b"{}", Page([], None, None, None))
        writer.add(prepare(answer, Origin(response, response - 1, operation_id=operation_id)))
        removals.append(RemovalEntry(response, started, operation_id))
    manifest = SyncManifest(
        sync_id=sync_id,
        mode=mode,
        source=SOURCE,
        grade=grade,
        grade_evidence="written by a test",
        started_at=started,
        finished_at=started + timedelta(seconds=len(replies) - 1),
        first_response=first,
        last_response=writer.last_response,
        api_calls=len(replies) + 1,
        pages=writer.pages,
        records=writer.records,
        quarantined=writer.quarantined,
        undocumented_fields=sorted(writer.undocumented_fields),
        total_after=sum(map(len, pages)) if total is None else total,
    )
    return writer.commit(manifest, removals)


def make_settings(folder: Path, **values: Any) -> Settings:
    """Settings for a warehouse below `folder`, from nothing but the arguments."""
    return Settings(_env_file=None, warehouse=folder / "warehouse", **values)


class Store:
    """A warehouse whose syncs a test writes, and what is published of it."""

    def __init__(self, folder: Path, **values: Any) -> None:
        self.settings = make_settings(folder, **values)
        self.warehouse = Warehouse(self.settings.warehouse)
        self.warehouse.root.mkdir(exist_ok=True, parents=True)

    def copied(self, folder: Path) -> Self:
        """The same warehouse below another folder, for a test to change."""
        shutil.copytree(self.warehouse.root, folder / "warehouse", symlinks=True)
        return type(self)(folder)

    def sync(self, *pages: Sequence[Any], **options: Any) -> Path:
        return write_sync(self.warehouse, *pages, **options)

    def publish(self, *, from_scratch: bool = False) -> Publication:
        return publish(self.settings, self.warehouse, Silent(), from_scratch=from_scratch)

    def prune(self, keep_days: int = 0) -> int:
        """What the command does once everything is served; returns the bytes freed."""
        return prune(self.settings, self.warehouse, plan(self.warehouse, keep_days))

    def apply(self, *pages: Sequence[Any], **options: Any) -> Publication:
        self.sync(*pages, **options)
        return self.publish()

    def rows(self, query: str, parameters: Any = None) -> list[dict[str, Any]]:
        """Rows of a query on the served file."""
        with _files.connect(str(self.warehouse.served_file()), read_only=True) as connection:
            cursor = connection.execute(query, parameters)
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, values, strict=True)) for values in cursor.fetchall()]

    def row(self, query: str, parameters: Any = None) -> dict[str, Any]:
        (row,) = self.rows(query, parameters)
        return row

    def everything(self) -> dict[str, list[dict[str, Any]]]:
        """All core tables, row for row."""
        from pipelines.tables import TABLES

        return {
            table.name: self.rows(f"select * from core.{table.name} order by {', '.join(table.order_by)}")
            for table in TABLES
        }

    def lake_bytes(self) -> dict[str, bytes]:
        lake = self.warehouse.lake
        return {str(file.relative_to(lake)): file.read_bytes() for file in sorted(lake.rglob("*.parquet"))}

    def lake_identities(self) -> dict[str, tuple[int, int]]:
        """Inode and time of change of each Parquet file."""
        lake = self.warehouse.lake
        return {
            str(file.relative_to(lake)): (file.stat().st_ino, file.stat().st_mtime_ns)
            for file in sorted(lake.rglob("*.parquet"))
        }
