"""What stands between this machine and a good sync: one finding an item, each with what to do. Changes no data.

Asks the platform with the client of a sync, under the warehouse's lock: a login and one count probe. Never fails: what
is wrong is a finding, with the exit code that a sync would have ended with.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pipelines.errors import IodmError, StorageError
from pipelines.output import status_lines
from pipelines.platform.client import Client
from pipelines.report import status
from pipelines.run import connected
from pipelines.settings import Settings, load_settings, require_platform
from pipelines.warehouse import Warehouse, check_source, open_warehouse, source_of, storage_errors, writer_lock

FOLDER_ITEMS = ("disk", "lock", "published file")
PLATFORM_ITEMS = ("address", "login", "quota")


@dataclass(frozen=True)
class Finding:
    """What was looked at, `ok`, `warn`, `skip` or `fail`, and what was seen or what to do."""

    item: str
    result: str
    text: str
    exit_code: int = 0


def diagnose() -> Iterator[Finding]:
    """Look at everything that a sync needs, in the order in which it needs it."""
    try:
        settings = load_settings()
    except IodmError as error:
        yield _failed("settings", error)
        yield from _skipped(("warehouse", *FOLDER_ITEMS, *PLATFORM_ITEMS), "the settings can't be read")
        return
    warehouse = Warehouse(settings.warehouse.absolute())
    needed = [_try("settings", lambda: _complete(settings)), _try("warehouse", lambda: _writable(settings, warehouse))]
    yield from needed
    with contextlib.ExitStack() as stack:
        if warehouse.root.is_dir():
            yield _disk(warehouse)
            needed.append(_lock(warehouse, stack))
            yield needed[-1]
            yield _published(warehouse)
        else:
            yield from _skipped(FOLDER_ITEMS, "there is no warehouse")
        in_the_way = [finding.item for finding in needed if finding.result != "ok"]
        if in_the_way:
            yield from _skipped(PLATFORM_ITEMS, f"no call is made: see {in_the_way[0]}")
        else:
            yield from _platform(settings, warehouse)


def _complete(settings: Settings) -> str:
    require_platform(settings)
    return f"{settings.base_url}, application {settings.app_id}"


def _writable(settings: Settings, warehouse: Warehouse) -> str:
    open_warehouse(settings)
    with storage_errors(f"write to {warehouse.root}"):
        tempfile.TemporaryFile(dir=warehouse.root).close()
    check_source(warehouse, source_of(settings))
    return f"{warehouse.root} can be written"


def _disk(warehouse: Warehouse) -> Finding:
    """A publication is a new file beside the old one; at worst the whole lake is written anew, too."""
    files = [file for file in (warehouse.served_file(), *warehouse.lake.rglob("*.parquet")) if file]
    needed = sum(file.stat().st_size for file in files)
    free = shutil.disk_usage(warehouse.root).free
    text = f"{free / 1e6:,.0f} MB free; a publication takes up to {needed / 1e6:,.0f} MB"
    advice = ". Free some space, or drop old responses with `iodm prune`"
    return Finding("disk", "warn", text + advice) if free < needed else Finding("disk", "ok", text)


def _lock(warehouse: Warehouse, stack: contextlib.ExitStack) -> Finding:
    try:
        stack.enter_context(writer_lock(warehouse))
    except StorageError as error:
        text = f"{error}. A login would end that run's session"
        return Finding("lock", "skip", text) if error.is_retryable else _failed("lock", error)
    return Finding("lock", "ok", "free")


def _published(warehouse: Warehouse) -> Finding:
    if not warehouse.link.is_symlink():
        return Finding("published file", "skip", "nothing is published yet: `iodm sync` does it")
    try:
        values = status(warehouse)
    except IodmError as error:
        return _failed("published file", error)
    lines = status_lines(values)
    held = f"HELD {lines['HELD']}; " if "HELD" in lines else ""
    text = f"{held}{lines['published']}; observed {lines['observed']}; {lines['grade']}"
    return Finding("published file", "warn" if held else "ok", text)


def _platform(settings: Settings, warehouse: Warehouse) -> Iterator[Finding]:
    try:
        with connected(settings, warehouse) as client:
            used = client.quota.used
            login = _try("login", lambda: _log_in(settings, client))
            quota = _try("quota", lambda: _probe(settings, client, used)) if login.result == "ok" else None
            has_answered, failed = client.has_answered, quota or login
    except IodmError as error:  # a certificate that can't be used, a full disk
        has_answered, failed = False, _failed("address", error)
    if has_answered:
        how = "its certificate is verified" if (settings.base_url or "").startswith("https") else "without TLS"
        yield Finding("address", "ok", f"{settings.base_url} answers, {how}")
        yield from (login, quota) if quota else (login, *_skipped(("quota",), "see login"))
    else:
        yield Finding("address", "fail", failed.text, failed.exit_code)
        yield from _skipped(("login", "quota"), "see address")


def _log_in(settings: Settings, client: Client) -> str:
    client.authenticate()
    return "IODM_ACCESS_TOKEN is given: the probe shows whether it is valid" if settings.access_token else "accepted"


def _probe(settings: Settings, client: Client, used: int) -> str:
    total = client.list_page(settings.filters, 0, 1).page.total
    counted = "an unknown number of" if total is None else f"{total:,}"
    return f"{used:,} of {settings.calls_per_minute:,} calls used in the last 60 s; a count probe found {counted} tasks"


def _try(item: str, action: Callable[[], str]) -> Finding:
    try:
        return Finding(item, "ok", action())
    except IodmError as error:
        return _failed(item, error)


def _failed(item: str, error: IodmError) -> Finding:
    return Finding(item, "fail", str(error), error.exit_code)


def _skipped(items: tuple[str, ...], why: str) -> Iterator[Finding]:
    return (Finding(item, "skip", why) for item in items)
