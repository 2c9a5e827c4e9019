-- How well upgrades succeed, by manufacturer.
-- grain: one manufacturer
-- key: manufacturer_name
-- parameters: since, until
with sums as (
    select
        manufacturer_name,
        success_sums(total, wait, processing, success, fail, stop, timeout) as sums
    from marts.operation_outcomes
    where created_between(created_at, since, until)
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
    unnest(measures),
    success_verdict(measures) as verdict -- ok, watch, bad or too_few: the clustered interval against the target
from measures
order by manufacturer_name
