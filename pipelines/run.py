"""A run of the pipeline: who holds the lock, in what order the stages go. What the command line and Dagster call."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipelines.errors import StorageError
from pipelines.extract.entries import SyncManifest
from pipelines.extract.forecast import Forecast, forecast
from pipelines.extract.past import last_served
from pipelines.extract.raw import newest_sync
from pipelines.extract.recovery import recover
from pipelines.extract.sync import run_sync
from pipelines.hold import Hold, end_hold, read_hold, refuse_while_held, roll_back
from pipelines.platform.client import Client, Sleeper
from pipelines.platform.quota import Quota
from pipelines.progress import Reporter
from pipelines.prune import plan as plan_prune
from pipelines.prune import prune as drop
from pipelines.publish import Publication, publish
from pipelines.settings import Settings, require_platform
from pipelines.warehouse import Warehouse, check_source, open_warehouse, source_of, storage_errors, writer_lock

if TYPE_CHECKING:
    from pipelines.page import Page

log = logging.getLogger("iodm")


@dataclass(frozen=True)
class Extraction:
    """A committed sync, with the seconds that its calls waited for the quota."""

    manifest: SyncManifest
    waited_seconds: float


def extract(
    settings: Settings,
    reporter: Reporter,
    *,
    is_full: bool = False,
    accept_removals: bool = False,
    announce: Callable[[str], None] = log.info,
    patience_seconds: float = 0.2,
) -> Extraction:
    """Read what changed on the platform, or everything, into the raw store, under the warehouse's lock.

    Waits `patience_seconds` for another one that holds the lock.

    Raises:
        IodmError: see `errors`; nothing was committed.
    """
    require_platform(settings)
    warehouse = open_warehouse(settings)
    with writer_lock(warehouse, patience_seconds):
        return _extract(settings, warehouse, reporter, announce, is_full=is_full, accept_removals=accept_removals)


def plan(settings: Settings) -> tuple[Forecast, Quota]:
    """What the next sync will need, by the lengths of the lists, and the quota that it will need it of.

    Holds the warehouse's lock: a login beside a running sync would kill its token.

    Raises:
        IodmError: see `errors`.
    """
    require_platform(settings)
    warehouse = open_warehouse(settings)
    with writer_lock(warehouse), connected(settings, warehouse) as client:
        check_source(warehouse, source_of(settings))
        recover(warehouse)
        return forecast(settings, warehouse, client), client.quota


def refresh(settings: Settings, reporter: Reporter, *, from_scratch: bool = False) -> Publication:
    """Serve what the raw store holds, under the warehouse's lock; with `from_scratch`, made again from all of it.

    Raises:
        HeldError: a rollback holds publishing.
        IodmError: see `errors`; what was served is still served.
    """
    warehouse = open_warehouse(settings)
    with writer_lock(warehouse):
        refuse_while_held(warehouse)
        return publish(settings, warehouse, reporter, from_scratch=from_scratch)


def rollback(settings: Settings) -> Hold:
    """Serve the previous published file, and publish nothing until it is released.

    Raises:
        StorageError: there is none; what was served is still served.
    """
    warehouse = open_warehouse(settings)
    with writer_lock(warehouse):
        return roll_back(warehouse)


def release(settings: Settings, reporter: Reporter) -> Publication:
    """Publish all that was read, as if there had been no rollback, then end the hold.

    Raises:
        IodmError: see `errors`; the hold goes on, and what was served is still served.
    """
    warehouse = open_warehouse(settings)
    with writer_lock(warehouse):
        if read_hold(warehouse) is None:
            raise StorageError(f"publishing into {warehouse.root} is not held", advice="There is nothing to release")
        publication = publish(settings, warehouse, reporter)
        end_hold(warehouse)
        return publication


def sync(
    settings: Settings,
    reporter: Reporter,
    *,
    is_full: bool = False,
    accept_removals: bool = False,
    announce: Callable[[str], None] = log.info,
) -> tuple[Extraction, Publication | None]:
    """Both, under one lock; while a rollback holds publishing, only the first.

    Raises:
        IodmError: see `errors`.
    """
    require_platform(settings)
    warehouse = open_warehouse(settings)
    with writer_lock(warehouse):
        extraction = _extract(settings, warehouse, reporter, announce, is_full=is_full, accept_removals=accept_removals)
        return extraction, None if read_hold(warehouse) else publish(settings, warehouse, reporter)


def write_report(settings: Settings, patience_seconds: float = 60.0) -> Page:
    """Write the report page of what is served into the warehouse, under its lock.

    Raises:
        IodmError: see `errors`; the page of before is still there.
    """
    from pipelines.page import make_page, write_page  # noqa: PLC0415 - what draws takes a second to load

    warehouse = open_warehouse(settings)
    with writer_lock(warehouse, patience_seconds):
        page = make_page(warehouse)
        with storage_errors(f"make {warehouse.report_page.parent}"):
            warehouse.report_page.parent.mkdir(exist_ok=True)
        write_page(page, warehouse.report_page)
        return page


def prune(settings: Settings, reporter: Reporter, keep_days: int, *, up_to: int) -> int:
    """Drop raw responses of syncs up to this number, once everything is served; returns the bytes that this freed.

    Raises:
        IodmError: see `errors`; nothing was dropped.
    """
    warehouse = open_warehouse(settings)
    with writer_lock(warehouse):
        refuse_while_held(warehouse)
        newest = newest_sync(warehouse)
        if newest and last_served(warehouse) < newest.sync_id:
            publish(settings, warehouse, reporter)
        reporter.step("writing the base")
        return drop(settings, warehouse, plan_prune(warehouse, keep_days, up_to=up_to))


def _extract(
    settings: Settings,
    warehouse: Warehouse,
    reporter: Reporter,
    announce: Callable[[str], None],
    *,
    is_full: bool,
    accept_removals: bool,
) -> Extraction:
    recover(warehouse)
    with connected(settings, warehouse) as client:
        manifest = run_sync(
            settings,
            warehouse,
            client,
            reporter,
            is_full=is_full,
            accept_removals=accept_removals,
            announce=announce,
        )
    return Extraction(manifest, client.quota.waited_seconds)


@contextlib.contextmanager
def connected(settings: Settings, warehouse: Warehouse) -> Iterator[Client]:
    """A client whose workers end at once when the run fails."""
    sleeper = Sleeper()
    with storage_errors(f"write {warehouse.quota_file}"):
        quota = Quota(settings.calls_per_minute, warehouse.quota_file, sleep=sleeper)
    try:
        yield Client(settings, quota, sleep=sleeper)
    except BaseException:
        sleeper.stop()
        raise
