"""The jobs that keep the answers fresh, and when they run.

(Annotations are no strings here, because Dagster reads those of `context` as they are.)
"""

from datetime import UTC, datetime, timedelta

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from iodm_assets.assets import SyncConfig
from iodm_assets.resources import SettingsResource
from iodm_assets.specs import RAW_OPERATIONS, crons
from pipelines.warehouse import is_locked

KEPT_DAYS = 14
Job = dg.JobDefinition | UnresolvedAssetJobDefinition
_ENDED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]

sync_operations = dg.define_asset_job(
    "sync_operations",
    selection=dg.AssetSelection.assets(RAW_OPERATIONS).downstream(),
    description="Read what changed on the platform since the last sync, and publish the result.",
)

full_sync = dg.define_asset_job(
    "full_sync",
    selection=dg.AssetSelection.assets(RAW_OPERATIONS).downstream(),
    config=dg.RunConfig(ops={"raw__operations": SyncConfig(full=True)}),
    description="Read every page of the platform's list again, find what is gone, prove that nothing is missing.",
)


@dg.op(description=f"Delete ended runs that are older than {KEPT_DAYS} days from Dagster's own storage.")
def drop_ended_runs(context: dg.OpExecutionContext) -> None:
    """Dagster keeps every event of every run: 60 MB a day at a run every 15 minutes. The warehouse is not touched."""
    before = datetime.now(UTC) - timedelta(days=KEPT_DAYS)
    old = context.instance.get_runs(dg.RunsFilter(statuses=_ENDED, created_before=before))
    for run in old:
        context.instance.delete_run(run.run_id)
    context.log.info("%s runs deleted", len(old))


@dg.job(description=f"Delete ended runs that are older than {KEPT_DAYS} days from Dagster's own storage.")
def drop_old_runs() -> None:
    """The op as a job."""
    drop_ended_runs()


def make_schedules() -> list[dg.ScheduleDefinition]:
    """The schedules as the settings say when; all of them run from the start.

    Raises:
        SettingsError: `IODM_SYNC_CRON` or `IODM_FULL_CRON` is no cron expression.
    """
    when = crons()
    return [
        _sync_schedule(when.sync_cron),
        _schedule(full_sync, when.full_cron, "Waits for a run that is writing."),
        _schedule(drop_old_runs, "35 3 * * *", "Once a day."),
    ]


def _schedule(job: Job, cron: str, description: str) -> dg.ScheduleDefinition:
    return dg.ScheduleDefinition(
        name=f"{job.name}_schedule",
        job=job,
        cron_schedule=cron,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=description,
    )


def _sync_schedule(cron: str) -> dg.ScheduleDefinition:
    @dg.schedule(
        job=sync_operations,
        cron_schedule=cron,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Not while another run writes to the warehouse, because that one brings the same news.",
    )
    def sync_operations_schedule(settings: SettingsResource) -> dg.RunRequest | dg.SkipReason:
        """Ask for a run, or say why not."""
        warehouse = settings.warehouse()
        if is_locked(warehouse):
            return dg.SkipReason(f"another run is writing to {warehouse.root}; the next tick tries again")
        return dg.RunRequest()

    return sync_operations_schedule
