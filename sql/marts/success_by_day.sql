-- How well upgrades succeed, by the day on which the task was created.
-- grain: one day (UTC)
-- parameters: since, until
with sums as (
    select
        created_date,
        success_sums(total, wait, processing, success, fail, stop, timeout) as sums
    from marts.operation_outcomes
    where
        (since is null or created_at >= cast(since as timestamp))
        and (until is null or created_at < cast(until as timestamp))
    group by created_date
),

measures as (
    select
        created_date,
        success_measures(sums) as measures
    from sums
)

select
    created_date, -- day of creation, UTC
    unnest(measures)
from measures
order by created_date
