-- What a batch of syncs says about tasks that are gone: found to be gone, or met again.
-- grain: one task whose removed_at this batch changes
-- A task is removed since the first response that said so after the last one that met it.
with met as (
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
        from broken_records
    ) as answers
    group by operation_id
),

gone as (
    select
        removal_lines.operation_id,
        min_by(removal_lines.observed_at, removal_lines.position) as removed_at
    from removal_lines
    left join met on removal_lines.operation_id = met.operation_id
    where removal_lines.position > coalesce(met.position, -1)
    group by removal_lines.operation_id
),

removed_before as (
    select operation_id
    from removed
    where removed_at is not null
    union all
    select operation_id
    from served.core.operations
    where
        removed_at is not null
        and operation_id not in (select removed.operation_id from removed)
)

select
    met.operation_id,
    cast(null as timestamp) as removed_at
from met
semi join removed_before on met.operation_id = removed_before.operation_id
anti join gone on met.operation_id = gone.operation_id
union all
select
    gone.operation_id,
    gone.removed_at
from gone
left join removed_before on gone.operation_id = removed_before.operation_id
where
    removed_before.operation_id is null
    or gone.operation_id in (select met.operation_id from met)
