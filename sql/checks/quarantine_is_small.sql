-- Hardly any record is broken: above 5 % and above 10 records something is wrong with the platform's data, or with us.
-- severity: error
-- share of: core.operations
with sizes as (
    select
        (select count(*) from core.quarantine) as quarantined,
        (select count(*) from core.operations) as operations
)

select
    quarantined,
    operations
from sizes
where
    quarantined > 10
    and quarantined > 0.05 * (operations + quarantined)
