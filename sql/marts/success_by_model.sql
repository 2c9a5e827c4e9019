-- How well upgrades succeed, by model: a model's name means something only with its manufacturer and device type.
-- grain: one manufacturer, model and device type
-- parameters: since, until
with sums as (
    select
        manufacturer_name,
        model,
        device_type,
        success_sums(total, wait, processing, success, fail, stop, timeout) as sums
    from marts.operation_outcomes
    where
        (since is null or created_at >= cast(since as timestamp))
        and (until is null or created_at < cast(until as timestamp))
    group by manufacturer_name, model, device_type
),

measures as (
    select
        manufacturer_name,
        model,
        device_type,
        success_measures(sums) as measures
    from sums
)

select
    manufacturer_name, -- manufacturer of the targets
    model, -- model of the targets
    device_type, -- device type of the targets
    unnest(measures)
from measures
order by manufacturer_name, model, device_type
