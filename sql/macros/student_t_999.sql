-- The 99.9 % quantile of Student's t distribution; a table up to 30 degrees of freedom, Cornish-Fisher expansion above.
-- (The table is one text, because thirty literals take ten times as long to plan.)
-- Source: Abramowitz and Stegun, Handbook of Mathematical Functions, 26.7.5; above 30 it is exact to 5 digits.
create or replace macro student_t_999(degrees_of_freedom) as
case
    when degrees_of_freedom < 1 then null
    when degrees_of_freedom <= 30
        then
            list_extract(
                cast(
                    '['
                    '318.308838986, 22.327124770, 10.214531852, 7.173182220, 5.893429531, 5.207626239, 4.785289629, 4.500790934, 4.296805663, 4.143700494, '
                    '4.024701038, 3.929633265, 3.851982391, 3.787390238, 3.732834425, 3.686154793, 3.645767380, 3.610484885, 3.579400149, 3.551808343, '
                    '3.527153669, 3.504992031, 3.484964375, 3.466777298, 3.450188727, 3.434997182, 3.421033621, 3.408155178, 3.396240288, 3.385184867]'
                    as double[]
                ),
                cast(degrees_of_freedom as integer)
            )
    else
        3.090232306168
        + 8.150129013502 / degrees_of_freedom
        + 19.692528943930 / degrees_of_freedom ** 2
        + 36.154041365932 / degrees_of_freedom ** 3
        + 48.574581646182 / degrees_of_freedom ** 4
end
