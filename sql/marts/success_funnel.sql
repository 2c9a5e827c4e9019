-- Where each model × version stands in the funnel of its peers: how far its success rate may lie from theirs by chance.
-- grain: one operation type, manufacturer, model, device type and version with at least 30 finished devices in 3 tasks
-- parameters: since, until
-- Peers are all such groups of the same operation type. Limits are the 99.8 % ones around the peers' common rate, on the
-- arcsine scale. They widen for two reasons beside size: devices of one task fail together (the design effect from the
-- correlation within tasks, pooled over the peers), and peers differ by more than chance (the variance between them, from
-- winsorized z scores, so that the bad ones don't hide themselves).
-- Source: D. J. Spiegelhalter, Funnel plots for comparing institutional performance, Statistics in Medicine 24 (2005),
-- 1185-1202, and Handling over-dispersion of performance indicators, Qual Saf Health Care 14 (2005), 347-351; the design
-- effect as in A. Donner and N. Klar, Design and Analysis of Cluster Randomization Trials (2000), 1.2.
with sums as (
    select
        operation_type,
        manufacturer_name,
        model,
        device_type,
        file_version,
        count(*) as operations,
        clustered_sums(success, finished) as sums
    from marts.operation_outcomes
    where created_between(created_at, since, until)
    group by operation_type, manufacturer_name, model, device_type, file_version
),

compared as (
    select
        operation_type,
        manufacturer_name,
        model,
        device_type,
        file_version,
        operations,
        sums.tasks,
        sums.success,
        sums.finished,
        sums.finished_squared,
        sums.success / sums.finished as rate,
        sums.tasks / (sums.tasks - 1.0) * clustered_residuals(sums) as residuals
    from sums
    where
        sums.finished >= 30
        and sums.tasks >= 3
),

peers as (
    select
        operation_type,
        count(*) as comparisons,
        sum(success) / sum(finished) as peer_rate,
        greatest(
            0.0,
            least(
                1.0,
                sum(residuals - finished * rate * (1 - rate)) / nullif(sum((finished_squared - finished) * rate * (1 - rate)), 0)
            )
        ) as correlation
    from compared
    group by operation_type
),

errors as (
    select
        compared.*,
        peers.comparisons,
        peers.peer_rate,
        1 + (compared.finished_squared / compared.finished - 1) * coalesce(peers.correlation, 0) as design_effect,
        sqrt((1 + (compared.finished_squared / compared.finished - 1) * coalesce(peers.correlation, 0)) / (4 * compared.finished)) as error
    from compared
    inner join peers on compared.operation_type is not distinct from peers.operation_type
),

scores as (
    select
        *,
        (asin(sqrt(rate)) - asin(sqrt(peer_rate))) / error as z
    from errors
),

bounds as (
    select
        operation_type,
        quantile_cont(z, [0.1, 0.9]) as ends
    from scores
    group by operation_type
),

dispersions as (
    select
        scores.operation_type,
        avg(least(greatest(scores.z, bounds.ends[1]), bounds.ends[2]) ** 2) as dispersion,
        greatest(
            0.0,
            (sum(least(greatest(scores.z, bounds.ends[1]), bounds.ends[2]) ** 2) - (count(*) - 1))
            / nullif(sum(1 / scores.error ** 2) - sum(1 / scores.error ** 4) / sum(1 / scores.error ** 2), 0)
        ) as variance_between
    from scores
    inner join bounds on scores.operation_type is not distinct from bounds.operation_type
    group by scores.operation_type
),

widths as (
    select
        scores.*,
        dispersions.dispersion,
        coalesce(dispersions.variance_between, 0) as variance_between,
        3.090232306168 * sqrt(scores.error ** 2 + coalesce(dispersions.variance_between, 0)) as half_width
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
    half_width / 3.090232306168 as standard_error, -- of one group's rate around its peers', on the arcsine scale
    design_effect, -- how much more the rate varies because devices of one task fail together
    dispersion, -- mean square of the peers' winsorized z scores: 1 where they differ by chance only
    variance_between, -- variance between peers beyond chance, on the arcsine scale
    comparisons, -- groups that were compared; by chance alone 0.1 % of them lie below the funnel
    asin(sqrt(rate)) < asin(sqrt(peer_rate)) - half_width as is_below, -- worse than chance explains
    asin(sqrt(rate)) > asin(sqrt(peer_rate)) + half_width as is_above -- better than chance explains
from widths
order by operation_type, manufacturer_name, model, device_type, file_version
