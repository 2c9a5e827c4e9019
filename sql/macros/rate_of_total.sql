-- Share of all devices that succeeded so far; null when total is 0. It is low while a rollout is under way.
create or replace macro rate_of_total(success, total) as case when total > 0 then success / cast(total as double) end
