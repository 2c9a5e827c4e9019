-- What this file is: one row that says where its numbers come from and how far to trust them.
-- grain: the file
with last_sync as (
    select *
    from core.syncs
    order by sync_id desc
    limit 1
),

last_proven as (
    select
        sync_id,
        finished_at
    from core.syncs
    where grade = 'proven'
    order by sync_id desc
    limit 1
),

tasks as (
    select
        count(*) as operations,
        count(removed_at) as operations_removed
    from core.operations
),

last_full as (
    select
        sync_id,
        finished_at
    from core.syncs
    where mode = 'full'
    order by sync_id desc
    limit 1
),

full_before as (
    select coalesce(max(sync_id), 0) as sync_id
    from core.syncs
    where
        mode = 'full'
        and sync_id < (select last_full.sync_id from last_full)
),

-- A whole reading may have begun in a sync that was interrupted.
whole_reading as (
    select min(sync_id) as since_sync_id
    from core.syncs
    where
        mode in ('full', 'interrupted')
        and sync_id > (select full_before.sync_id from full_before)
),

outside as (
    select count(*) as operations_outside_rates
    from core.quarantine
    anti join core.operations using (operation_id)
    where
        operation_id <> sha256(record)
        or last_sync_id >= (select whole_reading.since_sync_id from whole_reading)
)

select
    cast(getvariable('publication') as bigint) as publication, -- number of this file
    cast(getvariable('published_at') as timestamp) as published_at, -- when it was made, UTC
    last_sync.sync_id, -- last sync applied
    last_sync.mode, -- its mode: full, incremental or interrupted
    last_sync.grade, -- its grade: proven, counted or unproven
    last_sync.finished_at as observed_at, -- platform's clock at its last response
    last_sync.total_after, -- tasks that the platform said there were
    last_proven.sync_id as last_proven_sync_id, -- newest sync with grade proven
    last_proven.finished_at as last_proven_at, -- platform's clock at its last response
    last_full.finished_at as last_full_at, -- platform's clock when everything was last read
    tasks.operations, -- tasks in core.operations
    tasks.operations_removed, -- among them those that are gone from the platform
    outside.operations_outside_rates, -- tasks only known by a broken record: in no rate
    cast(target_success_rate() as double) as target_success_rate -- what verdicts compare with
from tasks
cross join outside
left join last_sync on true
left join last_proven on true
left join last_full on true
