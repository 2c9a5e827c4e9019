-- Active tasks whose counters have stood still for longer than 95 % of their peers ever did.
-- grain: one active, living task
-- key: operation_id
-- window: created_at
-- A task's own standstill is what syncs surely saw: from the one that first met its counters to the last that looked. A
-- peer's is the longest that it can have been: from the last look before the sync that met its counters, to the sync that
-- met others. So a gap between syncs makes no task look stalled. An interrupted sync has not looked at everything, and a
-- task with a custom policy has nothing to do before its window starts.
-- Peers are the ended tasks of the 90 days before the last sync, each with its longest standstill: those of the same
-- type and model, or of the same type where there are fewer than 20. With fewer than 20 there too, nothing is said. Left
-- out is whose standstills are not known: what the first sync met under way, and what was met only after it had ended.
with looks as (
    select
        sync_id,
        max(finished_at) filter (where mode <> 'interrupted') over (order by sync_id rows between unbounded preceding and 1 preceding) as previous_finished_at
    from core.syncs
),

last_look as (
    select max(finished_at) as finished_at
    from core.syncs
    where mode <> 'interrupted'
),

recent as (
    select
        outcomes.operation_id,
        outcomes.operation_type,
        outcomes.manufacturer_name,
        outcomes.model,
        outcomes.device_type,
        outcomes.created_at,
        outcomes.status in ('wait', 'processing') as is_active
    from marts.operation_outcomes as outcomes
    cross join last_look
    where
        (outcomes.status in ('wait', 'processing') and outcomes.removed_at is null)
        or (
            outcomes.status in ('success', 'failed', 'stop')
            and outcomes.created_at >= last_look.finished_at - interval 90 day
            and outcomes.first_observed_at < coalesce(outcomes.stopped_at, last_look.finished_at)
        )
),

windows as (
    select
        operation_id,
        start_at
    from core.operation_policies
    where execute_type = 'custom'
),

observations as (
    select
        history.operation_id,
        history.sync_id,
        history.observed_at,
        row(history.total, history.wait, history.processing, history.success, history.fail, history.stop, history.timeout) as counters
    from core.operation_history as history
    semi join recent on history.operation_id = recent.operation_id
),

compared as (
    select
        *,
        lag(counters) over story as counters_before
    from observations
    window story as (partition by operation_id order by sync_id)
),

changes as (
    select
        operation_id,
        sync_id,
        observed_at,
        lead(observed_at) over story as next_observed_at
    from compared
    where
        counters_before is null
        or counters is distinct from counters_before
    window story as (partition by operation_id order by sync_id)
),

longest as (
    select
        recent.operation_type,
        recent.manufacturer_name,
        recent.model,
        recent.device_type,
        max(
            greatest(
                0.0,
                epoch(changes.next_observed_at)
                - epoch(greatest(recent.created_at, windows.start_at, looks.previous_finished_at))
            )
        ) as seconds
    from changes
    inner join recent on changes.operation_id = recent.operation_id
    left join looks on changes.sync_id = looks.sync_id
    left join windows on changes.operation_id = windows.operation_id
    where
        not recent.is_active
        and changes.next_observed_at is not null
    group by recent.operation_id, recent.operation_type, recent.manufacturer_name, recent.model, recent.device_type
    having bool_and(looks.previous_finished_at is not null or recent.created_at >= changes.observed_at)
),

of_model as (
    select
        operation_type,
        manufacturer_name,
        model,
        device_type,
        count(*) as peers,
        quantile_cont(seconds, 0.95) as usual_seconds
    from longest
    group by operation_type, manufacturer_name, model, device_type
    having count(*) >= 20
),

of_type as (
    select
        operation_type,
        count(*) as peers,
        quantile_cont(seconds, 0.95) as usual_seconds
    from longest
    group by operation_type
    having count(*) >= 20
)

select
    outcomes.operation_id, -- the task's id
    outcomes.operation_type, -- firmware_upgrade or software_upgrade
    outcomes.status, -- wait or processing
    outcomes.created_at, -- when the task was created, UTC
    outcomes.manufacturer_name, -- manufacturer of the targets
    outcomes.model, -- model of the targets
    outcomes.device_type, -- device type of the targets
    outcomes.file_version, -- version that the task installs
    greatest(changes.observed_at, windows.start_at) as unchanged_since, -- platform's clock when a sync first met these counters, or the start of its window
    epoch(last_look.finished_at) - epoch(greatest(changes.observed_at, windows.start_at)) as unchanged_seconds, -- from then to the last sync
    coalesce(of_model.usual_seconds, of_type.usual_seconds) as usual_seconds, -- 95 % of the peers never stood still for longer
    coalesce(of_model.peers, of_type.peers) as peers, -- ended tasks compared with
    case when of_model.peers is null then 'type' else 'model' end as peers_share, -- what the peers share with the task: model, or only type
    outcomes.total, -- devices that the task operates on
    outcomes.finished, -- success + fail + timeout
    outcomes.wait + outcomes.processing as devices_left -- devices that wait or are being upgraded
from changes
cross join last_look
inner join marts.operation_outcomes as outcomes on changes.operation_id = outcomes.operation_id
inner join recent on changes.operation_id = recent.operation_id
left join windows on changes.operation_id = windows.operation_id
left join of_model
    on
        outcomes.operation_type is not distinct from of_model.operation_type
        and outcomes.manufacturer_name is not distinct from of_model.manufacturer_name
        and outcomes.model is not distinct from of_model.model
        and outcomes.device_type is not distinct from of_model.device_type
left join of_type on outcomes.operation_type is not distinct from of_type.operation_type
where
    recent.is_active
    and changes.next_observed_at is null
    and unchanged_seconds > coalesce(of_model.usual_seconds, of_type.usual_seconds)
order by unchanged_seconds desc, outcomes.operation_id asc
