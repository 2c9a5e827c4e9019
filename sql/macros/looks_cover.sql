-- Whether two consecutive looks at something that began at `started_at` leave no moment between them unobserved: at each,
-- of age a, one of them is within an hour, or within 10 % of a where that is more. So it is where the later one came at
-- an age of at most an hour, or at most two hours after the earlier one, or at most at 11/9 of its age. A look before
-- that is null never was, one after that is null has not come.
-- For: the earlier look reaches to the age greatest(before + 1 h, before / 0.9), the later one back to
-- least(after - 1 h, after / 1.1); what is left out are the ages between these two that are not below 0.
create or replace macro looks_cover(started_at, look_before, look_after) as
coalesce(
    look_after <= started_at + interval 1 hour
    or look_after <= look_before + interval 2 hour
    or 9 * (epoch_us(look_after) - epoch_us(started_at)) <= 11 * (epoch_us(look_before) - epoch_us(started_at)),
    false
)
