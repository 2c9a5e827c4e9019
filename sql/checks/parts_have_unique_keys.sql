-- Targets, policies, results and history have one row per key.
-- severity: error
select
    'operation_targets' as table_name,
    operation_id,
    count(*) as rows_found
from core.operation_targets
group by operation_id, target_type, position
having count(*) > 1
union all
select
    'operation_policies' as table_name,
    operation_id,
    count(*) as rows_found
from core.operation_policies
group by operation_id
having count(*) > 1
union all
select
    'operation_results' as table_name,
    operation_id,
    count(*) as rows_found
from core.operation_results
group by operation_id
having count(*) > 1
union all
select
    'operation_history' as table_name,
    operation_id,
    count(*) as rows_found
from core.operation_history
group by operation_id, sync_id
having count(*) > 1
