-- Devices that are through with an upgrade, one way or the other.
create or replace macro finished(success, fail, timeout) as success + fail + timeout
