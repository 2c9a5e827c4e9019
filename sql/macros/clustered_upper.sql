-- Upper end of the clustered 95 % interval of a success rate; 1 below two tasks with finished devices.
-- An aggregate over tasks. Never below the Wilson interval's upper end.
create or replace macro clustered_upper(success, finished) as
case
    when count(*) filter (where finished > 0) < 2 then 1.0
    else least(1.0, greatest(
        sum(success) / cast(sum(finished) as double) + clustered_half_width(success, finished),
        wilson_upper(sum(success), sum(finished))
    ))
end
