-- What a rate's interval says about a target: too_few to tell, ok (surely at or above), bad (surely below), else watch.
create or replace macro verdict(lower, upper, finished, operations_finished, target) as
case
    when coalesce(finished, 0) < 30 or coalesce(operations_finished, 0) < 3 then 'too_few'
    when lower >= target then 'ok'
    when upper < target then 'bad'
    else 'watch'
end
