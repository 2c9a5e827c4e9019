-- What each sync met of each task, in the order of the syncs, beside what was known before.
-- grain: one task and sync; within a sync the newest response wins
with last_in_sync as (
    select
        operation_id,
        sync_id,
        max(position) as position
    from records
    where sync_id between getvariable('first_sync') and getvariable('last_sync')
    group by operation_id, sync_id
),

met as (
    select
        records.operation_id,
        records.sync_id,
        records.position,
        records.observed_at,
        records.observed_at as first_observed_at,
        records.content,
        records.state
    from records
    semi join last_in_sync on records.position = last_in_sync.position
),

known as (
    select
        operation_id,
        first_observed_at,
        content,
        state
    from known_tasks
    union all by name
    select
        newest.operation_id,
        newest.first_observed_at,
        records.content,
        records.state
    from newest
    inner join records on newest.position = records.position
    semi join last_in_sync on newest.operation_id = last_in_sync.operation_id
),

stories as (
    select * from met
    union all by name
    select
        *,
        0 as sync_id
    from known
)

select
    operation_id,
    sync_id,
    position,
    observed_at,
    first_value(first_observed_at) over story as first_observed_at,
    coalesce(content <> lag(content) over story, true) as has_new_content,
    coalesce(state <> lag(state) over story, true) as has_new_state,
    lag(content) over story is null as is_first
from stories
window story as (partition by operation_id order by sync_id)
qualify sync_id > 0
