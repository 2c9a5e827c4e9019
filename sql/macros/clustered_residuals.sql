-- Sum over tasks of (success - rate * finished) squared: how far the tasks lie from the rate of them all.
-- Takes the struct of `clustered_sums`.
create or replace macro clustered_residuals(sums) as greatest(
    0.0,
    sums.success_squared
    - 2 * sums.success / sums.finished * sums.success_finished
    + (sums.success / sums.finished) ** 2 * sums.finished_squared
)
