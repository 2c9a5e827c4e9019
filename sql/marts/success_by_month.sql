-- How well upgrades succeed, by the month in which the task was created.
-- grain: one month (UTC)
-- key: created_month
-- parameters: since, until
with sums as (
    select
        created_month,
        success_sums(total, wait, processing, success, fail, stop, timeout) as sums
    from marts.operation_outcomes
    where created_between(created_at, since, until)
    group by created_month
),

measures as (
    select
        created_month,
        success_measures(sums) as measures
    from sums
)

select
    created_month, -- month of creation, YYYY-MM, UTC
    unnest(measures),
    success_verdict(measures) as verdict -- ok, watch, bad or too_few: the clustered interval against the target
from measures
order by created_month
