-- The last sync met as many tasks as the platform says there are.
-- severity: warning
select
    sync_id,
    grade,
    total_after
from marts.snapshot
where grade = 'unproven'
