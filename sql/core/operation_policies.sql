-- grain: one task with a policy that this run changed
select
    created_month as lake_month,
    operation_id,
    execute_type,
    start_at,
    end_at,
    retry_enabled,
    cast(retry_times as integer) as retry_times
from tasks
where has_policy
