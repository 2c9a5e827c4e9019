"""Runs of the job in a process of their own that is killed at ten points of its way: the next one publishes it all."""

import multiprocessing
import os
import shutil
import time
from multiprocessing.process import BaseProcess
from pathlib import Path

import dagster as dg
import pytest

from iodm_assets.definitions import defs
from pipelines.report import query
from pipelines.warehouse import Warehouse
from support.interruptions import assert_raw_store_adds_up

pytestmark = pytest.mark.e2e
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["iodm_assets.definitions", "pipelines.page"])
DAGSTER_YAML = Path(__file__).parent.parent.parent / "dagster.yaml"


def execute(home: Path, job: str, environment: dict[str, str]) -> None:
    """A run as the daemon's launcher starts it: in a process, on an instance that lasts."""
    os.environ.update(environment)  # the server that forks has that of its own start
    with dg.DagsterInstance.from_config(str(home)) as instance:
        defs.resolve_job_def(job).execute_in_process(instance=instance)


@pytest.fixture
def home(tmp_path):
    folder = tmp_path / "home"
    folder.mkdir()
    shutil.copy(DAGSTER_YAML, folder)
    with dg.DagsterInstance.from_config(str(folder)):  # makes its tables: two processes can't at once
        return folder


def started(home: Path, job: str = "sync_operations") -> BaseProcess:
    process = PROCESSES.Process(target=execute, args=(home, job, dict(os.environ)))
    process.start()
    return process


def seconds_of(process: BaseProcess) -> float:
    begun = time.monotonic()
    process.join(120)
    assert process.exitcode == 0
    return time.monotonic() - begun


def syncs(warehouse: Warehouse) -> list[int]:
    return [number for (number,) in query(warehouse, "select sync_id from core.syncs order by sync_id").rows]


@pytest.mark.parametrize(("job", "points"), [("sync_operations", range(0, 10, 2)), ("full_sync", range(1, 10, 2))])
def test_a_run_that_is_killed_at_ten_points_loses_nothing_and_does_nothing_twice(
    home, warehouse, start_platform, job, points
):
    simulator = start_platform(tasks=400)
    seconds_of(started(home))
    simulator.advance(900)
    undisturbed = seconds_of(started(home, job))
    for point in points:
        simulator.advance(900)
        run = started(home, job)
        run.join(undisturbed * (0.3 + 0.07 * point))
        run.kill()
        run.join()
        served = warehouse.served_file()
        assert query(warehouse, "select count(*) from core.operations").rows[0][0] >= 400
        seconds_of(started(home))
        assert warehouse.served_file() != served
        assert syncs(warehouse) == list(range(1, len(syncs(warehouse)) + 1))
        assert_raw_store_adds_up(warehouse)
        [(known, there)] = query(
            warehouse,
            "select operations - operations_removed + operations_outside_rates, total_after from marts.snapshot",
        ).rows
        assert known == there


def test_of_two_runs_at_once_the_one_that_meets_the_others_lock_is_tried_again_and_both_publish(
    home, warehouse, start_platform
):
    start_platform(tasks=400)
    both = [started(home), started(home)]
    for run in both:
        run.join(120)
    with dg.DagsterInstance.from_config(str(home)) as instance:
        runs = instance.get_runs()
    assert {run.status for run in runs} == {dg.DagsterRunStatus.SUCCESS}
    assert syncs(warehouse) == [1, 2]
    assert_raw_store_adds_up(warehouse)
