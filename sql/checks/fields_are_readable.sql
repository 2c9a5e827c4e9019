-- Every field of a task could be read; what could not is null in the tables.
-- severity: warning
-- share of: core.operations
select
    operation_id,
    _broken_fields as broken_fields
from core.operations
where len(_broken_fields) > 0
