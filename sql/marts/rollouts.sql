-- Rollouts: all tasks that install one version on one model, or each task by itself where by_task is true; what they
-- came to, and whether their whole course was observed closely enough to say how they stood when.
-- grain: one rollout
-- key: rollout_id
-- parameters: by_task
-- Closely enough is what it is in outcomes_at_age, here at every moment from the creation of its first task to the look
-- that met its last state, or, while it is under way, to the last look: some look is within an hour of that moment, or
-- within 10 % of the rollout's age then; and no task was met later than that after its creation. An interrupted sync has
-- not looked at everything: what it met counts from the next look on. Whether a rollout is left out must not depend on
-- the rule that it is tried with: what remained would be a sample made by the rule.
with looks as (
    select
        sync_id,
        finished_at,
        lag(finished_at) over (order by finished_at, sync_id) as previous_finished_at
    from core.syncs
    where mode <> 'interrupted'
),

-- Looks not more than two hours apart cover what is between them at any age.
far_apart as (
    select
        row_number() over (order by finished_at) as gap_number,
        coalesce(previous_finished_at, '-infinity') as look_before,
        finished_at as look_after
    from looks
    where
        previous_finished_at is null
        or finished_at > previous_finished_at + interval 2 hour
),

looks_of_syncs as (
    select
        syncs.sync_id,
        looks.finished_at as looked_at
    from core.syncs as syncs
    asof inner join looks on syncs.sync_id <= looks.sync_id
),

met as (
    select
        operation_id,
        min(sync_id) as first_sync_id,
        max(sync_id) as last_sync_id
    from core.operation_history
    group by operation_id
),

-- What became of a task after its last state is known up to the look that found it over, or gone.
tasks as (
    select
        outcomes.*,
        first_look.looked_at as first_looked_at,
        case
            when outcomes.status in ('wait', 'processing') then coalesce(outcomes.removed_at, 'infinity')
            else coalesce(last_look.looked_at, 'infinity')
        end as observed_until,
        dense_rank() over (
            order by
                outcomes.manufacturer_name,
                outcomes.model,
                outcomes.device_type,
                outcomes.file_version,
                case when by_task then outcomes.operation_id end
        ) as rollout_number
    from marts.operation_outcomes as outcomes
    left join met on outcomes.operation_id = met.operation_id
    left join looks_of_syncs as first_look on met.first_sync_id = first_look.sync_id
    left join looks_of_syncs as last_look on met.last_sync_id = last_look.sync_id
),

rollouts as (
    select
        rollout_number,
        min(operation_id) as rollout_id,
        any_value(manufacturer_name) as manufacturer_name,
        any_value(model) as model,
        any_value(device_type) as device_type,
        any_value(file_version) as file_version,
        count(*) as operations,
        min(created_at) as created_at,
        max(observed_until) as observed_until,
        coalesce(bool_or(status in ('wait', 'processing') and removed_at is null), false) as is_under_way,
        cast(sum(total) as bigint) as total,
        cast(sum(wait) as bigint) as wait,
        cast(sum(processing) as bigint) as processing,
        cast(sum(success) as bigint) as success,
        cast(sum(fail) as bigint) as fail,
        cast(sum(stop) as bigint) as stop,
        cast(sum(timeout) as bigint) as timeout
    from tasks
    group by rollout_number
),

-- They follow each other, so those within a life are the first one to the last one, without a join on two inequalities.
far_apart_in_lives as (
    select
        rollouts.rollout_number,
        rollouts.created_at,
        unnest(range(first_gap.gap_number, last_gap.gap_number + 1)) as gap_number
    from rollouts
    asof inner join far_apart as first_gap on rollouts.created_at < first_gap.look_after
    asof inner join far_apart as last_gap on rollouts.observed_until > last_gap.look_before
),

gaps as (
    select
        lives.rollout_number,
        greatest(far_apart.look_before, lives.created_at) as unobserved_from,
        far_apart.look_after as unobserved_until
    from far_apart_in_lives as lives
    inner join far_apart on lives.gap_number = far_apart.gap_number
    where not looks_cover(lives.created_at, nullif(far_apart.look_before, '-infinity'), far_apart.look_after)
    union all
    select
        rollouts.rollout_number,
        tasks.created_at as unobserved_from,
        tasks.first_looked_at as unobserved_until
    from tasks
    inner join rollouts on tasks.rollout_number = rollouts.rollout_number
    where not looks_cover(rollouts.created_at, tasks.created_at, tasks.first_looked_at)
),

longest_gaps as (
    select
        rollout_number,
        max_by(
            row(unobserved_from, unobserved_until),
            row(coalesce(epoch(unobserved_until) - epoch(unobserved_from), 'infinity'), unobserved_from)
        ) as gap
    from gaps
    group by rollout_number
)

select
    rollouts.rollout_id, -- smallest id of its tasks: what names the rollout in rollout_courses too
    rollouts.manufacturer_name, -- manufacturer of the targets
    rollouts.model, -- model of the targets
    rollouts.device_type, -- device type of the targets
    rollouts.file_version, -- version that its tasks install
    case when by_task then rollouts.rollout_id end as operation_id, -- the task, where each is a rollout of its own; else null
    rollouts.operations, -- upgrade tasks
    rollouts.created_at, -- when its first task was created, UTC
    rollouts.is_under_way, -- true while one of its tasks waits or is processing
    rollouts.total, -- devices that its tasks operate on; this and all counters: now, null where the platform sent none
    rollouts.wait, -- devices waiting
    rollouts.processing, -- devices being upgraded
    rollouts.success, -- devices upgraded
    rollouts.fail, -- devices that failed, timeouts apart
    rollouts.stop, -- devices stopped
    rollouts.timeout, -- devices that timed out
    rollouts.processing + finished(rollouts.success, rollouts.fail, rollouts.timeout) as begun, -- processing + success + fail + timeout
    finished(rollouts.success, rollouts.fail, rollouts.timeout) as finished, -- success + fail + timeout
    rollouts.fail + rollouts.timeout as failed, -- fail + timeout
    success_rate(rollouts.success, rollouts.fail, rollouts.timeout) as success_rate, -- success / finished; null when nothing finished
    longest_gaps.gap is null as is_observed, -- true if its whole course was observed closely enough
    longest_gaps.gap[1] as unobserved_from, -- where not: start of the longest gap, a look or the creation of a task
    longest_gaps.gap[2] as unobserved_until -- and its end: the next look, or the first that met the task; null if none has
from rollouts
left join longest_gaps on rollouts.rollout_number = longest_gaps.rollout_number
order by rollouts.created_at, rollouts.rollout_id
