-- Which sums of the counters give the total, model by model: what the data says of whether timeouts are counted in fail.
-- grain: one manufacturer, model and device type
-- key: manufacturer_name, model, device_type
-- parameters: since, until
-- The API's documents don't say it. Only tasks whose total was sent tell anything.
with tasks as (
    select
        manufacturer_name,
        model,
        device_type,
        total_is_derived,
        timeout,
        timeout_in_fail,
        total in (
            wait + processing + success + fail_as_received + stop,
            wait + processing + success + fail_as_received + stop + timeout
        ) as adds_up
    from marts.operation_outcomes
    where
        total is not null
        and created_between(created_at, since, until)
),

counts as (
    select
        manufacturer_name,
        model,
        device_type,
        count(*) as operations,
        count(*) filter (where total_is_derived) as total_is_derived,
        count(*) filter (where not total_is_derived and adds_up and timeout = 0) as no_timeouts,
        count(*) filter (where not total_is_derived and timeout_in_fail) as timeout_inside_fail,
        count(*) filter (where not total_is_derived and not timeout_in_fail) as timeout_beside_fail,
        count(*) filter (where not total_is_derived and not adds_up) as neither
    from tasks
    group by manufacturer_name, model, device_type
)

select
    manufacturer_name, -- manufacturer of the targets
    model, -- model of the targets
    device_type, -- device type of the targets
    operations, -- tasks with counters
    total_is_derived, -- tasks whose total was not sent: it says nothing
    no_timeouts, -- tasks whose counters add up, without a timeout: nor do they
    timeout_inside_fail, -- tasks whose counters add up only if fail holds the timeouts
    timeout_beside_fail, -- tasks whose counters add up only if fail does not hold the timeouts
    neither, -- tasks whose counters add up in neither way
    case
        when timeout_inside_fail > 0 and timeout_beside_fail > 0 then 'both'
        when timeout_inside_fail > 0 then 'inside'
        when timeout_beside_fail > 0 then 'beside'
        else 'unknown'
    end as timeouts -- inside fail, beside it, both in different tasks, or unknown
from counts
order by manufacturer_name, model, device_type
