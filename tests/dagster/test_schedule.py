"""The tick of `sync_operations`, evaluated as the daemon does."""

import dagster as dg

from iodm_assets.definitions import defs
from iodm_assets.resources import SettingsResource
from iodm_assets.schedules import sync_operations_schedule
from pipelines.settings import load_settings
from pipelines.warehouse import open_warehouse, writer_lock


def tick(instance: dg.DagsterInstance):
    context = dg.build_schedule_context(instance=instance, resources={"settings": SettingsResource()})
    return sync_operations_schedule.evaluate_tick(context)


def test_it_runs_every_15_minutes_from_the_start():
    [schedule] = [each for each in defs.schedules if each.name == "sync_operations_schedule"]
    assert (schedule.cron_schedule, schedule.execution_timezone) == ("*/15 * * * *", "UTC")
    assert schedule.default_status == dg.DefaultScheduleStatus.RUNNING


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
