"""Errors of the pipeline as Dagster shows them: what happened, what to try, whether waiting may help."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import dagster as dg

from iodm_assets.metadata import sample_table
from pipelines.checks import CheckFailedError
from pipelines.errors import IodmError, PlatformError, QueryError

MAX_RETRIES, RETRY_SECONDS = 2, 30
"""For a passing fault that outlives the client's own patience, and for a writer that is about to end."""


@contextlib.contextmanager
def failures(retry_number: int = 0) -> Iterator[None]:
    """Turn an error of the pipeline into a `dg.Failure`, or into another attempt where waiting may help.

    Not a `dg.RetryPolicy`: with one, Dagster starts a step anew that somebody has terminated.

    Raises:
        Failure: with message and advice.
        RetryRequested: for the same, while there are attempts left after this one.
    """
    try:
        yield
    except IodmError as error:
        failure = dg.Failure(str(error), metadata=_metadata(error), allow_retries=error.is_retryable)
        if error.is_retryable and retry_number < MAX_RETRIES:
            raise dg.RetryRequested(MAX_RETRIES, RETRY_SECONDS) from failure
        raise failure from error


def _metadata(error: IodmError) -> dict[str, dg.MetadataValue]:
    values: dict[str, dg.MetadataValue] = {"advice": dg.MetadataValue.text(error.advice)}
    if isinstance(error, CheckFailedError):
        values["check"] = dg.MetadataValue.text(f"sql/checks/{error.check}.sql")
        values["sample"] = sample_table(error.sample)
    elif isinstance(error, QueryError):
        values["query"] = dg.MetadataValue.text(f"sql/{error.file}")
        values["sql"] = dg.MetadataValue.md(f"```sql\n{error.sql}\n```")
    elif isinstance(error, PlatformError):
        known = {"method": error.method, "url": error.url, "status": error.status, "error_code": error.error_code}
        values |= {name: dg.MetadataValue.text(str(value)) for name, value in known.items() if value}
        values["attempts"] = dg.MetadataValue.int(error.attempts)
    return values
