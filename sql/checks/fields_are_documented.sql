-- Records have no field that the API's documents don't know: one that appears may be what somebody waits for.
-- severity: warning
-- share of: core.syncs
-- Looks back to the last full sync, because an incremental one reads few records; some of each page are searched.
with last_full as (
    select coalesce(max(sync_id), 0) as sync_id
    from core.syncs
    where mode = 'full'
),

recent as (
    select
        syncs.sync_id,
        syncs.started_at,
        unnest(syncs._undocumented_fields) as field
    from core.syncs as syncs
    inner join last_full on syncs.sync_id >= last_full.sync_id
)

select
    field,
    min(started_at) as since,
    min(sync_id) as first_sync_id
from recent
group by field
