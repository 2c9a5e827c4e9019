"""An instance that leaves nothing behind, and a simulated platform that the settings in the environment name."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import dagster as dg
import pytest

from pipelines.warehouse import Warehouse
from simulator.dials import Dials
from simulator.process import SimulatorProcess


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
            fleet = Dials(**{"tasks": 300, "throttle": 0, "start": "2026-03-04T12:00:00Z", "speed": 0.0, **dials})
            simulator = stack.enter_context(SimulatorProcess(fleet))
            for name, value in simulator.settings.items():
                monkeypatch.setenv(name, value)
            monkeypatch.setenv("IODM_CALLS_PER_MINUTE", "6000")
            return simulator

        yield start
