-- The platform writes statuses, types and policies as it did before this week.
-- severity: warning
-- share of: core.operations
-- A spelling is new if no task that was first met more than seven days before the last sync has it; in a warehouse that
-- is younger than that, none is.
with spellings as (
    select
        'status' as field,
        status_text as spelling,
        _first_observed_at as first_observed_at
    from core.operations
    union all
    select
        'operateType' as field,
        operation_type as spelling,
        _first_observed_at as first_observed_at
    from core.operations
    union all
    select
        'policy.executeType' as field,
        policies.execute_type as spelling,
        operations._first_observed_at as first_observed_at
    from core.operation_policies as policies
    inner join core.operations as operations on policies.operation_id = operations.operation_id
),

week as (
    select max(finished_at) - interval 7 day as started_at
    from core.syncs
)

select
    spellings.field,
    spellings.spelling,
    min(spellings.first_observed_at) as first_observed_at,
    count(*) as tasks
from spellings
cross join week
where spellings.spelling is not null
group by spellings.field, spellings.spelling, week.started_at
having
    min(spellings.first_observed_at) >= week.started_at
    and week.started_at >= (select min(syncs.finished_at) from core.syncs as syncs)
