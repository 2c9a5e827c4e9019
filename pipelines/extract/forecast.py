"""What the next sync will read, from count probes alone: nothing is stored."""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.extract.entries import Origin
from pipelines.extract.opening import open_ledger
from pipelines.extract.past import read_past
from pipelines.extract.plan import (
    ALL,
    STATUSES,
    Probes,
    RoundPlan,
    expected_full_calls,
    full_sync_max_calls,
    plan_round,
    removable,
)
from pipelines.extract.raw import prepare
from pipelines.extract.rounds import fold
from pipelines.platform.client import Client
from pipelines.settings import Settings
from pipelines.warehouse import Warehouse


@dataclass(frozen=True)
class Forecast:
    """The next sync: its mode, the plan of its first round, and what a full one would take; calls are of the quota."""

    mode: str
    plan: RoundPlan
    full_calls: int | None
    full_max_calls: int | None
    goes_on_from_row: int | None


def forecast(settings: Settings, warehouse: Warehouse, client: Client) -> Forecast:
    """Probe the length of the lists and plan the next sync. The caller holds the warehouse's lock.

    Raises:
        PlatformError: the platform refused a call or kept failing.
        StorageError: what is known can't be read.
    """
    past = read_past(warehouse)
    probes = _count(settings, client)
    with open_ledger(warehouse, past) as ledger:
        knowledge = ledger.knowledge()
    plan = plan_round(knowledge, probes, settings.page_size, past.unlocated)
    total = probes.totals[ALL]
    left = None if total is None else max(0, total - (past.interrupted.next_row if past.interrupted else 0))
    return Forecast(
        mode="incremental" if past.last_full else "full",
        plan=plan,
        full_calls=None if left is None else expected_full_calls(plan, left, is_first=past.last_full is None),
        full_max_calls=None
        if total is None
        else full_sync_max_calls(total, settings.page_size, removable(knowledge.living) + 1),
        goes_on_from_row=past.interrupted.next_row if past.interrupted else None,
    )


def _count(settings: Settings, client: Client) -> Probes:
    totals, ignores_status = {}, False
    for name in (ALL, *STATUSES):
        status = {} if name == ALL else {"operationStatus": name}
        reply = client.list_page({**settings.filters, **status}, 0, 1)
        totals[name] = reply.page.total
        met = prepare(reply, Origin(0, 0)).met
        ignores_status |= name != ALL and any(fold(each.status) != name for each in met if each.status)
    return Probes(totals, ignores_status=ignores_status)
