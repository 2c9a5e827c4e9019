-- How many upgrades to a version were reported successful, day by day and up to that day.
-- grain: one manufacturer, model, device type, version and day of creation (UTC)
-- key: manufacturer_name, model, device_type, file_version, created_date
-- parameters: since, until
-- Upgrades, not distinct devices: one that was upgraded twice to a version counts twice, and nothing tells of rollbacks.
-- A success stands on the day on which its task was created, so the newest days still grow.
with days as (
    select
        manufacturer_name,
        model,
        device_type,
        file_version,
        created_date,
        cast(coalesce(sum(success), 0) as bigint) as success
    from marts.operation_outcomes
    where created_between(created_at, since, until)
    group by manufacturer_name, model, device_type, file_version, created_date
)

select
    manufacturer_name, -- manufacturer of the targets
    model, -- model of the targets
    device_type, -- device type of the targets
    file_version, -- version that the tasks install
    created_date, -- day of creation, UTC
    success, -- successful upgrades of the tasks of this day
    cast(sum(success) over versions as bigint) as success_cumulated -- of all tasks up to and with this day
from days
window versions as (partition by manufacturer_name, model, device_type, file_version order by created_date)
order by manufacturer_name, model, device_type, file_version, created_date
