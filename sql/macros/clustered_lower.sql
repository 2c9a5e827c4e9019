-- Lower end of the clustered 95 % interval of a success rate; 0 below two tasks with finished devices.
-- An aggregate over tasks. Never above the Wilson interval's lower end.
create or replace macro clustered_lower(success, finished) as
case
    when count(*) filter (where finished > 0) < 2 then 0.0
    else greatest(0.0, least(
        sum(success) / cast(sum(finished) as double) - clustered_half_width(success, finished),
        wilson_lower(sum(success), sum(finished))
    ))
end
