-- How well upgrades succeed, by the device group that the task aims at.
-- grain: one device group
-- key: device_group
-- parameters: since, until
-- Only tasks aimed at exactly one group, and at no device by name, tell of a group; all others stand in one row without a
-- group, so that sums hold.
with sums as (
    select
        device_group,
        success_sums(total, wait, processing, success, fail, stop, timeout) as sums
    from marts.operation_outcomes
    where created_between(created_at, since, until)
    group by device_group
),

measures as (
    select
        device_group,
        success_measures(sums) as measures
    from sums
)

select
    device_group, -- device group that the task aims at; null: devices by name, several groups, or none
    unnest(measures),
    success_verdict(measures) as verdict -- ok, watch, bad or too_few: the clustered interval against the target
from measures
order by device_group
