"""The job that keeps the answers fresh, and when it runs."""

from __future__ import annotations

import dagster as dg

from iodm_assets.resources import SettingsResource
from iodm_assets.specs import RAW_OPERATIONS
from pipelines.warehouse import is_locked

SYNC_CRON = "*/15 * * * *"

sync_operations = dg.define_asset_job(
    "sync_operations",
    selection=dg.AssetSelection.assets(RAW_OPERATIONS).downstream(),
    description="Read the platform's upgrade tasks and publish the result.",
)


@dg.schedule(
    job=sync_operations,
    cron_schedule=SYNC_CRON,
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Every 15 minutes; not while another run writes to the warehouse, because it brings the same news.",
)
def sync_operations_schedule(settings: SettingsResource) -> dg.RunRequest | dg.SkipReason:
    """Ask for a run, or say why not."""
    warehouse = settings.warehouse()
    if is_locked(warehouse):
        return dg.SkipReason(f"another run is writing to {warehouse.root}; the next tick tries again")
    return dg.RunRequest()
