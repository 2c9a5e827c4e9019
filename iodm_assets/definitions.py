"""Everything put together. Loading it reads SQL files, no setting, and touches neither platform nor warehouse."""

from __future__ import annotations

import dagster as dg

from iodm_assets.assets import published_assets, raw_operations
from iodm_assets.resources import SettingsResource
from iodm_assets.schedules import sync_operations, sync_operations_schedule

defs = dg.Definitions(
    assets=[raw_operations, published_assets()],
    jobs=[sync_operations],
    schedules=[sync_operations_schedule],
    resources={"settings": SettingsResource()},
    executor=dg.in_process_executor,  # the steps follow each other: a process for each would only cost its start
)
