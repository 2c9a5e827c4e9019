-- How well upgrades succeed, by the policy of the task: when it runs, and whether failed devices are tried again.
-- grain: one execute type with or without retry
-- key: execute_type, retry_enabled
-- parameters: since, until
-- Tasks without a policy stand in the row where both are null.
with sums as (
    select
        execute_type,
        retry_enabled,
        success_sums(total, wait, processing, success, fail, stop, timeout) as sums
    from marts.operation_outcomes
    where created_between(created_at, since, until)
    group by execute_type, retry_enabled
),

measures as (
    select
        execute_type,
        retry_enabled,
        success_measures(sums) as measures
    from sums
)

select
    execute_type, -- now, device_online or custom
    retry_enabled, -- whether failed devices are tried again
    unnest(measures),
    success_verdict(measures) as verdict -- ok, watch, bad or too_few: the clustered interval against the target
from measures
order by execute_type, retry_enabled
