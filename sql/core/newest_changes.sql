-- Where to find the newest content of each task that a batch of syncs changed: the last observation that differs.
-- grain: one task with new content
select
    operation_id,
    max(position) as position,
    min(first_observed_at) as first_observed_at
from observations
where has_new_content
group by operation_id
