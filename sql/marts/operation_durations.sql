-- How long upgrades take, by type and model.
-- grain: one operation type, manufacturer, model and device type
-- key: operation_type, manufacturer_name, model, device_type
-- parameters: since, until
-- A time counts only once it is over: in a window that ends today the quick tasks are in, the slow ones still under way.
-- Times out of order (see sql/checks) are in no percentile.
with durations as (
    select
        operation_type,
        manufacturer_name,
        model,
        device_type,
        case when started_at >= created_at then epoch(started_at) - epoch(created_at) end as create_to_start,
        case when stopped_at >= started_at then epoch(stopped_at) - epoch(started_at) end as start_to_stop
    from marts.operation_outcomes
    where created_between(created_at, since, until)
),

percentiles as (
    select
        operation_type,
        manufacturer_name,
        model,
        device_type,
        count(*) as operations,
        count(create_to_start) as operations_started,
        count(start_to_stop) as operations_stopped,
        quantile_cont(create_to_start, [0.5, 0.9, 0.95]) as create_to_start,
        quantile_cont(start_to_stop, [0.5, 0.9, 0.95]) as start_to_stop
    from durations
    group by operation_type, manufacturer_name, model, device_type
)

select
    operation_type, -- firmware_upgrade or software_upgrade
    manufacturer_name, -- manufacturer of the targets
    model, -- model of the targets
    device_type, -- device type of the targets
    operations, -- upgrade tasks
    operations_started, -- tasks with a time from creation to start
    operations_stopped, -- tasks with a time from start to stop
    create_to_start[1] as create_to_start_median_seconds, -- half of the tasks start within this time of their creation
    create_to_start[2] as create_to_start_p90_seconds, -- 90 % of them
    create_to_start[3] as create_to_start_p95_seconds, -- 95 % of them
    start_to_stop[1] as start_to_stop_median_seconds, -- half of the tasks stop within this time of their start
    start_to_stop[2] as start_to_stop_p90_seconds, -- 90 % of them
    start_to_stop[3] as start_to_stop_p95_seconds -- 95 % of them
from percentiles
order by operation_type, manufacturer_name, model, device_type
