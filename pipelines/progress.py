"""What a long run tells its user: a bar on a terminal, a log line now and then elsewhere. Always on stderr."""

from __future__ import annotations

import contextlib
import logging
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rich.progress import Progress

LOG_EVERY_SECONDS = 10.0

log = logging.getLogger("iodm")


class Reporter(Protocol):
    """Told what is going on; `total` is None while unknown."""

    def step(self, text: str) -> None:
        """Begin another step."""

    def advance(self, done: int, total: int | None, detail: str) -> None:
        """Say how far the step is."""


class Silent:
    """Tells nobody; for scripts and tests."""

    def step(self, text: str) -> None:
        """Say nothing."""

    def advance(self, done: int, total: int | None, detail: str) -> None:
        """Say nothing."""


class LogLines:
    """A line per step, and one every `LOG_EVERY_SECONDS` while it lasts."""

    def __init__(self, logger: logging.Logger = log) -> None:
        self._logger = logger
        self._text = ""
        self._said_at = time.monotonic()

    def step(self, text: str) -> None:
        """Begin another step."""
        self._text, self._said_at = text, time.monotonic()
        self._logger.info(text)

    def advance(self, done: int, total: int | None, detail: str) -> None:
        """Say how far the step is, not too often."""
        if time.monotonic() - self._said_at >= LOG_EVERY_SECONDS:
            self._said_at = time.monotonic()
            self._logger.info(
                "%s: %s of %s, %s", self._text, f"{done:,}", "?" if total is None else f"{total:,}", detail
            )


class Bar:
    """One line that moves."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task = progress.add_task("", total=None, detail="")

    def step(self, text: str) -> None:
        """Begin another step."""
        self._progress.reset(self._task, total=None, description=text, detail="")

    def advance(self, done: int, total: int | None, detail: str) -> None:
        """Move the bar."""
        self._progress.update(self._task, completed=done, total=total, detail=detail)


@contextlib.contextmanager
def reporting() -> Iterator[Reporter]:
    """A bar if stderr is a terminal, log lines if not."""
    if not sys.stderr.isatty():
        yield LogLines()
        return
    from rich import console, progress  # noqa: PLC0415 - only a terminal needs it: 0.05 s

    columns = (
        progress.SpinnerColumn(),
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.TextColumn("{task.fields[detail]}"),
        progress.TimeElapsedColumn(),
    )
    with progress.Progress(*columns, console=console.Console(stderr=True), transient=True) as display:
        yield Bar(display)
