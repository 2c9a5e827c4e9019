-- How far each task was at each age at which a sync found it changed.
-- grain: one task and one sync that met it with another status or other counters than before
-- key: operation_id, sync_id
-- window: created_at
-- relation: view
-- Between two rows nothing had changed when a sync looked; what syncs looked, core.syncs tells.
select
    history.operation_id, -- the task's id
    history.sync_id, -- sync that met this state
    operations.created_at, -- when the task was created, UTC
    history.observed_at, -- platform's clock when the sync met it
    epoch(history.observed_at) - epoch(operations.created_at) as age_seconds, -- age of the task then
    operations.operation_type, -- firmware_upgrade or software_upgrade
    operations.manufacturer_name, -- manufacturer of the targets
    operations.model, -- model of the targets
    operations.device_type, -- device type of the targets
    operations.file_version, -- version that the task installs
    history.status, -- wait, processing, success, failed, stop
    history.total, -- devices that the task operates on
    finished(history.success, history.fail, history.timeout) as finished, -- success + fail + timeout
    history.success, -- devices upgraded
    rate_of_total(finished(history.success, history.fail, history.timeout), history.total) as share_finished, -- finished / total
    rate_of_total(history.success, history.total) as share_succeeded -- success / total
from core.operation_history as history
inner join core.operations as operations on history.operation_id = operations.operation_id
