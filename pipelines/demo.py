"""A simulated fleet synced for some days, every two hours: what `iodm demo` and a Dagster without a platform use.

A day after the start it gets a new version: a rollout to watch from its first task on. The simulator is a real server
in a process of its own; everything the demo shows came over HTTP. Its data lies in `demo` below the warehouse, never in
the warehouse itself.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import filelock

from pipelines.errors import StorageError
from pipelines.progress import Reporter, Silent
from pipelines.run import extract, refresh
from pipelines.settings import Settings, load_settings
from pipelines.warehouse import SIMULATOR_APP_ID, Warehouse, open_warehouse, storage_errors, writer_lock
from simulator.dials import Dials
from simulator.process import SimulatorProcess

DAYS, SYNCS_PER_DAY = 3, 13  # a bit less than two hours between them: see marts.success_at_age
CALLS_PER_MINUTE = 6_000  # a real platform allows 100; nobody wants to wait for a simulated one
SECRET = "simulated-secret"  # noqa: S105 - opens nothing but the simulator
PORT = 8743
STATE_FILE = "simulator.json"


def demo_dials(start: datetime | None = None) -> Dials:
    """The demo's fleet, whose simulated time begins at `start` (now, if not given)."""
    return Dials(
        seed=7,
        tasks=6_000,
        app_id=SIMULATOR_APP_ID,
        secret=SECRET,
        throttle=CALLS_PER_MINUTE,
        broken=0.0005,
        launch_days=1,
        start=f"{start:%Y-%m-%dT%H:%M:%SZ}" if start else "",
    )


def demo_settings(settings: Settings, base_url: str = f"http://127.0.0.1:{PORT}") -> Settings:
    """Settings for the simulator at `base_url`, with the data in `demo` below the warehouse."""
    return load_settings(
        base_url=base_url,
        app_id=SIMULATOR_APP_ID,
        secret=SECRET,
        access_token=None,
        ca_file=None,
        client_cert=None,
        client_key=None,
        tls_server_name=None,
        operation_type=None,
        device_type=None,
        model=None,
        manufacturer_name=None,
        device_id=None,
        calls_per_minute=CALLS_PER_MINUTE,
        warehouse=settings.warehouse / "demo",
        memory_limit=settings.memory_limit,
        target_success_rate=settings.target_success_rate,
    )


def _refuse_while_dagster_serves(warehouse: Warehouse) -> None:
    lock = filelock.FileLock(warehouse.root / "dagster" / ".lock", timeout=0)
    try:
        if Path(lock.lock_file).exists():
            with lock:
                pass
    except filelock.Timeout:
        raise StorageError(
            f"Dagster serves {warehouse.root}, and its simulator has another fleet",
            advice="Stop `make ui` first, or set IODM_WAREHOUSE to another folder",
        ) from None


def run_demo(settings: Settings, reporter: Reporter, say: Callable[[str], None]) -> Settings:
    """Empty the demo's warehouse, then sync for `DAYS` simulated days; returns the settings of its data.

    One sync a day reads everything; only that is published, because publishing takes longer than reading what changed.

    Raises:
        IodmError: see `errors`.
    """
    warehouse = open_warehouse(demo_settings(settings))
    _refuse_while_dagster_serves(warehouse)
    with writer_lock(warehouse), storage_errors(f"empty {warehouse.root}"):
        for part in (warehouse.raw, warehouse.lake, warehouse.published, warehouse.work, warehouse.report_page.parent):
            shutil.rmtree(part, ignore_errors=True)
        files = (warehouse.link, warehouse.hold_file, warehouse.quota_file)
        for file in (*files, warehouse.root / "source.json", warehouse.root / STATE_FILE):
            file.unlink(missing_ok=True)
    start = datetime.now(UTC) - timedelta(days=DAYS)
    with SimulatorProcess(demo_dials(start), state_file=warehouse.root / STATE_FILE) as simulator:
        say(
            f"A simulated IoT platform serves {demo_dials().tasks:,} upgrade tasks at {simulator.base_url}; "
            f"it allows {CALLS_PER_MINUTE:,} calls a minute (a real one: 100)."
        )
        settings = demo_settings(settings, simulator.base_url)
        reporter.step("syncing simulated days")
        for number in range(DAYS * SYNCS_PER_DAY + 1):
            reporter.advance(number, DAYS * SYNCS_PER_DAY, "syncs")
            if number:
                simulator.advance(timedelta(days=1).total_seconds() / SYNCS_PER_DAY)
            is_night = number % SYNCS_PER_DAY == 0
            manifest = extract(settings, Silent(), is_full=is_night, announce=lambda _: None).manifest
            if is_night:
                rows = refresh(settings, Silent()).rows
                say(
                    f"{manifest.finished_at:%Y-%m-%d %H:%M} UTC  sync {manifest.sync_id}: {manifest.api_calls} calls, "
                    f"{rows['operations']:,} tasks with {rows['operation_targets']:,} targets, {manifest.grade}"
                )
    return settings
