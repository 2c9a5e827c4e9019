-- How well upgrades succeed, by model: a model's name means something only with its manufacturer and device type.
-- grain: one manufacturer, model and device type
-- parameters: since, until
select
    manufacturer_name, -- manufacturer of the targets
    model, -- model of the targets
    device_type, -- device type of the targets
    unnest(success_measures(total, wait, processing, success, fail, stop, timeout))
from marts.operation_outcomes
where
    (since is null or created_at >= cast(since as timestamp))
    and (until is null or created_at < cast(until as timestamp))
group by manufacturer_name, model, device_type
order by manufacturer_name, model, device_type
