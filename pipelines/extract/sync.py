"""A sync: incremental or full, stored, and graded by how far its completeness is known.

What it reads: `rounds`, `full`. What the grades mean is argued in docs/completeness.md.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from concurrent.futures import Executor

import msgspec

from pipelines.extract.entries import Beginning, Proof, RemovalEntry, SyncManifest
from pipelines.extract.full import read_everything
from pipelines.extract.opening import open_ledger
from pipelines.extract.past import Reading, next_sync_id, read_past, totals_since
from pipelines.extract.plan import removable
from pipelines.extract.proof import prove
from pipelines.extract.raw import RawWriter
from pipelines.extract.reader import Reader
from pipelines.extract.rounds import read_changes
from pipelines.extract.scope import Scope
from pipelines.extract.sweep import Sweep
from pipelines.platform.client import Client
from pipelines.progress import Reporter
from pipelines.settings import Settings
from pipelines.warehouse import Warehouse, claim, source_of, storage_errors

log = logging.getLogger("iodm")


class Verdict(msgspec.Struct, frozen=True):
    """A grade with its evidence, and the tasks that are believed to be gone."""

    grade: str
    evidence: str
    removals: list[RemovalEntry]
    proof: Proof | None = None


def run_sync(
    settings: Settings,
    warehouse: Warehouse,
    client: Client,
    reporter: Reporter,
    *,
    is_full: bool = False,
    accept_removals: bool = False,
    announce: Callable[[str], None] = log.info,
    workers: Executor | None = None,
) -> SyncManifest:
    """Read what changed, or everything, into the raw store, and commit it. A first sync reads everything.

    The caller holds the warehouse's lock and has recovered what an interrupted sync left. `workers` make the calls.

    Raises:
        PlatformError: the platform refused a call or kept failing; what was read waits to be recovered.
        SettingsError: the warehouse belongs to another source.
        StorageError: the disk failed, or the served file is damaged.
    """
    source = source_of(settings)
    claim(warehouse, source)
    with storage_errors(f"write to {warehouse.raw}"):
        past, sync_id = read_past(warehouse), next_sync_id(warehouse)
        mode = "full" if is_full or past.last_full is None else "incremental"
        resumable = past.interrupted if mode == "full" else None
        afresh = Reading(sync_id, past.next_response)
        beginning = Beginning(mode, source, past.next_response)
        calls_before = client.quota.calls
        with (
            contextlib.closing(RawWriter(warehouse, beginning)) as writer,
            open_ledger(warehouse, past, resumable) as ledger,
            Reader(client, writer, ledger, reporter, workers) as reader,
        ):
            scope = Scope(reader, settings.filters, settings.page_size, past.unlocated, past.unexplained)

            def choose_reading() -> Reading:
                """The interrupted one, if it is not too old by the platform's clock; stored, should this one be too."""
                now = reader.last_reply.observed_at if reader.last_reply else None
                chosen = resumable if resumable and resumable.is_younger(settings.resume_hours, now) else afresh
                writer.begin(msgspec.structs.replace(beginning, reading_since=chosen.sync_id))
                return chosen

            def announce_first(sweep: Sweep) -> None:
                if past.newest is None:
                    announce(_first_sync(settings, warehouse, client, sweep))

            if mode == "full":
                is_first = past.last_full is None
                total, reading = read_everything(
                    scope, choose_reading, announce_first, is_first=is_first, accept_removals=accept_removals
                )
            else:
                total, reading = read_changes(scope), None
            verdict = judge(scope, warehouse, total, reading or afresh, accept_removals=accept_removals)
            first, last = reader.replies()
            manifest = SyncManifest(
                sync_id=sync_id,
                mode=mode,
                source=source,
                grade=verdict.grade,
                grade_evidence=verdict.evidence,
                started_at=first.observed_at,
                finished_at=last.observed_at,
                first_response=past.next_response,
                last_response=writer.last_response,
                api_calls=client.quota.calls - calls_before,
                pages=writer.pages,
                records=writer.records,
                quarantined=writer.quarantined,
                undocumented_fields=sorted(writer.undocumented_fields),
                total_after=total,
                removed=len(verdict.removals),
                proof=verdict.proof,
                reading_since=reading.sync_id if reading else None,
                unlocated=dict(scope.unlocated),
                unexplained=scope.unexplained,
            )
            writer.commit(manifest, verdict.removals)
    return manifest


def judge(scope: Scope, warehouse: Warehouse, total: int | None, reading: Reading, *, accept_removals: bool) -> Verdict:
    """Grade what was read, and decide which tasks are gone: none of them, if there are more than may be at once."""
    ledger, notes = scope.ledger, list(scope.notes)
    if scope.reader.unanswered:
        notes.append(f"the platform could not show {len(scope.reader.unanswered):,} of the tasks to be looked up")
    removals = ledger.gone()
    limit = removable(ledger.knowledge().living + len(removals))
    suspects = max(scope.missed, len(removals))
    are_too_many = bool(removals) and suspects > limit and not accept_removals
    if are_too_many:
        ledger.forget_gone()
        removals = []
        notes.append(
            f"{suspects:,} known tasks were in no list, more than the {limit:,} that may vanish at once: none is "
            "marked as removed; if they are meant to be gone, run `iodm sync --full --accept-removals`"
        )
    living = ledger.knowledge().living
    if total is None:
        evidence = f"{living:,} tasks known; the platform gave no total to compare with"
        return Verdict("unproven", "; ".join([evidence, *notes]), removals)
    evidence = f"{living:,} tasks known, {total:,} there after the reading"
    proof = None if are_too_many else _proof(scope, warehouse, reading)
    if proof is not None and proof.response < ledger.first_response and living != total:
        proof = None  # of a moment before this sync, in the reading that it went on with: things changed since
    if proof is not None and ledger.not_met(reading.first_response, 1)[0]:
        proof = None  # the list is known, and tasks that are not in it are still taken for living
    if proof is not None:
        evidence = f"response {proof.response} said {proof.total:,} tasks; as many were met before and after it"
    grade = "proven" if proof else "counted" if living == total and not are_too_many else "unproven"
    return Verdict(grade, "; ".join([evidence, *notes]), removals, proof)


def _proof(scope: Scope, warehouse: Warehouse, reading: Reading) -> Proof | None:
    """The proof takes something known before, tasks with an id, and a scope whose members can't change."""
    if (
        reading.first_response == 1
        or "deviceId" in scope.filters
        or scope.ledger.has_records_without_id(reading.first_response)
    ):
        return None
    totals = totals_since(warehouse, reading.sync_id) + scope.reader.totals
    return prove(scope.ledger, totals, reading.sync_id, reading.first_response)


def _first_sync(settings: Settings, warehouse: Warehouse, client: Client, sweep: Sweep) -> str:
    """What a first sync says before it goes on: where the data goes, and the calls and minutes that it needs."""
    if sweep.total is None:
        return f"First sync into {warehouse.root}; the platform does not say how many tasks there are"
    calls = (sweep.pages_left or 0) + 1
    minutes = client.quota.seconds_for(calls) / 60
    duration = (
        f"about {minutes:,.0f} min at {settings.calls_per_minute} calls a minute"
        if minutes >= 1
        else "less than a minute"
    )
    return f"First sync into {warehouse.root}: {sweep.total:,} tasks, {calls:,} more calls, {duration}"
