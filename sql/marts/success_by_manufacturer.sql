-- How well upgrades succeed, by manufacturer.
-- grain: one manufacturer
-- parameters: since, until
select
    manufacturer_name, -- manufacturer of the targets
    unnest(success_measures(total, wait, processing, success, fail, stop, timeout, any_value(target_success_rate)))
from marts.operation_outcomes
cross join (select target_success_rate from marts.snapshot)
where
    (since is null or created_at >= cast(since as timestamp))
    and (until is null or created_at < cast(until as timestamp))
group by manufacturer_name
order by manufacturer_name
