-- Whether a task belongs to a window of creation times: from `since` on, before `until`; null leaves an end open.
create or replace macro created_between(created_at, since, until) as
(since is null or created_at >= utc(since))
and (until is null or created_at < utc(until))
