"""Answers from the published file, read-only: success rates, the state of the data, any query. No file, no answer."""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import duckdb

from pipelines.checks import CheckResult, run_checks
from pipelines.errors import SettingsError, StorageError
from pipelines.hold import summary_of_hold
from pipelines.models import column_comments, load
from pipelines.sql_text import scalar
from pipelines.tables import TABLES, has_todays_columns
from pipelines.warehouse import Warehouse

SHOWN_MEASURES = ("operations", "finished", "success_rate", "clustered_lower", "clustered_upper", "verdict")


@dataclass(frozen=True)
class Result:
    """Column names and rows."""

    columns: list[str]
    rows: list[tuple[Any, ...]]

    def dicts(self) -> list[dict[str, Any]]:
        """Each row by the names of its columns."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]


@contextlib.contextmanager
def open_published(warehouse: Warehouse, memory_limit: str | None = None) -> Iterator[duckdb.DuckDBPyConnection]:
    """The served file, read-only; with a memory limit, what is beyond it lies in a temporary folder.

    Not beside the file, where DuckDB would put it: readers need not be allowed to write there.

    Raises:
        StorageError: nothing is published yet, or the file can't be opened.
    """
    file = warehouse.served_file()
    if file is None:
        raise StorageError(
            f"nothing is published in {warehouse.root}",
            advice="Run `iodm sync` (or `iodm demo`) first, or set IODM_WAREHOUSE to where the data is",
        )
    try:
        with tempfile.TemporaryDirectory() as folder, duckdb.connect(str(file), read_only=True) as connection:
            if memory_limit is not None:
                connection.execute("set temp_directory = $folder", {"folder": folder})
                connection.execute("set memory_limit = $limit", {"limit": memory_limit})
            yield connection
    except duckdb.OutOfMemoryException as error:
        raise StorageError(
            f"out of memory: {str(error).splitlines()[0]}", advice="Give more with IODM_MEMORY_LIMIT"
        ) from error
    except duckdb.Error as error:
        raise StorageError(
            f"{file} can't be read: {str(error).splitlines()[0]}",
            advice="Run `iodm rebuild`: it makes a new one from the raw store",
        ) from error


def rows_of(
    warehouse: Warehouse, mart: str, since: datetime | None = None, until: datetime | None = None, *, every_column: bool
) -> Result:
    """A mart's rows for the tasks created in [since, until), UTC; of roll-ups the main measures, or every column.

    Raises:
        SettingsError: there is no such mart with a time window.
        StorageError: nothing is published.
    """
    windowed = {name: model for name, model in load("marts").items() if model.has_window}
    if mart not in windowed:
        command = _command_for(mart)
        hint = f"`{command}` shows that mart. " if command else ""
        raise SettingsError(f"there is no report {mart!r}", advice=f"{hint}Reports are {', '.join(windowed)}")
    model = windowed[mart]
    with open_published(warehouse) as connection:
        if since is None and until is None:
            cursor = connection.execute(f"from marts.{mart} order by {model.order}")
        else:
            cursor = connection.execute(
                f"from marts.{mart}_between($since, $until) order by {model.order}", {"since": since, "until": until}
            )
        result = result_of(cursor)
    if every_column or "success_measures(" not in model.sql:
        return result
    hidden = column_comments(load("macros")["success_measures"]).keys() - set(SHOWN_MEASURES)
    kept = [index for index, name in enumerate(result.columns) if name not in hidden]
    return Result(
        [result.columns[index] for index in kept], [tuple(row[index] for index in kept) for row in result.rows]
    )


def _command_for(mart: str) -> str | None:
    """What shows a mart that is no report; None where there is no such mart."""
    if mart == "device_history":
        return "iodm report --device ID"
    model = load("marts").get(mart)
    if model is None and mart != "data_quality":
        return None
    by_task = "(false)" if model and not model.is_relation else ""
    return f'iodm sql "from marts.{mart}{by_task}"'


def device_history(warehouse: Warehouse, device_id: str) -> Result:
    """The tasks that name a device, oldest first.

    Raises:
        StorageError: nothing is published.
    """
    with open_published(warehouse) as connection:
        return result_of(connection.execute("from marts.device_history($device_id)", {"device_id": device_id}))


def query(warehouse: Warehouse, sql: str, memory_limit: str | None = None) -> Result:
    """Run one query on the published file; what needs more than the memory limit goes to disk.

    Raises:
        SettingsError: the query is wrong.
        StorageError: nothing is published, the file can't be read, or the memory does not suffice.
    """
    with open_published(warehouse, memory_limit) as connection:
        connection.execute("set autoinstall_known_extensions = false")
        connection.execute("set enable_external_access = false")
        try:
            cursor = connection.execute(sql)
            result = result_of(cursor) if cursor else None  # an error may come after the first rows
        except (duckdb.OutOfMemoryException, duckdb.IOException):
            raise  # no fault of the query; nor is a damaged block, which is no DatabaseError
        except duckdb.DatabaseError as error:
            reason = " ".join(str(error).split("LINE ")[0].split())  # without the quoted query and its caret
            raise SettingsError(
                f"the query failed: {reason}", advice='`iodm sql "show all tables"` lists what there is'
            ) from None
        if result is None:
            raise SettingsError("there is no query", advice='`iodm sql "show all tables"` lists what there is')
        return result


def check(warehouse: Warehouse) -> list[CheckResult]:
    """Run the checks on the published file.

    Raises:
        StorageError: nothing is published, or another version made it.
    """
    with open_published(warehouse) as connection:
        if not has_todays_columns(connection):
            raise StorageError(
                f"{warehouse.served_file()} was made by another version of iodm, with other columns",
                advice="Run `iodm rebuild`",
            )
        return run_checks(connection)


def status(warehouse: Warehouse) -> dict[str, Any]:
    """Whether today's numbers can be trusted: held or not, snapshot, age, grade, rows by table, checks.

    Raises:
        StorageError: nothing is published.
    """
    with open_published(warehouse) as connection:
        values = snapshot_of(connection, warehouse)
        rows = {table.name: scalar(connection, f"select count(*) from core.{table.name}") for table in TABLES}
        checks = result_of(
            connection.execute(
                "select check_name, severity, offending_rows from marts.data_quality "
                "where offending_rows > 0 order by all"
            )
        )
        passed = scalar(connection, "select count(*) from marts.data_quality where offending_rows = 0")
    age = datetime.now(UTC).replace(tzinfo=None) - values["observed_at"]
    return {
        "held": summary_of_hold(warehouse),
        "warehouse": str(warehouse.root),
        "file": str(warehouse.served_file()),
        "grade_evidence": values.pop("grade_evidence"),
        "snapshot": values,
        "age_seconds": max(0, round(age.total_seconds())),
        "rows": rows,
        "checks_passed": passed,
        "checks_failed": checks.dicts(),
    }


def snapshot_of(connection: duckdb.DuckDBPyConnection, warehouse: Warehouse) -> dict[str, Any]:
    """What the open published file is (marts.snapshot), with the evidence of its grade."""
    [values] = result_of(connection.execute("from marts.snapshot")).dicts()
    return values | {"grade_evidence": _evidence(warehouse, values["sync_id"])}


def _evidence(warehouse: Warehouse, sync_id: int) -> str | None:
    """Why the sync has its grade, and what else it had to say; None where the raw store can't tell any more."""
    file = next(warehouse.raw.glob(f"synced_date=*/sync={sync_id:06d}/sync.json"), None)
    try:
        return str(json.loads(file.read_bytes())["grade_evidence"]) if file else None
    except (OSError, ValueError, KeyError, TypeError):  # who only reads need not be stopped by it
        return None


def result_of(cursor: duckdb.DuckDBPyConnection) -> Result:
    """What was asked, read to its end."""
    return Result([column[0] for column in cursor.description or ()], cursor.fetchall())
