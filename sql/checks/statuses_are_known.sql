-- Every task has one of the documented statuses and types.
-- severity: warning
-- share of: core.operations
select
    operation_id,
    status_text,
    operation_type
from core.operations
where
    coalesce(status, '') not in ('wait', 'processing', 'success', 'failed', 'stop')
    or coalesce(operation_type, '') not in ('firmware_upgrade', 'software_upgrade')
