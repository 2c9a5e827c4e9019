-- How well upgrades succeed, by the day on which the task was created.
-- grain: one day (UTC)
-- parameters: since, until
select
    created_date, -- day of creation, UTC
    unnest(success_measures(total, wait, processing, success, fail, stop, timeout))
from marts.operation_outcomes
where
    (since is null or created_at >= cast(since as timestamp))
    and (until is null or created_at < cast(until as timestamp))
group by created_date
order by created_date
