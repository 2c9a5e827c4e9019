-- The last sync met as many tasks as the platform says there are.
-- severity: warning
-- share of: marts.snapshot
select
    sync_id,
    grade,
    total_after
from marts.snapshot
where grade = 'unproven'
