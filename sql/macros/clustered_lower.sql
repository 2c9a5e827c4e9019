-- Lower end of the clustered 95 % interval of a success rate; 0 below two tasks with finished devices.
-- Takes the struct of `clustered_sums`. Never above the Wilson interval's lower end.
create or replace macro clustered_lower(sums) as
case
    when sums.tasks < 2 then 0.0
    else greatest(
        0.0,
        least(sums.success / sums.finished - clustered_half_width(sums), wilson_lower(sums.success, sums.finished))
    )
end
