-- Share of the finished devices that succeeded; null when nothing finished. Give sums to get the rate of a group.
create or replace macro success_rate(success, fail, timeout) as
case when cast(success as double) + fail + timeout > 0 then success / (cast(success as double) + fail + timeout) end
