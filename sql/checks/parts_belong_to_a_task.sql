-- Targets, policies, results and history belong to a task.
-- severity: error
-- share of: core.operation_targets
with parts as (
    select distinct
        'operation_targets' as table_name,
        operation_id
    from core.operation_targets
    union all
    select
        'operation_policies' as table_name,
        operation_id
    from core.operation_policies
    union all
    select
        'operation_results' as table_name,
        operation_id
    from core.operation_results
    union all
    select distinct
        'operation_history' as table_name,
        operation_id
    from core.operation_history
)

select
    table_name,
    operation_id
from parts
anti join core.operations using (operation_id)
