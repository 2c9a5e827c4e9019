-- grain: one task with a staResult that this run changed
select
    created_month as lake_month,
    operation_id,
    total,
    wait,
    processing,
    success,
    fail,
    stop,
    timeout,
    total_is_derived,
    fail_as_received,
    timeout_in_fail
from tasks
where has_result
