-- grain: one upgrade task that this run changed
select
    created_month as lake_month,
    operation_id,
    operation_type,
    status,
    status_text,
    created_at,
    started_at,
    stopped_at,
    device_type,
    model,
    manufacturer_name,
    cast(named_device_count as integer) as named_device_count,
    cast(device_group_count as integer) as device_group_count,
    extend_para['fileVersion'] as file_version,
    extend_para,
    created_month,
    cast(null as timestamp) as removed_at,
    first_observed_at as _first_observed_at,
    observed_at as _observed_at,
    sync_id as _sync_id,
    broken_fields as _broken_fields
from tasks
