"""A sensor that tells of incidents: once when one begins, once when it is over. What one is, `pipelines.alerts` says.

(Annotations are no strings here, because Dagster reads those of `context` as they are.)
"""

import json

import dagster as dg

from iodm_assets.resources import SettingsResource
from iodm_assets.specs import freshness_limits
from pipelines.alerts import incidents, message, post
from pipelines.errors import IodmError, StorageError

SYNC_FAILED = "sync_failed"
JOBS = ("sync_operations", "full_sync")


@dg.sensor(
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Posts to IODM_ALERT_WEBHOOK when something goes wrong, and when it is over.",
)
def alerts(context: dg.SensorEvaluationContext, settings: SettingsResource) -> dg.SensorResult | dg.SkipReason:
    """Compare what is wrong now with what was told; the cursor remembers that."""
    webhook = settings.load().alert_webhook
    if webhook is None:
        return dg.SkipReason("IODM_ALERT_WEBHOOK is not set")
    told: dict[str, str] = json.loads(context.cursor or "{}")
    now = _failed_syncs(context.instance)
    try:
        _, stale_after = freshness_limits()
        now |= incidents(settings.warehouse(), stale_after)
    except StorageError:  # nothing is published: nothing is known of the data, and nothing of it is over
        now |= {name: text for name, text in told.items() if name != SYNC_FAILED}
    begun = {name: text for name, text in now.items() if name not in told}
    over = {name: text for name, text in told.items() if name not in now}
    if not begun and not over:
        return dg.SkipReason(f"nothing new; {len(told)} incidents last" if told else "nothing is wrong")
    try:
        post(webhook.get_secret_value(), message(begun, over, f"IODM Warehouse {settings.warehouse().root}"))
    except IodmError as error:
        return dg.SkipReason(f"{error}; the next tick tries again")
    still = {name: told.get(name, text) for name, text in now.items()}
    return dg.SensorResult(skip_reason=f"told of {len(begun)} new, {len(over)} over", cursor=json.dumps(still))


def _failed_syncs(instance: dg.DagsterInstance) -> dict[str, str]:
    """The two newest runs that ended, of both jobs together: an incident if both failed."""
    ended = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE]
    runs = [
        record
        for job in JOBS
        for record in instance.get_run_records(dg.RunsFilter(job_name=job, statuses=ended), limit=2)
    ]
    newest = sorted(runs, key=lambda record: record.create_timestamp)[-2:]
    if len(newest) == 2 and all(each.dagster_run.status is dg.DagsterRunStatus.FAILURE for each in newest):
        return {SYNC_FAILED: "two syncs in a row have failed: see the newest run in Dagster"}
    return {}
