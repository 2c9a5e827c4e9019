-- What is served of the tasks in `records`: their newest state, in the shape of `records` as far as content goes.
-- grain: one task that is served and not yet replaced by this run, of one part of the tasks at a time
with touched as (
    select distinct operation_id
    from records
    where
        operation_id not in (select newest.operation_id from newest)
        and hash(operation_id) % getvariable('parts') = getvariable('part')
),

targets as (
    select
        operation_id,
        sum(hash(target_type, position, target_id)) as targets_fingerprint
    from served.core.operation_targets
    semi join touched using (operation_id)
    group by operation_id
)

select
    operations.operation_id,
    operations._first_observed_at as first_observed_at,
    operations.operation_type,
    operations.status_text,
    operations.status,
    operations.created_at,
    operations.started_at,
    operations.stopped_at,
    operations.device_type,
    operations.model,
    operations.manufacturer_name,
    operations.extend_para,
    operations._broken_fields as broken_fields,
    coalesce(targets.targets_fingerprint, 0) as targets_fingerprint,
    policies.operation_id is not null as has_policy,
    policies.execute_type,
    policies.start_at,
    policies.end_at,
    policies.retry_enabled,
    policies.retry_times,
    results.operation_id is not null as has_result,
    coalesce(results.total, 0) as total,
    coalesce(results.wait, 0) as wait,
    coalesce(results.processing, 0) as processing,
    coalesce(results.success, 0) as success,
    coalesce(results.fail, 0) as fail,
    coalesce(results.stop, 0) as stop,
    coalesce(results.timeout, 0) as timeout,
    coalesce(results.total_is_derived, true) as total_is_derived,
    coalesce(results.fail_as_received, 0) as fail_as_received,
    results.timeout_in_fail
from served.core.operations as operations
semi join touched using (operation_id)
left join targets on operations.operation_id = targets.operation_id
left join served.core.operation_policies as policies on operations.operation_id = policies.operation_id
left join served.core.operation_results as results on operations.operation_id = results.operation_id
