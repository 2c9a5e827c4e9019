-- The sums that all measures of a roll-up are made from, as one struct.
-- An aggregate over marts.operation_outcomes. A row for which `is_counted` is false must have no counters.
create or replace macro success_sums(total, wait, processing, success, fail, stop, timeout, is_counted := true) as {
    'operations': count(*) filter (where is_counted),
    'total': cast(coalesce(sum(total), 0) as bigint),
    'wait': cast(coalesce(sum(wait), 0) as bigint),
    'processing': cast(coalesce(sum(processing), 0) as bigint),
    'success': cast(coalesce(sum(success), 0) as bigint),
    'fail': cast(coalesce(sum(fail), 0) as bigint),
    'stop': cast(coalesce(sum(stop), 0) as bigint),
    'timeout': cast(coalesce(sum(timeout), 0) as bigint),
    'finished': finished(
        cast(coalesce(sum(success), 0) as bigint),
        cast(coalesce(sum(fail), 0) as bigint),
        cast(coalesce(sum(timeout), 0) as bigint)
    ),
    'clustered': clustered_sums(success, success + fail + timeout)
}
