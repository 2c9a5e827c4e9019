-- The platform counts the timeouts of a model in one way, inside fail or beside it, and the counters add up in that way.
-- severity: warning
-- share of: marts.counter_identities
-- Where both ways occur, fail and timeout mean different things in different tasks of the model.
select
    manufacturer_name,
    model,
    device_type,
    operations,
    timeout_inside_fail,
    timeout_beside_fail,
    neither
from marts.counter_identities
where
    timeouts = 'both'
    or neither > 0
