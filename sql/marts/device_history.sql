-- The upgrade tasks that name a device, oldest first. Tasks aimed at a group don't say which devices are in it.
-- grain: one task that names the device
-- parameters: device_id
-- The platform counts devices, it does not list them by outcome: status and counters are the task's, not the device's.
with tasks as (
    select distinct operation_id -- a list may name a device twice
    from core.operation_targets
    where
        target_type = 'device'
        and target_id = cast(device_id as varchar)
        and _target_hash = cast(md5_number(cast(device_id as varchar)) & 1048575 as integer)
)

select
    cast(device_id as varchar) as device_id, -- the device
    outcomes.created_at, -- when the task was created, UTC
    outcomes.operation_id, -- the task's id
    outcomes.operation_type, -- firmware_upgrade or software_upgrade
    outcomes.file_version, -- version that the task installs
    outcomes.status, -- the task's status
    outcomes.started_at, -- when it was started
    outcomes.stopped_at, -- when it ended
    outcomes.removed_at, -- when it was found to be gone from the platform
    outcomes.total, -- devices that the task operates on
    outcomes.finished, -- success + fail + timeout of the task
    outcomes.success_rate -- success / finished of the task
from tasks
inner join marts.operation_outcomes as outcomes on tasks.operation_id = outcomes.operation_id
order by outcomes.created_at, outcomes.operation_id
