-- Every task with its policy and its counters, everything joined: what all reports are made from.
-- grain: one upgrade task
-- key: operation_id
-- window: created_at
-- Counters are null where the platform sent no statistics: such a task is in no rate.
select
    operations.operation_id, -- the task's id
    operations.operation_type, -- firmware_upgrade or software_upgrade
    operations.status, -- wait, processing, success, failed, stop
    operations.created_at, -- when the task was created, UTC
    cast(operations.created_at as date) as created_date, -- its day, UTC
    cast(date_trunc('week', operations.created_at) as date) as created_week, -- Monday of its week, UTC
    operations.created_month, -- its month
    operations.started_at, -- when it was started
    operations.stopped_at, -- when it ended
    operations.removed_at, -- when it was found to be gone from the platform
    operations._first_observed_at as first_observed_at, -- platform's clock when a sync first met it
    operations.manufacturer_name, -- manufacturer of the targets
    operations.model, -- model of the targets
    operations.device_type, -- device type of the targets
    operations.file_version, -- version that the task installs
    operations.named_device_count, -- devices that the task names
    operations.device_group_count, -- device groups that the task names
    targets.target_id as device_group, -- device group that the task aims at, where it is exactly one and no device by name
    policies.execute_type, -- now, device_online or custom
    policies.retry_enabled, -- whether failed devices are tried again
    policies.retry_times, -- how often
    results.total, -- devices that the task operates on
    results.wait, -- devices waiting
    results.processing, -- devices being upgraded
    results.success, -- devices upgraded
    results.fail, -- devices that failed, timeouts apart
    results.stop, -- devices stopped
    results.timeout, -- devices that timed out
    results.total_is_derived, -- true if total was not sent and is the sum of the others
    results.fail_as_received, -- fail as sent, whether or not timeouts are counted in it
    results.timeout_in_fail, -- true where timeouts must be counted inside fail, false where beside it, null where nothing tells
    finished(results.success, results.fail, results.timeout) as finished, -- success + fail + timeout
    success_rate(results.success, results.fail, results.timeout) as success_rate -- success / finished of this task
from core.operations as operations
left join core.operation_policies as policies on operations.operation_id = policies.operation_id
left join core.operation_results as results on operations.operation_id = results.operation_id
left join core.operation_targets as targets
    on
        operations.operation_id = targets.operation_id
        and targets.target_type = 'device_group'
        and operations.device_group_count = 1
        and operations.named_device_count = 0
