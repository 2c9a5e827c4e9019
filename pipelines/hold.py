"""A rollback: an older published file is served, and nothing new is published until it is released.

The hold is a small file, `hold.json`. It is written durably before the symlink changes: a crash between them leaves
what was served, held, and asking again finishes it. It goes once the release has published.
Fails with `StorageError` when there is no older file, and when something wants to publish meanwhile.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import msgspec

from pipelines.errors import StorageError
from pipelines.warehouse import (
    Warehouse,
    publications,
    replace_file,
    serve,
    served_number,
    storage_errors,
    sync_to_disk,
)

RELEASE = "`iodm rollback --release` publishes again"


class Hold(msgspec.Struct, frozen=True):
    """Since when (UTC) nothing is published, which publication was served before, and which was chosen instead."""

    since: datetime
    from_publication: int
    to_publication: int


class HeldError(StorageError):
    """Something wanted to publish while publishing is held."""


def read_hold(warehouse: Warehouse) -> Hold | None:
    """The hold, or None.

    Raises:
        StorageError: somebody damaged its file.
    """
    file = warehouse.hold_file
    try:
        return msgspec.json.decode(file.read_bytes(), type=Hold)
    except FileNotFoundError:
        return None
    except msgspec.DecodeError as error:
        raise StorageError(
            f"{file} can't be read: {error}",
            advice="Remove it to let publishing go on; if need be, `iodm rollback` again",
        ) from None


def summary_of_hold(warehouse: Warehouse) -> dict[str, Any] | None:
    """The hold for JSON, with a `message` for people: what is served instead of what, and how it ends.

    Raises:
        StorageError: as `read_hold`.
    """
    hold = read_hold(warehouse)
    if hold is None:
        return None
    message = (
        f"HELD since {hold.since:%Y-%m-%d %H:%M:%S} UTC: publication {served_number(warehouse)} is served, rolled back "
        f"from {hold.from_publication}, and nothing new is published; {RELEASE}"
    )
    return {**msgspec.to_builtins(hold), "message": message}


def refuse_while_held(warehouse: Warehouse) -> None:
    """Let nothing publish while publishing is held.

    Raises:
        HeldError: it is.
    """
    hold = read_hold(warehouse)
    if hold is not None:
        raise HeldError(
            f"publishing into {warehouse.root} is held since {hold.since:%Y-%m-%d %H:%M:%S} UTC, "
            f"with publication {served_number(warehouse)} served",
            advice=f"{RELEASE}; then run this again",
        )


def roll_back(warehouse: Warehouse) -> Hold:
    """Hold publishing and serve the newest file below the served one. The caller holds the warehouse's lock.

    Asking again goes one further back, or finishes what a crash interrupted: the hold keeps its beginning.

    Raises:
        StorageError: there is no older file, or the disk failed; what was served is still served.
    """
    with storage_errors(f"roll back {warehouse.root}"):
        held, served = read_hold(warehouse), served_number(warehouse)
        if served is None:
            raise StorageError(f"nothing is published in {warehouse.root}", advice="Run `iodm sync` first")
        older = {number: file for number, file in publications(warehouse).items() if number < served}
        if not older:
            raise StorageError(
                f"no file older than publication {served} is kept in {warehouse.published}",
                advice=RELEASE if held else "`iodm rebuild` makes a new one from the raw store",
            )
        number, file = max(older.items())
        _check_that_it_opens(file)
        hold = Hold(
            held.since if held else datetime.now(UTC).replace(microsecond=0),
            held.from_publication if held else served,
            number,
        )
        replace_file(warehouse.hold_file, msgspec.json.format(msgspec.json.encode(hold), indent=2) + b"\n")
        serve(warehouse, file)
    return hold


def end_hold(warehouse: Warehouse) -> None:
    """Let publishing go on; what there was to publish is served already."""
    warehouse.hold_file.unlink()
    sync_to_disk(warehouse.root)


def _check_that_it_opens(file: Path) -> None:
    try:
        duckdb.connect(str(file), read_only=True).close()
    except duckdb.Error as error:
        raise StorageError(
            f"{file} can't be opened: {str(error).splitlines()[0]}",
            advice="Move it away and ask again: then the one before it is served",
        ) from None
