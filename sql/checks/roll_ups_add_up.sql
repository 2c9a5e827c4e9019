-- Every roll-up holds every task once, and every successful device.
-- severity: error
-- share of: marts.operation_outcomes
with roll_ups as (
    select
        'success_by_day' as roll_up,
        sum(operations) as operations,
        sum(success) as success
    from marts.success_by_day
    union all
    select
        'success_by_group' as roll_up,
        sum(operations) as operations,
        sum(success) as success
    from marts.success_by_group
    union all
    select
        'success_by_manufacturer' as roll_up,
        sum(operations) as operations,
        sum(success) as success
    from marts.success_by_manufacturer
    union all
    select
        'success_by_model' as roll_up,
        sum(operations) as operations,
        sum(success) as success
    from marts.success_by_model
    union all
    select
        'success_by_model_version' as roll_up,
        sum(operations) as operations,
        sum(success) as success
    from marts.success_by_model_version
    union all
    select
        'success_by_month' as roll_up,
        sum(operations) as operations,
        sum(success) as success
    from marts.success_by_month
    union all
    select
        'success_by_policy' as roll_up,
        sum(operations) as operations,
        sum(success) as success
    from marts.success_by_policy
    union all
    select
        'success_by_type' as roll_up,
        sum(operations) as operations,
        sum(success) as success
    from marts.success_by_type
    union all
    select
        'success_by_version' as roll_up,
        sum(operations) as operations,
        sum(success) as success
    from marts.success_by_version
    union all
    select
        'success_by_week' as roll_up,
        sum(operations) as operations,
        sum(success) as success
    from marts.success_by_week
),

outcomes as (
    select
        count(*) as operations,
        sum(success) as success
    from marts.operation_outcomes
)

select
    roll_ups.roll_up,
    roll_ups.operations,
    roll_ups.success,
    outcomes.operations as operations_expected,
    outcomes.success as success_expected
from roll_ups
cross join outcomes
where
    coalesce(roll_ups.operations, 0) <> outcomes.operations
    or coalesce(roll_ups.success, 0) <> coalesce(outcomes.success, 0)
