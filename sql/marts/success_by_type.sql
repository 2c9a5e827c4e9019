-- How well upgrades succeed, by type of upgrade.
-- grain: one operation type
-- parameters: since, until
select
    operation_type, -- firmware_upgrade or software_upgrade
    unnest(success_measures(total, wait, processing, success, fail, stop, timeout))
from marts.operation_outcomes
where
    (since is null or created_at >= cast(since as timestamp))
    and (until is null or created_at < cast(until as timestamp))
group by operation_type
order by operation_type
