-- Devices that are through with an upgrade, one way or the other.
create or replace macro finished(success, fail, timeout) as cast(success as bigint) + fail + timeout
