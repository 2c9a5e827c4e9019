"""Data checks: `sql/checks/*.sql` select the offending rows; empty means pass. The same files run everywhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import duckdb

from pipelines.errors import IodmError
from pipelines.models import Model, load, query_errors
from pipelines.sql_text import insert_rows, quoted, scalar

SAMPLE_ROWS = 5
DATA_QUALITY = {
    "check_name": ("VARCHAR", "file of the check in sql/checks"),
    "severity": ("VARCHAR", "error (a failure blocks publishing) or warning"),
    "description": ("VARCHAR", "what should hold"),
    "offending_rows": ("BIGINT", "rows for which it does not hold"),
    "checked_rows": ("BIGINT", "rows of the table that the check is about"),
    "share": ("DOUBLE", "offending rows / checked rows, at most 1; null where there is nothing to check"),
    "example": ("VARCHAR", "one of the offending rows"),
}


@dataclass(frozen=True)
class CheckResult:
    """One check: how many rows offend, of how many, and some of them.

    `severity` is `error` (blocks publishing) or `warning`; `checked_rows` are those of the table that its header names.
    """

    name: str
    severity: str
    description: str
    offending_rows: int
    checked_rows: int
    sample: list[dict[str, Any]]

    @property
    def passed(self) -> bool:
        """True if no row offends."""
        return self.offending_rows == 0

    @property
    def share(self) -> float | None:
        """Offending rows among the checked ones, in [0, 1]; None where there was nothing to check."""
        return min(1.0, self.offending_rows / self.checked_rows) if self.checked_rows else None


class CheckFailedError(IodmError):
    """A check of severity `error` found rows; `check` names its SQL file, `results` holds what every check found."""

    exit_code = 1

    def __init__(self, message: str, *, advice: str, failed: CheckResult, results: list[CheckResult]) -> None:
        super().__init__(message, advice=advice)
        self.check = failed.name
        self.sample = failed.sample
        self.results = results


def run_checks(connection: duckdb.DuckDBPyConnection) -> list[CheckResult]:
    """Run every check on an open published file (or one being built).

    Raises:
        QueryError: a check could not be run.
    """
    return [_run(connection, model) for model in load("checks").values()]


def _run(connection: duckdb.DuckDBPyConnection, model: Model) -> CheckResult:
    with query_errors(model):
        count = int(scalar(connection, f"select count(*) from ({model.sql})"))
        sample: list[dict[str, Any]] = []
        if count:
            cursor = connection.execute(f"select * from ({model.sql}) order by all limit {SAMPLE_ROWS}")
            names = [column[0] for column in cursor.description or ()]
            sample = [dict(zip(names, values, strict=True)) for values in cursor.fetchall()]
        checked = int(scalar(connection, f"select count(*) from {model.header['share of']}"))
    return CheckResult(model.name, model.header["severity"], model.description, count, checked, sample)


def refuse_if_failed(results: list[CheckResult]) -> None:
    """Raise for the first failed check of severity `error`.

    Raises:
        CheckFailedError: with the check's name, some of the rows, and all results.
    """
    for result in results:
        if result.severity == "error" and not result.passed:
            raise CheckFailedError(
                f"check {result.name} failed for {result.offending_rows:,} rows ({result.description}), "
                f"for example {result.sample[0]}",
                advice=f"Nothing was published. See sql/checks/{result.name}.sql",
                failed=result,
                results=results,
            )


def store_results(connection: duckdb.DuckDBPyConnection, results: list[CheckResult]) -> None:
    """Keep the results in the file that they are about, as `marts.data_quality`."""
    rows: list[dict[str, Any]] = [
        {
            "check_name": result.name,
            "severity": result.severity,
            "description": result.description,
            "offending_rows": result.offending_rows,
            "checked_rows": result.checked_rows,
            "share": result.share,
            "example": str(result.sample[0]) if result.sample else None,
        }
        for result in results
    ]
    columns = ", ".join(f"{name} {type_}" for name, (type_, _) in DATA_QUALITY.items())
    connection.execute(f"create table marts.data_quality ({columns})")
    rows.sort(key=lambda row: (row["severity"], row["check_name"]))
    insert_rows(connection, "marts.data_quality", rows)
    connection.execute("comment on table marts.data_quality is 'One row per check of sql/checks: what it found.'")
    for name, (_, comment) in DATA_QUALITY.items():
        connection.execute(f"comment on column marts.data_quality.{name} is {quoted(comment)}")
