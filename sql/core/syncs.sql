-- What a batch of syncs was, and what it brought.
-- grain: one sync
with changes as (
    select
        sync_id,
        count(*) filter (where is_first) as operations_new,
        count(*) filter (where has_new_content and not is_first) as operations_changed
    from observations
    group by sync_id
)

select
    manifests.sync_id,
    manifests.mode,
    manifests.grade,
    manifests.started_at,
    manifests.finished_at,
    manifests.api_calls,
    manifests.pages,
    manifests.records,
    coalesce(changes.operations_new, 0) as operations_new,
    coalesce(changes.operations_changed, 0) as operations_changed,
    manifests.total_after,
    manifests.quarantined,
    manifests._undocumented_fields
from manifests
left join changes on manifests.sync_id = changes.sync_id
