-- No task stopped before it started, or started before it was created.
-- severity: warning
-- share of: core.operations
select
    operation_id,
    created_at,
    started_at,
    stopped_at
from core.operations
where
    stopped_at < started_at
    or stopped_at < created_at
    or started_at < created_at
