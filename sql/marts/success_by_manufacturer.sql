-- How well upgrades succeed, by manufacturer.
-- grain: one manufacturer
-- parameters: since, until
with sums as (
    select
        manufacturer_name,
        success_sums(total, wait, processing, success, fail, stop, timeout) as sums
    from marts.operation_outcomes
    where
        (since is null or created_at >= cast(since as timestamp))
        and (until is null or created_at < cast(until as timestamp))
    group by manufacturer_name
),

measures as (
    select
        manufacturer_name,
        success_measures(sums) as measures
    from sums
)

select
    manufacturer_name, -- manufacturer of the targets
    unnest(measures)
from measures
order by manufacturer_name
