-- grain: one target of a task that this run changed
with devices as (
    select
        created_month as lake_month,
        operation_id,
        'device' as target_type,
        unnest(devices) as target_id,
        generate_subscripts(devices, 1) - 1 as position
    from tasks
),

device_groups as (
    select
        created_month as lake_month,
        operation_id,
        'device_group' as target_type,
        unnest(device_groups) as target_id,
        generate_subscripts(device_groups, 1) - 1 as position
    from tasks
),

targets as (
    select * from devices
    union all
    select * from device_groups
)

select
    lake_month,
    operation_id,
    target_type,
    cast(position as integer) as position,
    target_id,
    cast(md5_number(target_id) & 1048575 as integer) as _target_hash
from targets
