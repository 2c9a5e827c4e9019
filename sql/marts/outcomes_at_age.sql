-- Every task's counters as they were when it was 1 hour, 6 hours, 1 day and 7 days old: what reports at equal age are made from.
-- grain: one upgrade task
-- window: created_at
-- A task has counters at an age only if a sync met it at that age or before, and some sync finished around that moment:
-- within an hour, or within 10 % of the age where that is more. They are those of that moment as syncs knew them; where
-- the only such sync came after it, those of that sync. An interrupted sync has not looked at everything. Numbers of
-- syncs order states, not clocks.
with looks as (
    select
        finished_at,
        lead(finished_at) over (order by finished_at) as next_finished_at
    from (
        select finished_at
        from core.syncs
        where mode <> 'interrupted'
        union
        select cast('-infinity' as timestamp) as finished_at
    ) as every_look
),

moments as (
    select
        operations.operation_id,
        ages.age_hours,
        operations.created_at + to_hours(ages.age_hours) as due_at,
        to_minutes(greatest(60, 6 * ages.age_hours)) as tolerance
    from core.operations as operations
    cross join (values (1), (6), (24), (168)) as ages (age_hours)
    where operations._first_observed_at <= operations.created_at + to_hours(ages.age_hours)
),

looked as (
    select
        moments.operation_id,
        moments.age_hours,
        case when looks.finished_at >= moments.due_at - moments.tolerance then moments.due_at else looks.next_finished_at end as looked_at
    from moments
    asof inner join looks on moments.due_at >= looks.finished_at
    where
        moments.due_at <= (select max(last_look.finished_at) from looks as last_look)
        and (
            looks.finished_at >= moments.due_at - moments.tolerance
            or looks.next_finished_at <= moments.due_at + moments.tolerance
        )
),

-- One row per task, so that history is read once for all ages.
looked_by_task as (
    select
        operation_id,
        max(looked_at) filter (where age_hours = 1) as at_1_hour,
        max(looked_at) filter (where age_hours = 6) as at_6_hours,
        max(looked_at) filter (where age_hours = 24) as at_1_day,
        max(looked_at) filter (where age_hours = 168) as at_7_days
    from looked
    group by operation_id
),

history as (
    select
        operation_id,
        sync_id,
        observed_at,
        {
            'total': total,
            'wait': wait,
            'processing': processing,
            'success': success,
            'fail': fail,
            'stop': stop,
            'timeout': timeout
        } as counters
    from core.operation_history
),

states as (
    select
        history.operation_id,
        arg_max(history.counters, history.sync_id) filter (where history.observed_at <= looked_by_task.at_1_hour) as at_1_hour,
        arg_max(history.counters, history.sync_id) filter (where history.observed_at <= looked_by_task.at_6_hours) as at_6_hours,
        arg_max(history.counters, history.sync_id) filter (where history.observed_at <= looked_by_task.at_1_day) as at_1_day,
        arg_max(history.counters, history.sync_id) filter (where history.observed_at <= looked_by_task.at_7_days) as at_7_days
    from history
    inner join looked_by_task on history.operation_id = looked_by_task.operation_id
    group by history.operation_id
)

select
    operations.operation_id, -- the task's id
    operations.created_at, -- when the task was created, UTC
    operations.manufacturer_name, -- manufacturer of the targets
    operations.model, -- model of the targets
    operations.device_type, -- device type of the targets
    operations.file_version, -- version that the task installs
    states.at_1_hour, -- counters at 1 hour; null if the task is not that old, was not met by then or not looked at around it
    states.at_6_hours, -- counters at 6 hours
    states.at_1_day, -- counters at 24 hours
    states.at_7_days -- counters at 168 hours
from core.operations as operations
left join states on operations.operation_id = states.operation_id
order by operations.created_at, operations.operation_id
