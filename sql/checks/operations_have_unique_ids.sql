-- A task stands in core.operations once.
-- severity: error
-- share of: core.operations
select
    operation_id,
    count(*) as rows_found
from core.operations
group by operation_id
having count(*) > 1
