-- The quarantine after a batch of syncs: a record stays until a good one with its id arrives, or its task is gone.
-- grain: one broken record, by operationId or, without one, by content
-- The place and time of the newest are known of those met in this run.
with cleared as (
    select
        operation_id,
        max(position) as position
    from (
        select
            operation_id,
            position
        from records
        where sync_id between getvariable('first_sync') and getvariable('last_sync')
        union all
        select
            operation_id,
            position
        from removal_lines
    ) as answers
    group by operation_id
),

broken as (
    select
        broken_records.operation_id,
        broken_records.sync_id as first_sync_id,
        broken_records.sync_id as last_sync_id,
        broken_records.position,
        broken_records.observed_at,
        broken_records.reason,
        broken_records.record
    from broken_records
    left join cleared on broken_records.operation_id = cleared.operation_id
    where broken_records.position > coalesce(cleared.position, -1)
    union all
    select
        operation_id,
        first_sync_id,
        last_sync_id,
        position,
        observed_at,
        reason,
        record
    from quarantine_before
    anti join cleared using (operation_id)
)

select
    operation_id,
    min(first_sync_id) as first_sync_id,
    max(last_sync_id) as last_sync_id,
    max_by(reason, position) as reason,
    max_by(record, position) as record,
    max(position) as position,
    max_by(observed_at, position) as observed_at
from broken
group by operation_id
