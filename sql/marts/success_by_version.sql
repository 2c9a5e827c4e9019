-- How well upgrades succeed, by the version that they install.
-- grain: one version
-- parameters: since, until
select
    file_version, -- version that the task installs
    unnest(success_measures(total, wait, processing, success, fail, stop, timeout))
from marts.operation_outcomes
where
    (since is null or created_at >= cast(since as timestamp))
    and (until is null or created_at < cast(until as timestamp))
group by file_version
order by file_version
