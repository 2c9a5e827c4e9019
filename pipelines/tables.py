"""The registry: every column of the core tables, declared once.

Parquet schemas, DuckDB tables and comments, Dagster's column schemas, the data dictionary and test strategies derive
from here. How a column is computed stands in `sql/core/`, not here.
"""

from __future__ import annotations

from dataclasses import dataclass

import duckdb
import pyarrow as pa

from pipelines.sql_text import column_types

TEXT, BIGINT, INTEGER, BOOLEAN = pa.string(), pa.int64(), pa.int32(), pa.bool_()
TIMESTAMP = pa.timestamp("us")
MAP = pa.map_(TEXT, TEXT)
TEXTS = pa.list_(TEXT)

DUCKDB_TYPES = {
    TEXT: "VARCHAR",
    BIGINT: "BIGINT",
    INTEGER: "INTEGER",
    BOOLEAN: "BOOLEAN",
    TIMESTAMP: "TIMESTAMP",
    MAP: "MAP(VARCHAR, VARCHAR)",
    TEXTS: "VARCHAR[]",
}


@dataclass(frozen=True)
class Column:
    """One column. Times are UTC without zone; `unit` is for numbers."""

    name: str
    type: pa.DataType
    description: str
    nullable: bool = True
    unit: str | None = None
    is_key: bool = False

    @property
    def duckdb_type(self) -> str:
        """The type's name in DuckDB."""
        return DUCKDB_TYPES[self.type]

    @property
    def comment(self) -> str:
        """Description and unit, as shown in the published file."""
        return f"{self.description} [{self.unit}]" if self.unit else self.description


@dataclass(frozen=True)
class Table:
    """One core table: what a row is, its columns, and the order of its rows in a file."""

    name: str
    description: str
    columns: tuple[Column, ...]
    order_by: tuple[str, ...]
    is_monthly: bool = True

    @property
    def schema(self) -> pa.Schema:
        """The Arrow schema that every table and Parquet file of this name has."""
        return pa.schema([pa.field(column.name, column.type, column.nullable) for column in self.columns])

    @property
    def file_schema(self) -> pa.Schema:
        """The schema inside a Parquet file: the month stands in the folder's name instead."""
        return pa.schema([field for field in self.schema if not (self.is_monthly and field.name == "created_month")])

    @property
    def key(self) -> tuple[str, ...]:
        """Columns that identify a row."""
        return tuple(column.name for column in self.columns if column.is_key)


def _key(name: str, type_: pa.DataType, description: str) -> Column:
    return Column(name, type_, description, nullable=False, is_key=True)


def _counters(*, nullable: bool) -> tuple[Column, ...]:
    meanings = {
        "total": "devices that the task operates on",
        "wait": "devices waiting to be operated",
        "processing": "devices being operated",
        "success": "devices operated successfully",
        "fail": "devices that failed, without those that timed out where the data shows that they were counted in",
        "stop": "devices that were stopped",
        "timeout": "devices that failed due to a timeout",
    }
    return tuple(Column(name, BIGINT, meaning, nullable, unit="devices") for name, meaning in meanings.items())


_TASK = _key("operation_id", TEXT, "the task's id, as the platform allocated it")

OPERATIONS = Table(
    "operations",
    "One row per upgrade task, in its newest known state.",
    (
        _TASK,
        Column("operation_type", TEXT, "firmware_upgrade or software_upgrade (the record's operateType)"),
        Column(
            "status", TEXT, "wait, processing, success, failed or stop, in one spelling; unknown ones in lower case"
        ),
        Column("status_text", TEXT, "the status as received"),
        Column("created_at", TIMESTAMP, "when the task was created", nullable=False),
        Column("started_at", TIMESTAMP, "when the task was started"),
        Column("stopped_at", TIMESTAMP, "when the task ended; the platform leaves it out for some ended tasks"),
        Column("device_type", TEXT, "device type of the targets"),
        Column("model", TEXT, "device model of the targets"),
        Column("manufacturer_name", TEXT, "manufacturer of the targets"),
        Column("named_device_count", INTEGER, "devices that the task names", nullable=False, unit="devices"),
        Column("device_group_count", INTEGER, "device groups that the task names", nullable=False, unit="groups"),
        Column("file_version", TEXT, "version that the task installs (extendPara.fileVersion)"),
        Column("extend_para", MAP, "extended information, as received"),
        Column("created_month", TEXT, "month of created_at, YYYY-MM; names the Parquet partition", nullable=False),
        Column(
            "removed_at",
            TIMESTAMP,
            "when the task was found to be gone from the platform; null again once it is met again",
        ),
        Column("_first_observed_at", TIMESTAMP, "platform's clock when the task was first met", nullable=False),
        Column(
            "_observed_at", TIMESTAMP, "platform's clock when the task was first met with this content", nullable=False
        ),
        Column("_sync_id", BIGINT, "sync that first met the task with this content", nullable=False),
        Column(
            "_broken_fields", TEXTS, "fields of the record that could not be read and are null here", nullable=False
        ),
    ),
    ("operation_id",),
)

