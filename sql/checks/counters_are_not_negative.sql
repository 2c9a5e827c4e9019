-- No counter is below 0: broken ones are set aside before they come here.
-- severity: error
-- share of: core.operation_results
select
    operation_id,
    total,
    wait,
    processing,
    success,
    fail,
    stop,
    timeout
from core.operation_results
where least(total, wait, processing, success, fail, stop, timeout, fail_as_received) < 0
