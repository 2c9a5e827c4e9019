-- Every record that was met is a task; those that are not are in no rate.
-- severity: warning
-- share of: core.operations
select
    operation_id,
    reason,
    last_sync_id
from core.quarantine
