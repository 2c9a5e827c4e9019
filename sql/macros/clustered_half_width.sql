-- Half of the 95 % interval of a success rate where the devices of one task fail together: the ratio estimator over
-- tasks, with its linearized variance and a t interval with one degree of freedom less than there are tasks.
-- Takes the struct of `clustered_sums`; null below two tasks with finished devices.
-- Source: W. G. Cochran, Sampling Techniques, 3rd edition (1977), 6.3 and 6.5 (without finite population correction).
create or replace macro clustered_half_width(sums) as
case
    when sums.tasks >= 2 then
        student_t_975(sums.tasks - 1)
        * sqrt(sums.tasks / (sums.tasks - 1.0) * clustered_residuals(sums))
        / sums.finished
end
