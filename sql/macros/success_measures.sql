-- All that a roll-up of tasks tells, as one struct to unnest; its verdict is `success_verdict`. Takes the struct of
-- `success_sums`, so that every rate is sum over sum, never a mean of rates.
create or replace macro success_measures(sums) as {
    'operations': sums.operations, -- upgrade tasks
    'operations_finished': sums.clustered.tasks, -- tasks with at least one finished device
    'total': sums.total, -- devices that the tasks operate on
    'wait': sums.wait, -- devices waiting
    'processing': sums.processing, -- devices being upgraded
    'success': sums.success, -- devices upgraded
    'fail': sums.fail, -- devices that failed, timeouts apart
    'stop': sums.stop, -- devices stopped
    'timeout': sums.timeout, -- devices that timed out
    'finished': sums.finished, -- success + fail + timeout
    'success_rate': success_rate(sums.success, sums.fail, sums.timeout), -- success / finished; null when nothing finished
    'success_rate_lower': wilson_lower(sums.success, sums.finished), -- lower end of the 95 % Wilson interval
    'success_rate_upper': wilson_upper(sums.success, sums.finished), -- upper end of the 95 % Wilson interval
    'clustered_lower': clustered_lower(sums.clustered), -- lower end where devices of one task fail together
    'clustered_upper': clustered_upper(sums.clustered), -- upper end where devices of one task fail together
    'rate_of_total': rate_of_total(sums.success, sums.total) -- success / total; null when total is 0
}
