-- How well upgrades succeed, by model: a model's name means something only with its manufacturer and device type.
-- grain: one manufacturer, model and device type
-- key: manufacturer_name, model, device_type
-- parameters: since, until
with sums as (
    select
        manufacturer_name,
        model,
        device_type,
        success_sums(total, wait, processing, success, fail, stop, timeout) as sums
    from marts.operation_outcomes
    where created_between(created_at, since, until)
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
    unnest(measures),
    success_verdict(measures) as verdict -- ok, watch, bad or too_few: the clustered interval against the target
from measures
order by manufacturer_name, model, device_type
