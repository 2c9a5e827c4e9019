-- How each rollout stood at each look that found one of its tasks changed. What a rollout is, and whether its course was
-- observed closely enough to believe that nothing happened between two rows, rollouts says.
-- grain: one rollout and look at which a task of it was met with another status or other counters than before
-- key: rollout_id, sync_id
-- parameters: by_task
-- Counters are sums over the tasks of their newest state; a task without statistics adds nothing. Numbers of syncs order
-- states, not clocks. An interrupted sync has not looked at everything: what it met counts from the next look on.
with looks as (
    select
        sync_id,
        finished_at
    from core.syncs
    where mode <> 'interrupted'
),

looks_of_syncs as (
    select
        syncs.sync_id,
        looks.sync_id as look_id
    from core.syncs as syncs
    asof inner join looks on syncs.sync_id <= looks.sync_id
),

-- Numbers stand for names and ids, so that millions of rows fit the memory.
tasks as (
    select
        operation_id,
        manufacturer_name,
        model,
        device_type,
        file_version,
        created_at,
        cast(dense_rank() over names as integer) as rollout_number,
        cast(row_number() over names as integer) as task_number
    from marts.operation_outcomes
    window names as (order by manufacturer_name, model, device_type, file_version, case when by_task then operation_id end)
),

rollouts as (
    select
        rollout_number,
        min(operation_id) as rollout_id,
        any_value(manufacturer_name) as manufacturer_name,
        any_value(model) as model,
        any_value(device_type) as device_type,
        any_value(file_version) as file_version,
        min(created_at) as created_at
    from tasks
    group by rollout_number
),

-- Sums of these few are made before they are added up over time: a query that asks for no other counter then carries
-- none through millions of rows.
states as (
    select
        tasks.rollout_number,
        tasks.task_number,
        history.sync_id,
        looks_of_syncs.look_id,
        coalesce(history.total, 0) as total,
        coalesce(history.wait, 0) as wait,
        coalesce(history.processing, 0) as processing,
        coalesce(history.success, 0) as success,
        coalesce(history.fail, 0) as fail,
        coalesce(history.stop, 0) as stop,
        coalesce(history.timeout, 0) as timeout,
        coalesce(history.processing + finished(history.success, history.fail, history.timeout), 0) as begun,
        coalesce(finished(history.success, history.fail, history.timeout), 0) as finished,
        coalesce(history.fail + history.timeout, 0) as failed
    from core.operation_history as history
    inner join tasks on history.operation_id = tasks.operation_id
    inner join looks_of_syncs on history.sync_id = looks_of_syncs.sync_id
),

changes as (
    select
        rollout_number,
        look_id,
        total - lag(total, 1, 0) over story as total,
        wait - lag(wait, 1, 0) over story as wait,
        processing - lag(processing, 1, 0) over story as processing,
        success - lag(success, 1, 0) over story as success,
        fail - lag(fail, 1, 0) over story as fail,
        stop - lag(stop, 1, 0) over story as stop,
        timeout - lag(timeout, 1, 0) over story as timeout,
        begun - lag(begun, 1, 0) over story as begun,
        finished - lag(finished, 1, 0) over story as finished,
        failed - lag(failed, 1, 0) over story as failed
    from states
    window story as (partition by task_number order by sync_id)
),

-- As doubles, exact for whole numbers up to 2^53: sums of bigint are hugeint, and take half as long again.
changes_at_looks as (
    select
        rollout_number,
        look_id,
        sum(cast(total as double)) as total,
        sum(cast(wait as double)) as wait,
        sum(cast(processing as double)) as processing,
        sum(cast(success as double)) as success,
        sum(cast(fail as double)) as fail,
        sum(cast(stop as double)) as stop,
        sum(cast(timeout as double)) as timeout,
        sum(cast(begun as double)) as begun,
        sum(cast(finished as double)) as finished,
        sum(cast(failed as double)) as failed
    from changes
    group by rollout_number, look_id
),

courses as (
    select
        rollout_number,
        look_id,
        sum(total) over course as total,
        sum(wait) over course as wait,
        sum(processing) over course as processing,
        sum(success) over course as success,
        sum(fail) over course as fail,
        sum(stop) over course as stop,
        sum(timeout) over course as timeout,
        sum(begun) over course as begun,
        sum(finished) over course as finished,
        sum(failed) over course as failed
    from changes_at_looks
    window course as (partition by rollout_number order by look_id rows unbounded preceding)
)

select
    rollouts.rollout_id, -- smallest id of its tasks: what names the rollout in rollouts too
    rollouts.manufacturer_name, -- manufacturer of the targets
    rollouts.model, -- model of the targets
    rollouts.device_type, -- device type of the targets
    rollouts.file_version, -- version that its tasks install
    case when by_task then rollouts.rollout_id end as operation_id, -- the task, where each is a rollout of its own; else null
    courses.look_id as sync_id, -- sync that looked
    looks.finished_at as looked_at, -- platform's clock when it had
    epoch(looks.finished_at) - epoch(rollouts.created_at) as age_seconds, -- time since the rollout's first task was created
    cast(courses.total as bigint) as total, -- devices that its tasks operate on; this and all counters: as known then
    cast(courses.wait as bigint) as wait, -- devices waiting
    cast(courses.processing as bigint) as processing, -- devices being upgraded
    cast(courses.success as bigint) as success, -- devices upgraded
    cast(courses.fail as bigint) as fail, -- devices that failed, timeouts apart
    cast(courses.stop as bigint) as stop, -- devices stopped
    cast(courses.timeout as bigint) as timeout, -- devices that timed out
    cast(courses.begun as bigint) as begun, -- processing + success + fail + timeout
    cast(courses.finished as bigint) as finished, -- success + fail + timeout
    cast(courses.failed as bigint) as failed -- fail + timeout
from courses
inner join rollouts on courses.rollout_number = rollouts.rollout_number
inner join looks on courses.look_id = looks.sync_id
