-- How well upgrades succeed, by the week in which the task was created.
-- grain: one week, from Monday (UTC)
-- key: created_week
-- parameters: since, until
with sums as (
    select
        created_week,
        success_sums(total, wait, processing, success, fail, stop, timeout) as sums
    from marts.operation_outcomes
    where created_between(created_at, since, until)
    group by created_week
),

measures as (
    select
        created_week,
        success_measures(sums) as measures
    from sums
)

select
    created_week, -- Monday of the week of creation, UTC
    unnest(measures),
    success_verdict(measures) as verdict -- ok, watch, bad or too_few: the clustered interval against the target
from measures
order by created_week
