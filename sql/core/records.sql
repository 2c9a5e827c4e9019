-- The records of the syncs to apply, as typed columns; a field named in broken_fields is null.
-- grain: one record as received
-- `position` orders all records ever received: responses are numbered across syncs, records within a response.
with lines as (
    select
        sync as sync_id,
        response * 1000000 + index as position,
        cast(observed_at as timestamp) as observed_at,
        coalesce(broken_fields, []) as broken_fields,
        record
    from raw_lines
),

typed as (
    select
        sync_id,
        position,
        observed_at,
        broken_fields,
        record.operationId as operation_id,
        case when not list_contains(broken_fields, 'operateType') then record.operateType end as operation_type,
        case when not list_contains(broken_fields, 'status') then record.status end as status_text,
        case lower(trim(status_text)) when 'fail' then 'failed' else lower(trim(status_text)) end as status,
        try_strptime(record.createTime, '%Y%m%dT%H%M%SZ') as created_at,
        try_strptime(record.startTime, '%Y%m%dT%H%M%SZ') as started_at,
        try_strptime(record.stopTime, '%Y%m%dT%H%M%SZ') as stopped_at,
        case when not list_contains(broken_fields, 'targets.deviceType') then record.targets.deviceType end as device_type,
        case when not list_contains(broken_fields, 'targets.model') then record.targets.model end as model,
        case when not list_contains(broken_fields, 'targets.manufacturerName') then record.targets.manufacturerName end as manufacturer_name,
        case when not list_contains(broken_fields, 'targets.devices') then record.targets.devices end as devices,
        case when not list_contains(broken_fields, 'targets.deviceGroups') then record.targets.deviceGroups end as device_groups,
        case when not list_contains(broken_fields, 'extendPara') then record.extendPara end as extend_para,
        record.policy is not null and not list_contains(broken_fields, 'policy') as has_policy,
        case when not list_contains(broken_fields, 'policy.executeType') then record.policy.executeType end as execute_type,
        try_strptime(record.policy.startTime, '%Y%m%dT%H%M%SZ') as start_at,
        try_strptime(record.policy.endTime, '%Y%m%dT%H%M%SZ') as end_at,
        case when not list_contains(broken_fields, 'policy.retryType') then record.policy.retryType end as retry_enabled,
        case when not list_contains(broken_fields, 'policy.retryTimes') then record.policy.retryTimes end as retry_times,
        record.staResult is not null and not list_contains(broken_fields, 'staResult') as has_result,
        record.staResult.total as received_total,
        coalesce(record.staResult.wait, 0) as wait,
        coalesce(record.staResult.processing, 0) as processing,
        coalesce(record.staResult.success, 0) as success,
        coalesce(record.staResult.fail, 0) as fail_as_received,
        coalesce(record.staResult.stop, 0) as stop,
        coalesce(record.staResult.timeout, 0) as timeout
    from lines
),

-- Whether timeouts are counted inside fail is not documented: a row shows it where only one of the two sums is the total.
summed as (
    select
        *,
        wait + processing + success + fail_as_received + stop as sum_with_timeout_inside,
        wait + processing + success + fail_as_received + stop + timeout as sum_with_timeout_beside
    from typed
),

judged as (
    select
        * exclude (sum_with_timeout_inside, sum_with_timeout_beside),
        case
            when timeout = 0 then null
            when sum_with_timeout_inside = received_total then true
            when sum_with_timeout_beside = received_total then false
        end as timeout_in_fail,
        coalesce(received_total, sum_with_timeout_beside) as total
    from summed
)

select
    * exclude (received_total),
    strftime(created_at, '%Y-%m') as created_month,
    coalesce(len(devices), 0) as named_device_count,
    coalesce(len(device_groups), 0) as device_group_count,
    received_total is null as total_is_derived,
    case when timeout_in_fail then greatest(fail_as_received - timeout, 0) else fail_as_received end as fail,
    coalesce(list_sum([hash('device', cast(place - 1 as integer), target_id) for target_id, place in devices]), 0)
    + coalesce(list_sum([hash('device_group', cast(place - 1 as integer), target_id) for target_id, place in device_groups]), 0)
        as targets_fingerprint
from judged
