-- How well upgrades succeed, by model and the version that they install.
-- grain: one manufacturer, model, device type and version
-- key: manufacturer_name, model, device_type, file_version
-- parameters: since, until
with sums as (
    select
        manufacturer_name,
        model,
        device_type,
        file_version,
        success_sums(total, wait, processing, success, fail, stop, timeout) as sums
    from marts.operation_outcomes
    where created_between(created_at, since, until)
    group by manufacturer_name, model, device_type, file_version
),

measures as (
    select
        manufacturer_name,
        model,
        device_type,
        file_version,
        success_measures(sums) as measures
    from sums
)

select
    manufacturer_name, -- manufacturer of the targets
    model, -- model of the targets
    device_type, -- device type of the targets
    file_version, -- version that the task installs
    unnest(measures),
    success_verdict(measures) as verdict -- ok, watch, bad or too_few: the clustered interval against the target
from measures
order by manufacturer_name, model, device_type, file_version
