"""Everything put together. Loading it reads SQL files and when to run, and touches neither platform nor warehouse."""

from __future__ import annotations

import dagster as dg

from iodm_assets.alerts import alerts
from iodm_assets.assets import published_assets, raw_operations, upgrade_report
from iodm_assets.resources import SettingsResource
from iodm_assets.schedules import drop_old_runs, full_sync, make_schedules, sync_operations

defs = dg.Definitions(
    assets=[raw_operations, published_assets(), upgrade_report],
    jobs=[sync_operations, full_sync, drop_old_runs],
    schedules=make_schedules(),
    sensors=[alerts],
    resources={"settings": SettingsResource()},
    executor=dg.in_process_executor,  # the steps follow each other: a process for each would only cost its start
)
