-- How well upgrades succeed, all of them together: the one number to report.
-- grain: all tasks
-- key:
-- parameters: since, until
with sums as (
    select success_sums(total, wait, processing, success, fail, stop, timeout) as sums
    from marts.operation_outcomes
    where created_between(created_at, since, until)
),

measures as (
    select success_measures(sums) as measures
    from sums
)

select
    unnest(measures),
    success_verdict(measures) as verdict -- ok, watch, bad or too_few: the clustered interval against the target
from measures
