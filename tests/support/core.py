"""A published file in memory: core tables that a test fills by hand, then the macros and marts of `sql/` over them."""

import datetime as dt
import hashlib

import duckdb

from pipelines.marts import build_marts
from pipelines.publish import LAKE_MANIFEST
from pipelines.tables import TABLES
from pipelines.warehouse import Warehouse, serve

TASK = {
    "operation_type": "firmware_upgrade",
    "status": "success",
    "status_text": "success",
    "created_at": "2026-03-01 08:00:00",
    "device_type": "WaterMeter",
    "model": "NB-1",
    "manufacturer_name": "Acme",
    "named_device_count": 2,
    "device_group_count": 0,
    "file_version": "V1.0",
    "_first_observed_at": "2026-03-04 12:00:00",
    "_observed_at": "2026-03-04 12:00:00",
    "_sync_id": 1,
    "_broken_fields": [],
}
SYNC = {
    "mode": "full",
    "grade": "counted",
    "started_at": "2026-03-04 12:00:00",
    "finished_at": "2026-03-04 12:01:00",
    "api_calls": 3,
    "pages": 2,
    "records": 2,
    "operations_new": 2,
    "operations_changed": 0,
    "total_after": 2,
    "quarantined": 0,
    "_undocumented_fields": [],
}
COUNTERS = ("wait", "processing", "success", "fail", "stop", "timeout")


def at(text):
    """A moment; a time alone is one of the first day."""
    return dt.datetime.fromisoformat(f"2026-03-01 {text}" if len(text) <= 8 else text)


def hours(*numbers):
    """These hours of the first day as times of syncs; more than 24 reach into the next days."""
    return [at("00:00:00") + dt.timedelta(hours=number) for number in numbers]


class Core:
    """Core tables without the promises of the pipeline: a check must be able to find what should not be."""

    def __init__(self) -> None:
        self.connection = duckdb.connect(config={"threads": 1})  # few rows: others have nothing to do
        self.connection.execute("create schema core")
        for table in TABLES:
            columns = ", ".join(f"{column.name} {column.duckdb_type}" for column in table.columns)
            self.connection.execute(f"create table core.{table.name} ({columns})")
        columns = ", ".join(f"{name} {kind}" for name, (kind, _) in LAKE_MANIFEST.items())
        self.connection.execute(f"create table core._lake_files ({columns})")

    def insert(self, table, **values):
        names = ", ".join(values)
        self.connection.execute(
            f"insert into core.{table} ({names}) values ({', '.join('?' for _ in values)})", list(values.values())
        )

    def task(self, operation_id, *, month=None, **values):
        """A task; counters among the values give it a row of results too."""
        numbers = {name: values.pop(name) for name in ("total", *COUNTERS) if name in values}
        row = TASK | values
        self.insert("operations", operation_id=operation_id, created_month=month or str(row["created_at"])[:7], **row)
        if numbers:
            self.result(operation_id, **numbers)
        return self

    def result(self, operation_id, **numbers):
        every = dict.fromkeys(COUNTERS, 0) | numbers
        every.setdefault("total", sum(every[name] for name in COUNTERS))
        received = every.pop("fail_as_received", every["fail"])
        self.insert(
            "operation_results", operation_id=operation_id, total_is_derived=False, fail_as_received=received, **every
        )
        return self

    def aim(self, operation_id, *, groups=(), devices=()):
        """Targets of a task that is there."""
        for target_type, targets in (("device_group", groups), ("device", devices)):
            for position, target_id in enumerate(targets):
                self.insert(
                    "operation_targets",
                    operation_id=operation_id,
                    target_type=target_type,
                    position=position,
                    target_id=target_id,
                    _target_hash=int.from_bytes(hashlib.md5(target_id.encode()).digest(), "little") % 2**20,
                )
        self.connection.execute(
            "update core.operations set device_group_count = ?, named_device_count = ? where operation_id = ?",
            [len(groups), len(devices), operation_id],
        )
        return self

    def sync(self, sync_id, **values):
        self.insert("syncs", sync_id=sync_id, **(SYNC | values))
        return self

    def looks(self, *moments, mode="incremental"):
        """Syncs that finished at these times, numbered from the next free number on."""
        for moment in moments:
            number = self.value("(select coalesce(max(sync_id), 0) + 1 from core.syncs)")
            self.sync(number, mode=mode, started_at=moment, finished_at=moment)
        return self

    def course(self, operation_id, *states, **values):
        """A task whose states syncs met: each a sync's number and its counters or None; the last one is today's."""
        finished = self.rows("select sync_id, finished_at from core.syncs")
        times = {row["sync_id"]: row["finished_at"] for row in finished}
        numbers = {}
        for sync_id, numbers in states:
            every = dict.fromkeys(COUNTERS, 0) | numbers if numbers is not None else {}
            if every:
                every.setdefault("total", sum(every[name] for name in COUNTERS))
            status = values.get("status", "success") if sync_id == states[-1][0] else "processing"
            self.insert(
                "operation_history",
                operation_id=operation_id,
                observed_at=times[sync_id],
                sync_id=sync_id,
                status=status,
                **every,
            )
        return self.task(operation_id, _first_observed_at=times[states[0][0]], **(numbers or {}), **values)

    def marts(self):
        build_marts(self.connection, 7, 0.95, dt.datetime.fromisoformat("2026-03-04T12:30"))
        return self

    def publish(self, warehouse: Warehouse):
        """Serve it as a file."""
        warehouse.published.mkdir(parents=True)
        file = warehouse.published / "iodm-000007.duckdb"
        self.connection.execute(f"attach '{file}' as published")
        self.connection.execute("copy from database memory to published")
        self.connection.execute("detach published")
        serve(warehouse, file)
        return self

    def rows(self, query, parameters=None):
        cursor = self.connection.execute(query, parameters)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, values, strict=True)) for values in cursor.fetchall()]

    def value(self, expression, parameters=None):
        ((value,),) = self.connection.execute(f"select {expression}", parameters).fetchall()
        return value
