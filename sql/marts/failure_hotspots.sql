-- Model × versions that succeed less often than chance explains: those below the 99.8 % funnel of their peers.
-- grain: one operation type, manufacturer, model, device type and version
-- key: operation_type, manufacturer_name, model, device_type, file_version
-- parameters: since, until
-- How the funnel is made: marts.success_funnel. Of n comparisons without any real difference, about n / 1000 or fewer end up here.
select
    operation_type, -- firmware_upgrade or software_upgrade
    manufacturer_name, -- manufacturer of the targets
    model, -- model of the targets
    device_type, -- device type of the targets
    file_version, -- version that the tasks install
    operations_finished, -- tasks with at least one finished device
    finished, -- success + fail + timeout
    success, -- devices upgraded
    success_rate, -- success / finished
    peer_rate, -- success / finished of all peers together
    funnel_lower, -- lower 99.8 % limit of the funnel at this size
    peer_rate - success_rate as rate_below_peers, -- how far below its peers
    cast(round(finished * (peer_rate - success_rate)) as bigint) as failures_above_peers, -- devices that would not have failed at the peers' rate
    comparisons, -- groups that were compared
    comparisons / 1000 as expected_by_chance -- groups that would be here without any real difference
from marts.success_funnel_between(since, until)
where is_below
order by failures_above_peers desc, operation_type asc, manufacturer_name asc, model asc, device_type asc, file_version asc
