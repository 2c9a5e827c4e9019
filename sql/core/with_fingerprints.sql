-- Two fingerprints beside each row: `content` of all that is flattened of a record, `state` of status and counters.
-- Fingerprints are compared within one run only.
-- grain: one row of the relation
-- parameters: relation
select
    *,
    hash(
        operation_type, status_text, created_at, started_at, stopped_at, device_type, model, manufacturer_name, extend_para,
        extend_para is null, broken_fields, targets_fingerprint, has_policy, execute_type, start_at, end_at, retry_enabled, retry_times,
        has_result, total, wait, processing, success, stop, timeout, total_is_derived, fail_as_received
    ) as content,
    hash(status, has_result, total, wait, processing, success, fail, stop, timeout) as state
from query_table(relation)
