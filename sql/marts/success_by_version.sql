-- How well upgrades succeed, by the version that they install.
-- grain: one version
-- key: file_version
-- parameters: since, until
with sums as (
    select
        file_version,
        success_sums(total, wait, processing, success, fail, stop, timeout) as sums
    from marts.operation_outcomes
    where created_between(created_at, since, until)
    group by file_version
),

measures as (
    select
        file_version,
        success_measures(sums) as measures
    from sums
)

select
    file_version, -- version that the task installs
    unnest(measures),
    success_verdict(measures) as verdict -- ok, watch, bad or too_few: the clustered interval against the target
from measures
order by file_version
