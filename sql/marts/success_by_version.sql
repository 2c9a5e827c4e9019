-- How well upgrades succeed, by the version that they install.
-- grain: one version
-- parameters: since, until
with sums as (
    select
        file_version,
        success_sums(total, wait, processing, success, fail, stop, timeout) as sums
    from marts.operation_outcomes
    where
        (since is null or created_at >= cast(since as timestamp))
        and (until is null or created_at < cast(until as timestamp))
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
    unnest(measures)
from measures
order by file_version
