-- grain: one upgrade task that this run changed
select
    tasks.created_month as lake_month,
    tasks.operation_id,
    tasks.operation_type,
    tasks.status,
    tasks.status_text,
    tasks.created_at,
    tasks.started_at,
    tasks.stopped_at,
    tasks.device_type,
    tasks.model,
    tasks.manufacturer_name,
    cast(tasks.named_device_count as integer) as named_device_count,
    cast(tasks.device_group_count as integer) as device_group_count,
    tasks.extend_para['fileVersion'] as file_version,
    tasks.extend_para,
    tasks.created_month,
    removed.removed_at,
    newest.first_observed_at as _first_observed_at,
    tasks.observed_at as _observed_at,
    tasks.sync_id as _sync_id,
    tasks.broken_fields as _broken_fields
from tasks
inner join newest on tasks.position = newest.position
left join removed on tasks.operation_id = removed.operation_id
