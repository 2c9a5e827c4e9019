-- Whether the success rate of a week differs from the usual by more than the usual coming and going: a p′ chart by type.
-- grain: one operation type and week of creation, from Monday (UTC), with finished devices
-- key: operation_type, created_week
-- parameters: since, until
-- Limits are three standard errors of a proportion around the mean rate, times the spread that weeks show from one to the
-- next: with millions of devices a plain p chart would put every week outside. The week under way is shown, and takes no
-- part in centre and spread. Below two whole weeks there are no limits, nor where all devices of them fared alike.
-- Source: D. B. Laney, Improved control charts for attributes, Quality Engineering 14 (2002), 531-537.
with weeks as (
    select
        operation_type,
        created_week,
        count(*) as operations,
        sum(success) as success,
        sum(finished) as finished,
        created_week + interval 7 day > (select max(syncs.finished_at) from core.syncs as syncs) as is_under_way
    from marts.operation_outcomes
    where created_between(created_at, since, until)
    group by operation_type, created_week
    having sum(finished) > 0
),

centres as (
    select
        operation_type,
        sum(success) / sum(finished) as centre
    from weeks
    where not is_under_way
    group by operation_type
),

scores as (
    select
        weeks.operation_type,
        weeks.created_week,
        (weeks.success / weeks.finished - centres.centre) / nullif(sqrt(centres.centre * (1 - centres.centre) / weeks.finished), 0) as z
    from weeks
    inner join centres on weeks.operation_type is not distinct from centres.operation_type
    where not weeks.is_under_way
),

ranges as (
    select
        operation_type,
        abs(z - lag(z) over (partition by operation_type order by created_week)) as moving_range
    from scores
),

-- 1.128 is the mean range of two standard normal values.
spreads as (
    select
        operation_type,
        avg(moving_range) / 1.128 as spread
    from ranges
    group by operation_type
),

limits as (
    select
        weeks.*,
        centres.centre,
        spreads.spread,
        3 * spreads.spread * sqrt(centres.centre * (1 - centres.centre) / weeks.finished) as half_width
    from weeks
    left join centres on weeks.operation_type is not distinct from centres.operation_type
    left join spreads on weeks.operation_type is not distinct from spreads.operation_type
)

select
    operation_type, -- firmware_upgrade or software_upgrade
    created_week, -- Monday of the week of creation, UTC
    operations, -- upgrade tasks
    cast(finished as bigint) as finished, -- success + fail + timeout
    cast(success as bigint) as success, -- devices upgraded
    success / finished as success_rate, -- success / finished
    centre, -- success / finished of all whole weeks
    case when half_width is not null then greatest(0.0, centre - half_width) end as lower_limit, -- three standard errors below, times the spread
    case when half_width is not null then least(1.0, centre + half_width) end as upper_limit, -- three standard errors above, times the spread
    spread, -- how much more weeks vary than independent devices would: 1 on a plain p chart
    is_under_way, -- true while the week is not over: its slow upgrades are still to come
    coalesce(success / finished < centre - half_width or success / finished > centre + half_width, false) as is_outside -- beyond a limit
from limits
order by operation_type, created_week
