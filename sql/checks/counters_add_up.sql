-- The counters of a task add up to its total, with timeouts inside fail or beside it.
-- severity: warning
-- share of: core.operation_results
select
    operation_id,
    total,
    wait,
    processing,
    success,
    fail_as_received,
    stop,
    timeout
from core.operation_results
where total not in (
    wait + processing + success + fail_as_received + stop,
    wait + processing + success + fail_as_received + stop + timeout
)
