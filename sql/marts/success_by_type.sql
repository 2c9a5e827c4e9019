-- How well upgrades succeed, by type of upgrade.
-- grain: one operation type
-- key: operation_type
-- parameters: since, until
with sums as (
    select
        operation_type,
        success_sums(total, wait, processing, success, fail, stop, timeout) as sums
    from marts.operation_outcomes
    where created_between(created_at, since, until)
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
    unnest(measures),
    success_verdict(measures) as verdict -- ok, watch, bad or too_few: the clustered interval against the target
from measures
order by operation_type
