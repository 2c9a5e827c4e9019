-- Targets, policies, results and history have one row per key.
-- severity: error
-- share of: core.operation_targets
-- Repeats are looked for within each task: grouping millions of targets by their whole key takes ten times the memory.
select
    'operation_targets' as table_name,
    operation_id
from core.operation_targets
group by operation_id
having count(*) > len(list_distinct(list(position * 2 + cast(target_type = 'device' as integer))))
union all
select
    'operation_policies' as table_name,
    operation_id
from core.operation_policies
group by operation_id
having count(*) > 1
union all
select
    'operation_results' as table_name,
    operation_id
from core.operation_results
group by operation_id
having count(*) > 1
union all
select
    'operation_history' as table_name,
    operation_id
from core.operation_history
group by operation_id
having count(*) > len(list_distinct(list(sync_id)))
