-- Tasks that this run changed, each with its newest content.
-- grain: one changed task
select
    records.* exclude (sync_id, observed_at),
    newest.sync_id,
    newest.observed_at,
    newest.first_observed_at
from records
inner join newest on records.position = newest.position
