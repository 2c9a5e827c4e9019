"""The tick of `sync_operations`, evaluated as the daemon does."""

import datetime as dt
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import dagster as dg
import pytest

from iodm_assets.definitions import defs
from iodm_assets.failures import failures
from iodm_assets.resources import SettingsResource
from iodm_assets.schedules import KEPT_DAYS, drop_old_runs, make_schedules
from iodm_assets.specs import longest_interval
from pipelines.errors import SettingsError
from pipelines.progress import Silent
from pipelines.run import extract
from pipelines.settings import load_settings
from pipelines.warehouse import open_warehouse, writer_lock
from support.clock import Clock


def tick(instance: dg.DagsterInstance):
    context = dg.build_schedule_context(instance=instance, resources={"settings": SettingsResource()})
    return schedule("sync_operations_schedule").evaluate_tick(context)


def schedule(name):
    [found] = [each for each in make_schedules() if each.name == name]
    return found


def test_schedules_run_from_the_start():
    crons = {each.name: (each.cron_schedule, each.execution_timezone, each.default_status) for each in defs.schedules}
    assert crons == {
        "sync_operations_schedule": ("*/15 * * * *", "UTC", dg.DefaultScheduleStatus.RUNNING),
        "full_sync_schedule": ("5 2 * * *", "UTC", dg.DefaultScheduleStatus.RUNNING),
        "drop_old_runs_schedule": ("35 3 * * *", "UTC", dg.DefaultScheduleStatus.RUNNING),
    }


def test_the_page_on_operating_says_which_schedule_drops_old_runs_and_when():
    page = (Path(__file__).parents[2] / "docs" / "operating.md").read_text(encoding="utf-8")
    assert f"`drop_old_runs_schedule`: ended runs go after {KEPT_DAYS} days" in page


def test_a_tick_asks_for_one_run_and_makes_no_file(instance, warehouse):
    assert len(tick(instance).run_requests) == 1
    assert not warehouse.root.exists()


def test_a_tick_is_skipped_while_another_run_writes_and_says_so(instance, warehouse, monkeypatch):
    monkeypatch.setenv("IODM_BASE_URL", "https://platform.example:8743")
    with writer_lock(open_warehouse(load_settings())):
        data = tick(instance)
    assert not data.run_requests
    assert str(warehouse.root) in data.skip_message
    assert len(tick(instance).run_requests) == 1


def test_the_settings_say_when(monkeypatch):
    monkeypatch.setenv("IODM_SYNC_CRON", "0 * * * *")
    monkeypatch.setenv("IODM_FULL_CRON", "0 4 * * 0")
    assert schedule("sync_operations_schedule").cron_schedule == "0 * * * *"
    assert schedule("full_sync_schedule").cron_schedule == "0 4 * * 0"


@pytest.mark.parametrize(
    ("cron", "longest"),
    [
        ("*/15 * * * *", dt.timedelta(minutes=15)),
        ("0 4 * * 1-5", dt.timedelta(days=3)),
        ("*/5 6-21 * * *", dt.timedelta(hours=8, minutes=5)),
        ("*/5 8-17 * * 1-5", dt.timedelta(days=2, hours=14, minutes=5)),
        ("*/30 * 1-20 * *", dt.timedelta(days=11, minutes=30)),
        ("0 0 1 6 *", dt.timedelta(days=365)),
    ],
)
def test_data_may_be_as_old_as_the_longest_pause_of_its_schedule(cron, longest):
    assert longest_interval(cron) == longest


@pytest.mark.parametrize("name", ["IODM_SYNC_CRON", "IODM_FULL_CRON"])
@pytest.mark.parametrize("value", ["hourly", "* * * *", "61 * * * *", "a b c d e"])
def test_a_wrong_cron_expression_is_named(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=name):
        make_schedules()


@pytest.fixture
def run_beside_a_writer(instance, warehouse, start_platform, monkeypatch):
    """Runs a job once, while another run writes for five hours: whoever waits for it looks again after each of them."""
    start_platform()
    extract(load_settings(), Silent())
    monkeypatch.setattr("iodm_assets.failures.MAX_RETRIES", 0)
    clock = Clock(0)

    def run(job):
        with ExitStack() as writer:
            writer.enter_context(writer_lock(warehouse))

            def sleep(_):
                clock.advance(3600)
                if clock() >= 5 * 3600:
                    writer.close()

            monkeypatch.setattr("filelock._api.time", SimpleNamespace(perf_counter=clock, sleep=sleep))
            return defs.resolve_job_def(job).execute_in_process(instance=instance, raise_on_error=False)

    return run


def test_the_full_sync_reads_everything_and_waits_hours_for_who_writes(run_beside_a_writer):
    result = run_beside_a_writer("full_sync")
    assert result.success
    [read] = result.asset_materializations_for_node("raw__operations")
    assert read.metadata["mode"].value == "full"


def test_an_incremental_sync_waits_no_hour_for_who_writes(run_beside_a_writer):
    result = run_beside_a_writer("sync_operations")
    [failure] = [each.step_failure_data for each in result.all_events if each.is_step_failure]
    assert "another run is writing" in failure.user_failure_data.description


def test_an_incremental_run_that_meets_a_writer_is_tried_again_and_says_why(instance, warehouse, start_platform):
    start_platform()
    open_warehouse(load_settings())
    with writer_lock(warehouse), pytest.raises(dg.RetryRequested) as caught, failures():
        extract(load_settings(), Silent())
    assert "another run is writing" in str(caught.value.__cause__)


@pytest.mark.parametrize(("kept_days", "left"), [(14, 3), (0, 1)])
def test_runs_that_ended_long_ago_are_deleted_and_young_ones_stay(instance, monkeypatch, kept_days, left):
    monkeypatch.setattr("iodm_assets.schedules.KEPT_DAYS", kept_days)
    for _ in range(3):
        assert drop_old_runs.execute_in_process(instance=instance).success
    assert len(instance.get_runs()) == left  # the last one was under way when it looked
