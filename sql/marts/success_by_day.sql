-- How well upgrades succeed, by the day on which the task was created.
-- grain: one day (UTC)
-- key: created_date
-- parameters: since, until
with sums as (
    select
        created_date,
        success_sums(total, wait, processing, success, fail, stop, timeout) as sums
    from marts.operation_outcomes
    where created_between(created_at, since, until)
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
    unnest(measures),
    success_verdict(measures) as verdict -- ok, watch, bad or too_few: the clustered interval against the target
from measures
order by created_date
