-- The sums of `success_sums` over tasks whose counters are given as a struct, null for a task that does not count.
-- An aggregate over marts.outcomes_at_age.
create or replace macro success_sums_of(counters) as success_sums(
    counters.total,
    counters.wait,
    counters.processing,
    counters.success,
    counters.fail,
    counters.stop,
    counters.timeout,
    is_counted := counters is not null
)