OPERATION_TARGETS = Table(
    "operation_targets",
    "One row per target of a task: a device, or a group of devices.",
    (
        _TASK,
        _key("target_type", TEXT, "device or device_group"),
        _key("position", INTEGER, "place in the task's list, from 0"),
        Column("target_id", TEXT, "device id, or name of the group"),
        Column("_target_hash", INTEGER, "20 bits of its md5: finds a target without reading the names of all"),
    ),
    ("operation_id", "target_type", "position"),
)

OPERATION_POLICIES = Table(
    "operation_policies",
    "One row per task that has an execution policy.",
    (
        _TASK,
        Column("execute_type", TEXT, "now, device_online or custom"),
        Column("start_at", TIMESTAMP, "start of the execution window, for custom"),
        Column("end_at", TIMESTAMP, "end of the execution window, for custom"),
        Column("retry_enabled", BOOLEAN, "whether the platform retries the task when it fails (retryType)"),
        Column("retry_times", INTEGER, "number of retries", unit="retries"),
    ),
    ("operation_id",),
)

OPERATION_RESULTS = Table(
    "operation_results",
    "One row per task that has statistics on its devices (staResult). A counter that was not sent is 0.",
    (
        _TASK,
        *_counters(nullable=False),
        Column("total_is_derived", BOOLEAN, "true if total was not sent and is the sum of the others", nullable=False),
        Column(
            "fail_as_received",
            BIGINT,
            "fail as sent, whether or not timeouts are counted in it",
            nullable=False,
            unit="devices",
        ),
        Column(
            "timeout_in_fail",
            BOOLEAN,
            "true where only counting timeouts inside fail gives total, false where only the opposite does, else null",
        ),
    ),
    ("operation_id",),
)

OPERATION_HISTORY = Table(
    "operation_history",
    "At most one row per task and sync: the status and counters met, where they differ from the ones met before.",
    (
        _TASK,
        Column("observed_at", TIMESTAMP, "platform's clock at the response", nullable=False),
        _key("sync_id", BIGINT, "sync that met this state"),
        Column("status", TEXT, "as in operations"),
        *_counters(nullable=True),
    ),
    ("operation_id", "sync_id"),
)

SYNCS = Table(
    "syncs",
    "One row per sync: what was read, and how far it can be trusted.",
    (
        _key("sync_id", BIGINT, "number of the sync, from 1"),
        Column(
            "mode",
            TEXT,
            "full, incremental, or interrupted: what was durable of a sync that did not end",
            nullable=False,
        ),
        Column("grade", TEXT, "proven, counted or unproven: what is known of completeness", nullable=False),
        Column("started_at", TIMESTAMP, "platform's clock at the first response", nullable=False),
        Column("finished_at", TIMESTAMP, "platform's clock at the last response", nullable=False),
        Column("api_calls", BIGINT, "calls made, logins and retries included", nullable=False, unit="calls"),
        Column("pages", BIGINT, "responses stored", nullable=False, unit="responses"),
        Column("records", BIGINT, "records received, repeats included", nullable=False, unit="records"),
        Column("operations_new", BIGINT, "tasks met for the first time", nullable=False, unit="tasks"),
        Column("operations_changed", BIGINT, "known tasks met with another content", nullable=False, unit="tasks"),
        Column("total_after", BIGINT, "tasks that the platform said there were, after the reading", unit="tasks"),
        Column(
            "quarantined",
            BIGINT,
            "records set aside because they are not tasks, repeats included",
            nullable=False,
            unit="records",
        ),
        Column(
            "_undocumented_fields",
            TEXTS,
            "fields that the API's documents don't know, in a sample of the records",
            nullable=False,
        ),
    ),
    ("sync_id",),
    is_monthly=False,
)

QUARANTINE = Table(
    "quarantine",
    "One row per broken record; cleared when a good one with its id arrives, or its task is gone.",
    (
        _key("operation_id", TEXT, "the record's operationId, or the sha256 of the record where it has none"),
        Column("first_sync_id", BIGINT, "sync that first met it broken", nullable=False),
        Column("last_sync_id", BIGINT, "sync that last met it broken", nullable=False),
        Column("reason", TEXT, "what is wrong with it", nullable=False),
        Column("record", TEXT, "the record as received", nullable=False),
    ),
    ("operation_id",),
    is_monthly=False,
)

MONTHLY_TABLES = (OPERATIONS, OPERATION_TARGETS, OPERATION_POLICIES, OPERATION_RESULTS, OPERATION_HISTORY)
TABLES = (*MONTHLY_TABLES, SYNCS, QUARANTINE)


def has_todays_columns(connection: duckdb.DuckDBPyConnection, schema: str = "core") -> bool:
    """Whether a published file has every column of the registry; one that another version made may not."""
    try:
        return all(
            {(column.name, column.duckdb_type) for column in table.columns}
            <= column_types(connection, f"{schema}.{table.name}").items()
            for table in TABLES
        )
    except duckdb.CatalogException:
        return False
