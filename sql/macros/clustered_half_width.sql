-- Half of the 95 % interval of a success rate where the devices of one task fail together: the ratio estimator over
-- tasks, with its linearized variance and a t interval with one degree of freedom less than there are tasks.
-- An aggregate over tasks; null below two tasks with finished devices.
-- Source: W. G. Cochran, Sampling Techniques, 3rd edition (1977), 6.3 and 6.5 (without finite population correction).
create or replace macro clustered_half_width(success, finished) as
case
    when count(*) filter (where finished > 0) >= 2 then
        student_t_975(count(*) filter (where finished > 0) - 1)
        * sqrt(
            count(*) filter (where finished > 0) / (count(*) filter (where finished > 0) - 1.0)
            * greatest(
                0.0,
                sum(cast(success as double) ** 2)
                - 2 * sum(success) / cast(sum(finished) as double) * sum(cast(success as double) * finished)
                + (sum(success) / cast(sum(finished) as double)) ** 2 * sum(cast(finished as double) ** 2)
            )
        ) / sum(finished)
end
