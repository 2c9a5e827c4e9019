-- Where each model × version stands in the funnel of its peers: how far its success rate may lie from theirs by chance.
-- grain: one operation type, manufacturer, model, device type and version with at least 30 finished devices in 3 tasks
-- key: operation_type, manufacturer_name, model, device_type, file_version
-- parameters: since, until
-- Peers are all such groups of the same operation type. Limits are the 99.8 % ones around the peers' common rate, on the
-- arcsine scale. They widen for two reasons beside size: devices of one task fail together (the design effect from the
-- correlation within tasks, pooled over the peers), and peers differ by more than chance (the variance between them, from
-- winsorized z scores, so that the bad ones don't hide themselves; divided by what winsorizing takes away, and with the t
-- quantile of an estimated variance, else up to 0.8 % would lie below by chance where peers truly differ, not 0.1 %).
-- Source: D. J. Spiegelhalter, Funnel plots for comparing institutional performance, Statistics in Medicine 24 (2005),
-- 1185-1202, and Handling over-dispersion of performance indicators, Qual Saf Health Care 14 (2005), 347-351; the design
-- effect as in A. Donner and N. Klar, Design and Analysis of Cluster Randomization Trials (2000), 1.2; the correlation by
-- analysis of variance as in M. S. Ridout, C. G. B. Demetrio and D. Firth, Estimating intraclass correlation for binary
-- data, Biometrics 55 (1999), 137-148; t with peers - 2 degrees of freedom as in J. P. T. Higgins, S. G. Thompson and
-- D. J. Spiegelhalter, A re-evaluation of random-effects meta-analysis, JRSS A 172 (2009), 137-159.
-- How often it is right and wrong: docs/metrics.md.
with sums as (
    select
        operation_type,
        manufacturer_name,
        model,
        device_type,
        file_version,
        count(*) as operations,
        count(*) filter (where finished > 0) as tasks,
        cast(sum(success) as double) as success,
        cast(sum(finished) as double) as finished,
        sum(cast(finished as double) ** 2) as finished_squared,
        sum(cast(success as double) ** 2 / nullif(finished, 0)) as success_squared_by_finished
    from marts.operation_outcomes
    where created_between(created_at, since, until)
    group by operation_type, manufacturer_name, model, device_type, file_version
),

compared as (
    select
        *,
        success / finished as rate
    from sums
    where
        finished >= 30
        and tasks >= 3
),

peers as (
    select
        operation_type,
        count(*) as comparisons,
        sum(success) / sum(finished) as peer_rate,
        sum(success_squared_by_finished - success ** 2 / finished) / sum(tasks - 1) as mean_square_between,
        sum(success - success_squared_by_finished) / nullif(sum(finished - tasks), 0) as mean_square_within,
        sum(finished - finished_squared / finished) / sum(tasks - 1) as task_size
    from compared
    group by operation_type
),

correlations as (
    select
        operation_type,
        comparisons,
        peer_rate,
        coalesce(
            greatest(
                0.0,
                (mean_square_between - mean_square_within) / nullif(mean_square_between + (task_size - 1) * mean_square_within, 0)
            ),
            0.0
        ) as correlation
    from peers
),

errors as (
    select
        compared.*,
        correlations.comparisons,
        correlations.peer_rate,
        correlations.correlation,
        1 + (compared.finished_squared / compared.finished - 1) * correlations.correlation as design_effect
    from compared
    inner join correlations on compared.operation_type is not distinct from correlations.operation_type
),

scores as (
    select
        *,
        sqrt(design_effect / (4 * finished)) as error,
        (asin(sqrt(rate)) - asin(sqrt(peer_rate))) / sqrt(design_effect / (4 * finished)) as z
    from errors
),

bounds as (
    select
        operation_type,
        quantile_cont(z, [0.1, 0.9]) as ends
    from scores
    group by operation_type
),

-- 0.678655 is the mean square of a standard normal value that is winsorized at its 10 % and 90 % quantiles.
dispersions as (
    select
        scores.operation_type,
        avg(least(greatest(scores.z, bounds.ends[1]), bounds.ends[2]) ** 2) as dispersion,
        greatest(
            0.0,
            (sum(least(greatest(scores.z, bounds.ends[1]), bounds.ends[2]) ** 2) / 0.678654558953 - (count(*) - 1))
            / nullif(sum(1 / scores.error ** 2) - sum(1 / scores.error ** 4) / sum(1 / scores.error ** 2), 0)
        ) as variance_between,
        student_t_999(greatest(1, count(*) - 2)) as t_quantile
    from scores
    inner join bounds on scores.operation_type is not distinct from bounds.operation_type
    group by scores.operation_type
),

-- Chance has the normal quantile, because its variance is known; the variance between peers has that of t.
widths as (
    select
        scores.*,
        dispersions.dispersion,
        coalesce(dispersions.variance_between, 0) as variance_between,
        sqrt(
            (3.090232306168 * scores.error) ** 2 + dispersions.t_quantile ** 2 * coalesce(dispersions.variance_between, 0)
        ) as half_width
    from scores
    inner join dispersions on scores.operation_type is not distinct from dispersions.operation_type
)

select
    operation_type, -- firmware_upgrade or software_upgrade
    manufacturer_name, -- manufacturer of the targets
    model, -- model of the targets
    device_type, -- device type of the targets
    file_version, -- version that the tasks install
    operations, -- upgrade tasks
    tasks as operations_finished, -- tasks with at least one finished device
    cast(finished as bigint) as finished, -- success + fail + timeout
    cast(success as bigint) as success, -- devices upgraded
    rate as success_rate, -- success / finished
    peer_rate, -- success / finished of all peers together
    sin(greatest(0.0, asin(sqrt(peer_rate)) - half_width)) ** 2 as funnel_lower, -- lower 99.8 % limit of the funnel at this size
    sin(least(pi() / 2, asin(sqrt(peer_rate)) + half_width)) ** 2 as funnel_upper, -- upper 99.8 % limit of the funnel at this size
    sqrt(error ** 2 + variance_between) as standard_error, -- of one group's rate around its peers', on the arcsine scale
    correlation, -- of two devices' outcomes in one task, pooled over the peers: 0 where devices fail independently
    design_effect, -- how much more the rate varies because devices of one task fail together
    dispersion, -- mean square of the peers' winsorized z scores: about 0.7 where they differ by chance only
    variance_between, -- variance between peers beyond chance, on the arcsine scale
    comparisons, -- groups that were compared; by chance alone about 0.1 % of them lie below the funnel
    asin(sqrt(rate)) < asin(sqrt(peer_rate)) - half_width as is_below, -- worse than chance explains
    asin(sqrt(rate)) > asin(sqrt(peer_rate)) + half_width as is_above -- better than chance explains; near a rate of 1, small groups get there by chance too
from widths
order by operation_type, manufacturer_name, model, device_type, file_version
