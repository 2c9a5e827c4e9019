"""An instance that leaves nothing behind, and a simulated platform that the settings in the environment name."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pytest

from iodm_assets.definitions import defs
from pipelines.warehouse import Warehouse
from simulator.dials import Dials
from simulator.process import SimulatorProcess

DIALS = {"tasks": 300, "throttle": 0, "start": "2026-03-04T12:00:00Z", "speed": 0.0}


@dataclass(frozen=True)
class Run:
    """A run of the job into a new warehouse, for tests that only read; and the settings that it had."""

    result: dg.ExecuteInProcessResult
    warehouse: Warehouse
    settings: dict[str, str]


def settings_of(simulator: SimulatorProcess) -> dict[str, str]:
    return simulator.settings | {"IODM_CALLS_PER_MINUTE": "6000"}


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


@pytest.fixture
def warehouse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Warehouse:
    """Where the settings say that data goes; not made yet. The working folder is empty: no `.env`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IODM_WAREHOUSE", str(tmp_path / "warehouse"))
    return Warehouse(tmp_path / "warehouse")


@pytest.fixture
def start_platform(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., SimulatorProcess]]:
    """Starts a simulator with the given dials and points the settings at it."""
    with ExitStack() as stack:

        def start(**dials: object) -> SimulatorProcess:
            simulator = stack.enter_context(SimulatorProcess(Dials(**{**DIALS, **dials})))
            for name, value in settings_of(simulator).items():
                monkeypatch.setenv(name, value)
            return simulator

        yield start


@pytest.fixture(scope="module")
def first_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """A run against a platform that stays as it is."""
    folder = tmp_path_factory.mktemp("first-run")
    with SimulatorProcess(Dials(**DIALS)) as simulator, dg.DagsterInstance.ephemeral() as instance:
        settings = settings_of(simulator)
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(folder)
            for name, value in {**settings, "IODM_WAREHOUSE": str(folder / "warehouse")}.items():
                patch.setenv(name, value)
            result = defs.resolve_job_def("sync_operations").execute_in_process(instance=instance)
        yield Run(result, Warehouse(folder / "warehouse"), settings)


@pytest.fixture
def after_first_run(
    first_run: Run, warehouse: Warehouse, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The test's own warehouse and instance know of the first run; the settings are those that it had."""
    shutil.copytree(first_run.warehouse.root, warehouse.root, symlinks=True)
    for name, value in first_run.settings.items():
        monkeypatch.setenv(name, value)
    for event in first_run.result.get_asset_materialization_events():
        instance.report_runless_asset_event(event.step_materialization_data.materialization)
