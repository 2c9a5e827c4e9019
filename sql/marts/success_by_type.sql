-- How well upgrades succeed, by type of upgrade.
-- grain: one operation type
-- parameters: since, until
with sums as (
    select
        operation_type,
        success_sums(total, wait, processing, success, fail, stop, timeout) as sums
    from marts.operation_outcomes
    where
        (since is null or created_at >= cast(since as timestamp))
        and (until is null or created_at < cast(until as timestamp))
    group by operation_type
),

measures as (
    select
        operation_type,
        success_measures(sums) as measures
    from sums
)

select
    operation_type, -- firmware_upgrade or software_upgrade
    unnest(measures)
from measures
order by operation_type
