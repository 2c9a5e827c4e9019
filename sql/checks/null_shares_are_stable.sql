-- Fields are missing as often in the tasks of the last week as in those of the four weeks before.
-- severity: warning
-- share of: core.operations
-- A share that moved by more than 20 points says that the platform, or what it is told, has changed; 30 tasks on both
-- sides are needed to tell.
with last_sync as (
    select max(finished_at) as finished_at
    from core.syncs
),

tasks as (
    select
        outcomes.created_at >= last_sync.finished_at - interval 7 day as is_recent,
        outcomes.operation_type is null as no_operation_type,
        outcomes.status is null as no_status,
        outcomes.device_type is null as no_device_type,
        outcomes.model is null as no_model,
        outcomes.manufacturer_name is null as no_manufacturer_name,
        outcomes.file_version is null as no_file_version,
        outcomes.execute_type is null as no_execute_type,
        outcomes.total is null as no_total
    from marts.operation_outcomes as outcomes
    cross join last_sync
    where outcomes.created_at >= last_sync.finished_at - interval 35 day
),

shares as (
    select
        is_recent,
        count(*) as tasks,
        unnest({
            'operation_type': avg(cast(no_operation_type as integer)),
            'status': avg(cast(no_status as integer)),
            'device_type': avg(cast(no_device_type as integer)),
            'model': avg(cast(no_model as integer)),
            'manufacturer_name': avg(cast(no_manufacturer_name as integer)),
            'file_version': avg(cast(no_file_version as integer)),
            'execute_type': avg(cast(no_execute_type as integer)),
            'total': avg(cast(no_total as integer))
        })
    from tasks
    group by is_recent
),

long as (
    unpivot shares
    on operation_type, status, device_type, model, manufacturer_name, file_version, execute_type, total
    into
    name field
    value null_share
)

select
    recent.field,
    before.null_share as null_share_before,
    recent.null_share as null_share_now,
    recent.tasks
from long as recent
inner join long as before on recent.field = before.field
where
    recent.is_recent
    and not before.is_recent
    and least(recent.tasks, before.tasks) >= 30
    and abs(recent.null_share - before.null_share) > 0.2
