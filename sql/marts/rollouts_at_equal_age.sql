-- How rollouts under way go, beside the other versions of their model when these were as old.
-- grain: one manufacturer, model, device type and version with living tasks that wait or are being upgraded
-- Shown at the greatest of 1 hour, 6 hours, 1 day and 7 days at which enough is known of it (30 finished devices of 3
-- tasks), else at the greatest at which a device had finished; null where none had. Which tasks count at an age: marts.outcomes_at_age.
with under_way as (
    select
        manufacturer_name,
        model,
        device_type,
        file_version,
        min(created_at) as started_at,
        count(*) filter (where status in ('wait', 'processing') and removed_at is null) as operations_active,
        cast(coalesce(sum(wait + processing) filter (where status in ('wait', 'processing') and removed_at is null), 0) as bigint) as devices_left
    from marts.operation_outcomes
    group by manufacturer_name, model, device_type, file_version
),

peers as (
    select
        manufacturer_name,
        model,
        device_type,
        file_version,
        age_hours,
        operations_finished,
        finished,
        success,
        success_rate,
        clustered_lower,
        clustered_upper,
        verdict,
        cast(sum(finished) over same_model - finished as bigint) as peer_finished,
        success_rate(sum(success) over same_model - success, sum(finished - success) over same_model - (finished - success), 0) as peer_rate
    from marts.success_at_age
    window same_model as (partition by manufacturer_name, model, device_type, age_hours)
),

shown as (
    select *
    from peers
    where finished > 0
    qualify row_number() over (
        partition by manufacturer_name, model, device_type, file_version
        order by verdict <> 'too_few' desc, age_hours desc
    ) = 1
)

select
    under_way.manufacturer_name, -- manufacturer of the targets
    under_way.model, -- model of the targets
    under_way.device_type, -- device type of the targets
    under_way.file_version, -- version that the tasks install
    under_way.started_at, -- when its first task was created, UTC
    under_way.operations_active, -- living tasks that wait or are being upgraded
    under_way.devices_left, -- devices of these that wait or are being upgraded
    shown.age_hours, -- age of the tasks compared: 1, 6, 24 or 168 hours
    coalesce(shown.operations_finished, 0) as operations_finished, -- tasks with at least one finished device at that age
    coalesce(shown.finished, 0) as finished, -- success + fail + timeout at that age
    shown.success_rate, -- success / finished at that age
    shown.clustered_lower, -- lower end where devices of one task fail together
    shown.clustered_upper, -- upper end where devices of one task fail together
    coalesce(shown.verdict, 'too_few') as verdict, -- ok, watch, bad or too_few: the clustered interval against the target
    coalesce(shown.peer_finished, 0) as peer_finished, -- success + fail + timeout of the other versions of the model at that age
    shown.peer_rate -- success / finished of these; null where nothing is known of them
from under_way
left join shown
    on
        under_way.manufacturer_name is not distinct from shown.manufacturer_name
        and under_way.model is not distinct from shown.model
        and under_way.device_type is not distinct from shown.device_type
        and under_way.file_version is not distinct from shown.file_version
where under_way.operations_active > 0
order by under_way.started_at desc, under_way.manufacturer_name asc, under_way.model asc, under_way.device_type asc, under_way.file_version asc
