-- Upper end of the clustered 95 % interval of a success rate; 1 below two tasks with finished devices.
-- Takes the struct of `clustered_sums`. Never below the Wilson interval's upper end.
create or replace macro clustered_upper(sums) as
case
    when sums.tasks < 2 then 1.0
    else least(
        1.0,
        greatest(sums.success / sums.finished + clustered_half_width(sums), wilson_upper(sums.success, sums.finished))
    )
end
