"""The proof of completeness, evaluated over every response of a whole reading. The argument: docs/completeness.md.

A response of the scope's own list said that there were T tasks. A task met before it, in whatever sync, and again after
it was there at that moment, because ids never come back; so was one that the response itself shows. If these are T
tasks, they are the list. "Before" and "after" are orders of batches: a response sent after another was received.
"""

from __future__ import annotations

from collections.abc import Sequence

from pipelines.extract.entries import Proof
from pipelines.extract.ledger import Ledger

# For a batch b and spans from the first to the last batch that met a task (the first is -1 if it was known before):
#   spans around b = spans that begin before b - spans that end at or before b + spans that begin and end at b.
_COUNTS = """
    with known_before as (
        select operation_id from known_since where sync_id < $reading_since
        union select operation_id from met where response < $first_response
    ),
    spans as (
        select
            operation_id,
            case
                when operation_id in (select operation_id from known_before) then -1 else min(sent_after)
            end as first_batch,
            max(sent_after) as last_batch
        from met
        where response >= $first_response and has_id and not is_gone
        group by operation_id
    ),
    totals as (select unnest($responses) as response, unnest($batches) as batch, unnest($totals) as total),
    marks as (
        select
            first_batch as batch, count(*) as begun, 0 as ended,
            count(*) filter (where first_batch = last_batch) as once
        from spans group by all
        union all
        select last_batch as batch, 0 as begun, count(*) as ended, 0 as once from spans group by all
        union all
        select distinct batch, 0, 0, 0 from totals
    ),
    batches as (select batch, sum(begun) as begun, sum(ended) as ended, sum(once) as once from marks group by batch),
    around as (
        select
            batch,
            coalesce(sum(begun) over (order by batch rows between unbounded preceding and 1 preceding), 0)
            - sum(ended) over (order by batch) + once as tasks
        from batches
    ),
    shown as (
        select totals.response, count(distinct met.operation_id) as tasks
        from totals
        inner join met on totals.response = met.response
        inner join spans on met.operation_id = spans.operation_id
        where spans.first_batch = totals.batch or spans.last_batch = totals.batch
        group by totals.response
    )
    select totals.response, totals.total, around.tasks + coalesce(shown.tasks, 0) as tasks
    from totals
    inner join around on totals.batch = around.batch
    left join shown on totals.response = shown.response
    order by totals.response desc
"""


def prove(
    ledger: Ledger, totals: Sequence[tuple[int, int, int]], reading_since: int, first_response: int
) -> Proof | None:
    """Find the newest response that proves completeness, or None.

    `totals` are (response, sent_after, total) of responses of the scope's own list, of the syncs from `reading_since`
    on, whose responses begin at `first_response`. Nothing is proven if a response shows more tasks to be there than its
    total says: then the total is not exact, or ids do come back.
    """
    if not totals or ledger.met_since(first_response) < min(total for _, _, total in totals):
        return None
    responses, batches, lengths = (list(column) for column in zip(*totals, strict=True))
    rows = ledger.database.execute(
        _COUNTS,
        {
            "reading_since": reading_since,
            "first_response": first_response,
            "responses": responses,
            "batches": batches,
            "totals": lengths,
        },
    ).fetchall()
    if any(tasks > total for _, total, tasks in rows):
        return None
    return next((Proof(response, total, tasks) for response, total, tasks in rows if tasks == total), None)
