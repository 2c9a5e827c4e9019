-- What a batch of syncs adds to history.
-- grain: one task and sync whose status or counters differ from the ones met before
-- Counters are null where the record had no staResult.
select
    observations.operation_id,
    observations.observed_at,
    observations.sync_id,
    records.status,
    case when records.has_result then records.total end as total,
    case when records.has_result then records.wait end as wait,
    case when records.has_result then records.processing end as processing,
    case when records.has_result then records.success end as success,
    case when records.has_result then records.fail end as fail,
    case when records.has_result then records.stop end as stop,
    case when records.has_result then records.timeout end as timeout
from observations
inner join records on observations.position = records.position
where observations.has_new_state
