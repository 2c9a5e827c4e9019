-- All that a roll-up of tasks tells, as one struct: `select model, unnest(success_measures(...)) … group by model`.
-- An aggregate over marts.operation_outcomes; rates are sum over sum, never a mean of rates.
create or replace macro success_measures(total, wait, processing, success, fail, stop, timeout) as {
    'operations': count(*), -- upgrade tasks
    'operations_finished': count(*) filter (where success + fail + timeout > 0), -- tasks with at least one finished device
    'total': cast(coalesce(sum(total), 0) as bigint), -- devices that the tasks operate on
    'wait': cast(coalesce(sum(wait), 0) as bigint), -- devices waiting
    'processing': cast(coalesce(sum(processing), 0) as bigint), -- devices being upgraded
    'success': cast(coalesce(sum(success), 0) as bigint), -- devices upgraded
    'fail': cast(coalesce(sum(fail), 0) as bigint), -- devices that failed, timeouts apart
    'stop': cast(coalesce(sum(stop), 0) as bigint), -- devices stopped
    'timeout': cast(coalesce(sum(timeout), 0) as bigint), -- devices that timed out
    'finished': cast(coalesce(sum(success + fail + timeout), 0) as bigint), -- success + fail + timeout
    'success_rate': success_rate(sum(success), sum(fail), sum(timeout)), -- success / finished; null when nothing finished
    'success_rate_lower': wilson_lower(sum(success), sum(success + fail + timeout)), -- lower end of the 95 % Wilson interval
    'success_rate_upper': wilson_upper(sum(success), sum(success + fail + timeout)), -- upper end of the 95 % Wilson interval
    'clustered_lower': clustered_lower(success, success + fail + timeout), -- lower end where devices of one task fail together
    'clustered_upper': clustered_upper(success, success + fail + timeout), -- upper end where devices of one task fail together
    'rate_of_total': rate_of_total(sum(success), sum(total)), -- success / total; null when total is 0
    'verdict': verdict( -- ok, watch, bad or too_few: the clustered interval against the target
        clustered_lower(success, success + fail + timeout),
        clustered_upper(success, success + fail + timeout),
        sum(success + fail + timeout),
        count(*) filter (where success + fail + timeout > 0),
        target_success_rate()
    )
}
