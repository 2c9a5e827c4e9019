"""A simulator process, and the command line pointed at it."""

import pytest

from simulator.process import SimulatorProcess
from support.commands import FROZEN, Iodm


@pytest.fixture(scope="session")
def simulator():
    with SimulatorProcess(FROZEN) as process:
        yield process


@pytest.fixture
def iodm(tmp_path, simulator):
    simulator.set_faults([])
    return Iodm(tmp_path, simulator.settings | {"IODM_CALLS_PER_MINUTE": 10_000})


@pytest.fixture(scope="session")
def synced(tmp_path_factory, simulator):
    """A warehouse with one sync, for tests that only read."""
    simulator.set_faults([])
    command = Iodm(tmp_path_factory.mktemp("synced"), simulator.settings | {"IODM_CALLS_PER_MINUTE": 10_000})
    command.ok("sync")
    return command
