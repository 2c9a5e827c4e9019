-- How well upgrades succeed, by manufacturer.
-- grain: one manufacturer
-- parameters: since, until
select
    manufacturer_name, -- manufacturer of the targets
    unnest(success_measures(total, wait, processing, success, fail, stop, timeout))
from marts.operation_outcomes
where
    (since is null or created_at >= cast(since as timestamp))
    and (until is null or created_at < cast(until as timestamp))
group by manufacturer_name
order by manufacturer_name
