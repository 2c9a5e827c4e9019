-- How well upgrades had succeeded when their tasks were 1 hour, 6 hours, 1 day and 7 days old, by model and version: a
-- young rollout beside an old one at equal age.
-- grain: one manufacturer, model, device type, version and age
-- key: manufacturer_name, model, device_type, file_version, age_hours
-- parameters: since, until
-- Which tasks count at an age, and with what counters: marts.outcomes_at_age. The others are left out and counted
-- beside it: a warehouse that meets old tasks for the first time knows nothing of their youth.
with last_look as (
    select coalesce(max(finished_at), '-infinity') as finished_at
    from core.syncs
    where mode <> 'interrupted'
),

sums as (
    select
        tasks.manufacturer_name,
        tasks.model,
        tasks.device_type,
        tasks.file_version,
        count(*) as operations,
        [
            {
                'hours': 1,
                'too_young': count(*) filter (where tasks.created_at + to_hours(1) > last_look.finished_at),
                'sums': success_sums_of(tasks.at_1_hour)
            },
            {
                'hours': 6,
                'too_young': count(*) filter (where tasks.created_at + to_hours(6) > last_look.finished_at),
                'sums': success_sums_of(tasks.at_6_hours)
            },
            {
                'hours': 24,
                'too_young': count(*) filter (where tasks.created_at + to_hours(24) > last_look.finished_at),
                'sums': success_sums_of(tasks.at_1_day)
            },
            {
                'hours': 168,
                'too_young': count(*) filter (where tasks.created_at + to_hours(168) > last_look.finished_at),
                'sums': success_sums_of(tasks.at_7_days)
            }
        ] as ages
    from marts.outcomes_at_age as tasks
    cross join last_look
    where created_between(tasks.created_at, since, until)
    group by tasks.manufacturer_name, tasks.model, tasks.device_type, tasks.file_version
),

by_age as (
    select
        manufacturer_name,
        model,
        device_type,
        file_version,
        operations,
        unnest(ages) as age
    from sums
),

measures as (
    select
        manufacturer_name,
        model,
        device_type,
        file_version,
        age.hours as age_hours,
        age.too_young as operations_too_young,
        operations - age.too_young - age.sums.operations as operations_not_observed,
        success_measures(age.sums) as measures
    from by_age
)

select
    manufacturer_name, -- manufacturer of the targets
    model, -- model of the targets
    device_type, -- device type of the targets
    file_version, -- version that the task installs
    age_hours, -- age of the tasks: 1, 6, 24 or 168 hours
    operations_too_young, -- tasks that are not that old yet: in no number of this row
    operations_not_observed, -- tasks that were not met, or not looked at, around that age: in no number of this row
    unnest(measures),
    success_verdict(measures) as verdict -- ok, watch, bad or too_few: the clustered interval against the target
from measures
order by manufacturer_name, model, device_type, file_version, age_hours
