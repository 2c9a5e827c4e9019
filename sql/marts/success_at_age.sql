-- How well upgrades had succeeded when their tasks were 1 hour, 6 hours, 1 day and 7 days old, by model and version: a
-- young rollout beside an old one at equal age.
-- grain: one manufacturer, model, device type, version and age
-- key: manufacturer_name, model, device_type, file_version, age_hours
-- parameters: since, until
-- A task counts at an age only if a sync met it at that age or before, and some sync finished around that moment: within
-- an hour, or within 10 % of the age where that is more. Its counters are those of that moment as syncs knew them; where
-- the only such sync came after it, those of that sync. The others are left out and counted beside it: a warehouse that
-- meets old tasks for the first time knows nothing of their youth. An interrupted sync has not looked at everything.
with looks as (
    select
        finished_at,
        lead(finished_at) over (order by finished_at) as next_finished_at
    from (
        select finished_at
        from core.syncs
        where mode <> 'interrupted'
        union all
        select cast('-infinity' as timestamp) as finished_at
    ) as every_look
),

last_look as (
    select max(finished_at) as finished_at
    from looks
),

-- Numbers stand for the names while tasks are joined: four texts in each of millions of rows would fill the memory.
groups as (
    select
        manufacturer_name,
        model,
        device_type,
        file_version,
        row_number() over () as group_id
    from marts.operation_outcomes
    where created_between(created_at, since, until)
    group by manufacturer_name, model, device_type, file_version
),

tasks as (
    select
        outcomes.operation_id,
        outcomes.created_at,
        outcomes.first_observed_at,
        groups.group_id
    from marts.operation_outcomes as outcomes
    inner join groups
        on
            outcomes.manufacturer_name is not distinct from groups.manufacturer_name
            and outcomes.model is not distinct from groups.model
            and outcomes.device_type is not distinct from groups.device_type
            and outcomes.file_version is not distinct from groups.file_version
    where created_between(outcomes.created_at, since, until)
),

moments as (
    select
        tasks.operation_id,
        ages.age_hours,
        tasks.created_at + to_hours(ages.age_hours) as due_at,
        to_minutes(greatest(60, 6 * ages.age_hours)) as tolerance
    from tasks
    cross join (values (1), (6), (24), (168)) as ages (age_hours)
    where tasks.first_observed_at <= tasks.created_at + to_hours(ages.age_hours)
),

looked as (
    select
        moments.operation_id,
        moments.age_hours,
        case when looks.finished_at >= moments.due_at - moments.tolerance then moments.due_at else looks.next_finished_at end as looked_at
    from moments
    asof inner join looks on moments.due_at >= looks.finished_at
    where
        moments.due_at <= (select last_look.finished_at from last_look)
        and (
            looks.finished_at >= moments.due_at - moments.tolerance
            or looks.next_finished_at <= moments.due_at + moments.tolerance
        )
),

-- One row per task, so that history is read once for all ages.
looked_by_task as (
    select
        operation_id,
        max(looked_at) filter (where age_hours = 1) as at_1,
        max(looked_at) filter (where age_hours = 6) as at_6,
        max(looked_at) filter (where age_hours = 24) as at_24,
        max(looked_at) filter (where age_hours = 168) as at_168
    from looked
    group by operation_id
),

newest as (
    select
        history.operation_id,
        max(history.observed_at) filter (where history.observed_at <= looked_by_task.at_1) as at_1,
        max(history.observed_at) filter (where history.observed_at <= looked_by_task.at_6) as at_6,
        max(history.observed_at) filter (where history.observed_at <= looked_by_task.at_24) as at_24,
        max(history.observed_at) filter (where history.observed_at <= looked_by_task.at_168) as at_168
    from core.operation_history as history
    inner join looked_by_task on history.operation_id = looked_by_task.operation_id
    where history.observed_at >= coalesce(cast(since as timestamp), '-infinity') -- no task is met before it is created
    group by history.operation_id
),

every_age as (
    select
        tasks.operation_id,
        tasks.group_id,
        tasks.created_at,
        unnest([1, 6, 24, 168]) as age_hours,
        unnest([newest.at_1, newest.at_6, newest.at_24, newest.at_168]) as observed_at
    from tasks
    left join newest on tasks.operation_id = newest.operation_id
),

left_out as (
    select
        every_age.group_id,
        every_age.age_hours,
        count(*) filter (where every_age.created_at + to_hours(every_age.age_hours) > last_look.finished_at) as operations_too_young,
        count(*) filter (
            where every_age.created_at + to_hours(every_age.age_hours) <= last_look.finished_at and every_age.observed_at is null
        ) as operations_not_observed
    from every_age
    cross join last_look
    group by every_age.group_id, every_age.age_hours
),

counted as (
    select
        every_age.group_id,
        every_age.age_hours,
        true as is_counted,
        history.total,
        history.wait,
        history.processing,
        history.success,
        history.fail,
        history.stop,
        history.timeout
    from every_age
    inner join core.operation_history as history
        on
            every_age.operation_id = history.operation_id
            and every_age.observed_at = history.observed_at
            and history.observed_at >= coalesce(cast(since as timestamp), '-infinity')
    union all by name
    select
        group_id,
        age_hours,
        false as is_counted -- so that a group of which nothing is known has its row
    from left_out
),

sums as (
    select
        group_id,
        age_hours,
        success_sums(total, wait, processing, success, fail, stop, timeout, is_counted := is_counted) as sums
    from counted
    group by group_id, age_hours
),

measures as (
    select
        groups.manufacturer_name,
        groups.model,
        groups.device_type,
        groups.file_version,
        left_out.age_hours,
        left_out.operations_too_young,
        left_out.operations_not_observed,
        success_measures(sums.sums) as measures
    from sums
    inner join left_out on sums.group_id = left_out.group_id and sums.age_hours = left_out.age_hours
    inner join groups on sums.group_id = groups.group_id
)

select
    manufacturer_name, -- manufacturer of the targets
    model, -- model of the targets
    device_type, -- device type of the targets
    file_version, -- version that the task installs
    age_hours, -- age of the tasks: 1, 6, 24 or 168 hours
    operations_too_young, -- tasks that are not that old yet: in no number of this row
    operations_not_observed, -- tasks that were not met, or not looked at, around that age: in no number of this row
    unnest(measures),
    success_verdict(measures) as verdict -- ok, watch, bad or too_few: the clustered interval against the target
from measures
order by manufacturer_name, model, device_type, file_version, age_hours
