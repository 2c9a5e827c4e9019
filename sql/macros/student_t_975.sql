-- The 97.5 % quantile of Student's t distribution; a table up to 30 degrees of freedom, Cornish-Fisher expansion above.
-- (The table is one text, because thirty literals take ten times as long to plan.)
-- Source: Abramowitz and Stegun, Handbook of Mathematical Functions, 26.7.5; above 30 it is exact to 6 digits.
create or replace macro student_t_975(degrees_of_freedom) as
case
    when degrees_of_freedom < 1 then null
    when degrees_of_freedom <= 30
        then
            list_extract(
                cast(
                    '['
                    '12.706204736, 4.302652730, 3.182446305, 2.776445105, 2.570581836, 2.446911851, 2.364624252, 2.306004135, 2.262157163, 2.228138852, '
                    '2.200985160, 2.178812830, 2.160368656, 2.144786688, 2.131449546, 2.119905299, 2.109815578, 2.100922040, 2.093024054, 2.085963447, '
                    '2.079613845, 2.073873068, 2.068657610, 2.063898562, 2.059538553, 2.055529439, 2.051830516, 2.048407142, 2.045229642, 2.042272456]'
                    as double[]
                ),
                cast(degrees_of_freedom as integer)
            )
    else
        1.959963984540
        + 2.372271230 / degrees_of_freedom
        + 2.822498616 / degrees_of_freedom ** 2
        + 2.555849680 / degrees_of_freedom ** 3
        + 1.589534054 / degrees_of_freedom ** 4
end
