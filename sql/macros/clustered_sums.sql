-- What the clustered interval of a success rate needs of its tasks: how many have finished devices, and sums of products.
-- An aggregate over tasks.
create or replace macro clustered_sums(success, finished) as {
    'tasks': count(*) filter (where finished > 0),
    'success': cast(sum(success) as double),
    'finished': cast(sum(finished) as double),
    'success_squared': sum(cast(success as double) ** 2),
    'success_finished': sum(cast(success as double) * finished),
    'finished_squared': sum(cast(finished as double) ** 2)
}
