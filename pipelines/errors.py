"""Everything that can go wrong, as one tree; the class decides the exit code.

    IodmError
    ├── CheckFailedError      1  a data check of severity `error` failed: nothing was published (in `checks`)
    ├── QueryError            1  a query of `sql/` failed: nothing was published
    ├── SettingsError         2  a setting or an argument is missing or wrong
    ├── PlatformError         3  the platform is unreachable, refused us, or failed for too long
    └── StorageError          4  disk, lock, torn or corrupt file

An error says what we were doing, what came back, and what to try next. No error text carries a secret or a token.
"""

from __future__ import annotations


class IodmError(Exception):
    """An error with advice; `exit_code` is what the command line ends with, `is_retryable` whether waiting may help."""

    exit_code = 1
    is_retryable = False

    def __init__(self, message: str, *, advice: str) -> None:
        super().__init__(message)
        self.message = message
        self.advice = advice

    def __str__(self) -> str:
        return f"{self.message.rstrip('.')}. {self.advice}"


class QueryError(IodmError):
    """A macro, a mart or a check could not be run; `file` is its name below `sql/`, `sql` its text."""

    def __init__(self, message: str, *, advice: str, file: str, sql: str) -> None:
        super().__init__(message, advice=advice)
        self.file = file
        self.sql = sql


class SettingsError(IodmError):
    """A setting or an argument is missing or wrong."""

    exit_code = 2


class PlatformError(IodmError):
    """A call to the platform failed for good.

    Carries what a log needs to be useful: method, URL (no secrets are ever in it), HTTP status, the platform's
    `error_code`, and how many attempts were made. `is_retryable` tells a scheduler whether a later run may succeed.
    """

    exit_code = 3

    def __init__(
        self,
        message: str,
        *,
        advice: str,
        method: str = "",
        url: str = "",
        status: int | None = None,
        error_code: str | None = None,
        attempts: int = 1,
        is_retryable: bool = False,
    ) -> None:
        super().__init__(message, advice=advice)
        self.method = method
        self.url = url
        self.status = status
        self.error_code = error_code
        self.attempts = attempts
        self.is_retryable = is_retryable


class StorageError(IodmError):
    """The warehouse can't be read or written: disk full, read-only, locked, torn or corrupt."""

    exit_code = 4

    def __init__(self, message: str, *, advice: str, is_retryable: bool = False) -> None:
        super().__init__(message, advice=advice)
        self.is_retryable = is_retryable
