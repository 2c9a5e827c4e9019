"""`python -m iodm_assets.ui`: Dagster for one warehouse in a browser, with the simulator where no platform is set.

Dagster's own data (runs, ticks, events) lies in the folder `dagster` of the warehouse, so that it lasts. Ctrl-C ends
everything that this starts. Fails with one line: exit code 2 for a wrong setting, 4 where another one serves already.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sysconfig
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import NoReturn

import click
import dagster as dg
import filelock
import requests

from iodm_assets.resources import SettingsResource
from pipelines.demo import PORT, STATE_FILE, demo_dials
from pipelines.errors import IodmError, SettingsError, StorageError
from pipelines.settings import load_settings, require_platform
from pipelines.warehouse import Warehouse, is_locked, open_warehouse, storage_errors
from simulator.process import SimulatorProcess

HOST = "127.0.0.1"
PATIENCE_SECONDS = 60.0
_UNDER_WAY = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]


def serve(port: int) -> int:
    """Serve until Ctrl-C or SIGTERM; returns the exit code of Dagster.

    Raises:
        SettingsError: a setting is wrong, a port is taken, or a package is missing.
        StorageError: another one serves this warehouse, or the disk failed.
    """
    settings = load_settings()
    if settings.base_url is not None:
        require_platform(settings)
    _require_packages()
    _require_free(port, "Give another one with --port")
    warehouse = open_warehouse(SettingsResource().load())
    home = _prepare_home(warehouse)
    with contextlib.ExitStack() as stack:
        stack.enter_context(_only_one(home))
        if settings.base_url is None:
            _require_free(PORT, "The simulator serves there: end what uses it, or set IODM_BASE_URL to use a platform")
            stack.enter_context(_simulator(warehouse))
        end_left_runs(home, warehouse)
        dagster = stack.enter_context(_dagster(home, port))
        _say_where(dagster, warehouse, f"http://{HOST}:{port}", is_demo=settings.base_url is None)
        return dagster.wait()


def end_left_runs(home: Path, warehouse: Warehouse) -> None:
    """Mark runs as failed that a crash or a loss of power left under way: they would hold the queue."""
    if is_locked(warehouse):
        return  # its process outlived Dagster, and will say itself how it ended
    with dg.DagsterInstance.from_config(str(home)) as instance:
        for run in instance.get_runs(dg.RunsFilter(statuses=_UNDER_WAY)):
            instance.report_run_failed(
                run, "Dagster ended while this run was under way; the next run heals what it left."
            )


def _require_packages() -> None:
    missing = [name for name in ("dagster_dg_cli", "dagster_webserver") if importlib.util.find_spec(name) is None]
    if missing:
        packages = " ".join(name.replace("_", "-") for name in missing)
        raise SettingsError(
            f"not installed: {packages}", advice="Install the extra `ui`: pip install 'iodm-warehouse[ui]'"
        )


def _require_free(port: int, advice: str) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            raise SettingsError(f"port {port} is taken", advice=advice) from None


def _prepare_home(warehouse: Warehouse) -> Path:
    """The folder of Dagster's data, with `dagster.yaml`: beside this module in a wheel, above it in the repository."""
    home = warehouse.root / "dagster"
    folder = Path(__file__).parent
    source = next(file for file in (folder / "dagster.yaml", folder.parent / "dagster.yaml") if file.is_file())
    with storage_errors(f"write to {home}"):
        home.mkdir(exist_ok=True)
        shutil.copyfile(source, home / source.name)
    return home


@contextlib.contextmanager
def _only_one(home: Path) -> Iterator[None]:
    lock = filelock.FileLock(home / ".lock", timeout=0)
    try:
        lock.acquire()
    except filelock.Timeout:
        raise StorageError(f"a Dagster already serves {home.parent}", advice="Open that one, or end it first") from None
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def _simulator(warehouse: Warehouse) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(SimulatorProcess(demo_dials(), state_file=warehouse.root / STATE_FILE, port=PORT))
        except RuntimeError as error:
            reason = str(error).strip().rpartition("Error: ")[2]
            advice = f"Move {warehouse.root} away, or set IODM_BASE_URL to use a platform instead"
            raise SettingsError(f"the simulator did not start: {reason}", advice=advice) from None
        yield


@contextlib.contextmanager
def _dagster(home: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """`dg dev` in a process group of its own, so that it and all its children can be ended, whoever asks."""
    program = str(Path(sysconfig.get_path("scripts")) / "dg")
    arguments = ["dev", "--module-name", "iodm_assets.definitions", "--host", HOST, "--port", str(port)]
    environment = {**os.environ, "DAGSTER_HOME": str(home)}
    command = [program, *arguments]
    process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, process_group=0)  # noqa: S603 - our own program
    try:
        yield process
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """As Ctrl-C would, then by force."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGINT)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(PATIENCE_SECONDS)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _say_where(dagster: subprocess.Popen[bytes], warehouse: Warehouse, url: str, *, is_demo: bool) -> None:
    with requests.Session() as session:
        session.trust_env = False
        while dagster.poll() is None:
            with contextlib.suppress(requests.RequestException):
                if session.get(f"{url}/server_info", timeout=5).ok:
                    break
            time.sleep(0.2)
        else:
            return
    source = f"the simulator at port {PORT}, because IODM_BASE_URL is not set" if is_demo else "the platform"
    click.echo(
        f"\n  Open {url} in a browser. Ctrl-C ends it.\n"
        f"  It reads {source}, every 15 minutes, into {warehouse.root}.\n"
        f"  To read now: {url}/asset-groups, then Materialize all.\n"
    )


def _interrupt(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


@click.command()
@click.option("--port", default=3000, show_default=True, help="Port of the pages.")
def main(port: int) -> None:
    """Serve Dagster for the warehouse of the settings; without IODM_BASE_URL for the demo, with its simulator."""
    # SIGINT too: a shell ignores it for what it starts in the background, and so would all children
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, _interrupt)
    try:
        code = serve(port)
    except IodmError as error:
        click.echo(f"Error: {error}.", err=True)
        code = error.exit_code
    except KeyboardInterrupt:
        click.echo("Ended; what was published is still served.", err=True)
        code = 130
    raise SystemExit(code)


if __name__ == "__main__":
    main(prog_name="python -m iodm_assets.ui")
