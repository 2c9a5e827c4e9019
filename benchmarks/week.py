"""What does it cost to stay up to date? A simulated week: a sync every 15 minutes, a full one each night.

    python benchmarks/week.py                             100,000 tasks, seven days
    python benchmarks/week.py --tasks 1000000 --days 1    do the calls grow with the number of tasks?

Counts are what is measured; seconds are shown. Ends with 1, saying what differs, unless after one more full sync of the
quiet platform every task, status and counter is as the platform serves it, and exactly those that vanished are marked.
"""

import argparse
import logging
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from statistics import mean
from typing import Any

import duckdb
import msgspec
import pyarrow as pa
from processes import HERE
from run import keep
from simulated_site import Done, SimulatedSite

from simulator.clock import iso_text
from simulator.dials import Dials

SYNC_EVERY_SECONDS = 900
DAY_SECONDS = 86_400
FULL_AT_SECONDS = 2 * 3600 + 5 * 60  # 02:05, as IODM_FULL_CRON has it
START = "2026-03-02T06:00:00Z"
CALLS_PER_MINUTE = 100
SECONDS_PER_CALL = 0.6
FLEET = {"tasks_per_day": 2000.0, "median_life_hours": 6.0, "retries_per_day": 20.0, "removals_per_day": 5.0}
COUNTERS = ("total", "wait", "processing", "success", "fail", "stop", "timeout")
MOST_CALLS = 25
KEPT_EVIDENCE, KEPT_COSTLIEST = 20, 3
REMOVED = "removals that no sync could locate so far"


class Results(msgspec.Struct):
    """A task's counters as served; an absent one is 0."""

    total: int = 0
    wait: int = 0
    processing: int = 0
    success: int = 0
    fail: int = 0
    stop: int = 0
    timeout: int = 0


class Task(msgspec.Struct, rename="camel"):
    """What is compared of a task as served."""

    operation_id: str
    status: str
    sta_result: Results


def main() -> None:
    """Parse the options, let the time pass, keep the result; exit with 1 where the warehouse is wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=100_000, help="tasks at the start (%(default)s)")
    parser.add_argument("--days", type=float, default=7.0, help="simulated days (%(default)g)")
    parser.add_argument("--order", default="newest", help="order of the list (%(default)s)")
    parser.add_argument(
        "--publish-every",
        type=int,
        default=4,
        help="publish after each n-th sync and each full one; the others wait in the raw store (%(default)s)",
    )
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    (HERE / "work").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=HERE / "work") as work:
        result = run_week(Path(work), options.tasks, options.days, options.order, options.publish_every)
    name = f"week-{options.tasks}" if options.order == "newest" else f"week-{options.tasks}-{options.order}"
    keep(name, result)
    if result["differences"]:
        sys.exit(f"The warehouse is not what the platform serves: {result['differences']}")


def run_week(work: Path, tasks: int, days: float, order: str, publish_every: int) -> dict[str, Any]:
    """Sync for so many days; returns what to keep, and prints it."""
    began = time.perf_counter()
    dials = Dials(tasks=tasks, start=START, quirks=0, order=order, **FLEET)  # type: ignore[arg-type]
    site = SimulatedSite(work, dials, calls_per_minute=CALLS_PER_MINUTE, seconds_per_call=SECONDS_PER_CALL)
    first = site.sync()
    publishing = [site.publish()]
    say(site, first, began)
    done: list[Done] = []
    for is_full in schedule(site, days):
        done.append(site.sync(is_full=is_full))
        if is_full or len(done) % publish_every == 0:
            publishing.append(site.publish())
        if is_full or len(done) % 16 == 0:
            say(site, done[-1], began)
    site.freeze()
    last = site.sync(is_full=True)
    publishing.append(site.publish())
    say(site, last, began)
    result = {
        "tasks": tasks,
        "days": days,
        "order": order,
        **FLEET,
        "seconds_per_call": SECONDS_PER_CALL,
        "first_sync": {"grade": first.manifest.grade, "calls": first.manifest.api_calls, "seconds": first.seconds},
        **summary(done),
        "quarter_hours_skipped_while_a_sync_ran": round(days * DAY_SECONDS / SYNC_EVERY_SECONDS)
        - sum(each.manifest.mode != "full" for each in done),
        "publishing": {
            "after_each_nth_sync": publish_every,
            "note": "after every sync"
            if publish_every == 1
            else "less often than in earnest, to save time; "
            "what was not published yet, the next sync knows from the raw store",
            "times": len(publishing),
            "seconds_mean": mean(publishing),
            "seconds_max": max(publishing),
        },
        "most_calls_in_60_seconds": site.platform.statistics()["max_calls_in_60_seconds"],
        "throttled": site.platform.statistics()["throttled"],
        "at_the_end": {"grade": last.manifest.grade, "calls": last.manifest.api_calls, **living(site)},
        "differences": differences(site),
        "wall_seconds": time.perf_counter() - began,
    }
    show(result)
    return result


def schedule(site: SimulatedSite, days: float) -> Iterator[bool]:
    """Let time pass to each sync of so many days; yields whether it is full. What is due while one runs is skipped."""
    now = site.platform.now()
    end = now + days * DAY_SECONDS
    full_at = following(now, DAY_SECONDS, FULL_AT_SECONDS)
    tick = following(now, SYNC_EVERY_SECONDS)
    while min(tick, full_at) <= end:
        is_full = full_at <= tick
        site.wait_until(min(tick, full_at))
        yield is_full
        if is_full:
            full_at += DAY_SECONDS
        tick = max(tick, following(site.platform.now(), SYNC_EVERY_SECONDS))


def following(instant: float, period: float, offset: float = 0.0) -> float:
    """The next instant that lies `offset` after a multiple of a period."""
    return ((instant - offset) // period + 1) * period + offset


def summary(done: Sequence[Done]) -> dict[str, Any]:
    """Calls, grades, and what was not counted and why."""
    incremental = [each for each in done if each.manifest.mode != "full"]
    full = [each for each in done if each.manifest.mode == "full"]
    kinds = sorted({kind for each in incremental for kind in each.calls})
    not_counted = [each for each in incremental if each.manifest.grade == "unproven"]
    return {
        "incremental": {
            "syncs": len(incremental),
            "calls": spread([each.manifest.api_calls for each in incremental]),
            "calls_mean_by_what_was_read": {
                kind: mean([each.calls.get(kind, 0) for each in incremental]) for kind in kinds
            },
            "costliest": [
                {"sync": evidence(each), "calls_by_what_was_read": each.calls}
                for each in sorted(incremental, key=lambda each: -each.manifest.api_calls)[:KEPT_COSTLIEST]
            ],
            "grades": Counter(each.manifest.grade for each in incremental),
            "not_counted": Counter(map(why_not_counted, not_counted)),
            "not_counted_for_another_reason": [
                evidence(each) for each in not_counted if why_not_counted(each) != REMOVED
            ][:KEPT_EVIDENCE],
            "counted_while_tasks_differed": [
                evidence(each)
                for each in incremental
                if each.manifest.grade != "unproven" and (each.unmarked or each.unmet)
            ][:KEPT_EVIDENCE],
            "most_unmarked": max((each.unmarked for each in incremental), default=0),
            "most_unmet": max((each.unmet for each in incremental), default=0),
            "removed": sum(each.manifest.removed for each in incremental),
            "seconds": spread([each.seconds for each in incremental]),
            "seconds_of_which_simulator_mean": mean([each.simulator_seconds for each in incremental]),
        },
        "full": {
            "syncs": len(full),
            "calls": spread([each.manifest.api_calls for each in full]),
            "grades": Counter(each.manifest.grade for each in full),
            "nights_proven": sum(each.manifest.grade == "proven" for each in full),
            "evidence": [evidence(each) for each in full],
            "removed": sum(each.manifest.removed for each in full),
            "seconds": spread([each.seconds for each in full]),
        },
    }


def spread(values: Sequence[float]) -> dict[str, float]:
    """Mean, 95th percentile and maximum."""
    if not values:
        return {}
    return {"mean": mean(values), "p95": sorted(values)[-(-95 * len(values) // 100) - 1], "max": max(values)}


def why_not_counted(sync: Done) -> str:
    """What the simulator says that the warehouse did not know."""
    if sync.unmet:
        return "tasks not met, and removals" if sync.unmarked else "tasks not met"
    return REMOVED if sync.unmarked else "nothing was missing"


def evidence(sync: Done) -> str:
    """One line to find the sync by."""
    manifest = sync.manifest
    return (
        f"{manifest.finished_at:%Y-%m-%d %H:%M} {manifest.grade}, {manifest.api_calls} calls, {sync.unmarked} vanished "
        f"and not marked, {sync.unmet} not met: {manifest.grade_evidence}"
    )


def say(site: SimulatedSite, sync: Done, began: float) -> None:
    """A line of progress."""
    print(
        f"{time.perf_counter() - began:6.0f} s  {iso_text(site.platform.now())}  {sync.manifest.mode:<11} "
        f"{sync.manifest.grade:<8} {sync.manifest.api_calls:6,} calls  {sync.seconds:5.1f} s  "
        f"{sync.unmarked} vanished and not marked, {sync.unmet} not met",
        file=sys.stderr,
        flush=True,
    )


def show(result: dict[str, Any]) -> None:
    """The figures, for people."""
    incremental, full = result["incremental"], result["full"]
    calls, seconds = incremental["calls"], incremental["seconds"]
    publishing = result["publishing"]
    print(f"{result['tasks']:,} tasks, {result['days']:g} days, list order {result['order']}")
    print(f"incremental: {incremental['syncs']} syncs, calls mean {calls['mean']:.1f} (at most {MOST_CALLS}), ", end="")
    print(f"95th percentile {calls['p95']}, max {calls['max']}; {text(incremental['grades'])}")
    means = ", ".join(f"{kind} {calls:.1f}" for kind, calls in incremental["calls_mean_by_what_was_read"].items())
    print(f"  calls by what was read: {means}")
    print(f"  not counted because of: {text(incremental['not_counted'])}")
    print(f"  counted while tasks differed: {len(incremental['counted_while_tasks_differed'])}")
    print(f"  seconds mean {seconds['mean']:.2f}, 95th percentile {seconds['p95']:.2f}, max {seconds['max']:.2f}")
    if full["syncs"]:
        print(
            f"full: {full['syncs']} syncs, calls mean {full['calls']['mean']:,.0f}, max {full['calls']['max']:,}; ",
            end="",
        )
        print(f"{text(full['grades'])}; seconds mean {full['seconds']['mean']:.1f}")
    print(
        f"published after each {publishing['after_each_nth_sync']}. sync and each full one ({publishing['note']}): ",
        end="",
    )
    print(f"seconds mean {publishing['seconds_mean']:.1f}, max {publishing['seconds_max']:.1f}")
    print(f"at the end, platform quiet: {result['at_the_end']}; differences: {result['differences'] or 'none'}")


def text(counts: Counter[str]) -> str:
    """Counts in one line."""
    return ", ".join(f"{count} {name}" for name, count in counts.most_common()) or "none"


def living(site: SimulatedSite) -> dict[str, int]:
    """How many tasks the published file shows as living and as removed."""
    with served(site) as connection:
        [row] = connection.execute(
            "select count(*) filter (removed_at is null), count(removed_at) from core.operations"
        ).fetchall()
    return {"living": row[0], "removed": row[1]}


def differences(site: SimulatedSite) -> dict[str, Any]:
    """Every task, status and counter as published against the platform's; empty where all is equal."""
    with served(site) as connection:
        connection.register("platform", truth(site))
        connection.register("met", pa.table({"operation_id": list(site.ever_met)}))
        wrong = connection.execute(
            "with here as (select operation_id, status, "
            + ", ".join(f"results.{name}" for name in COUNTERS)
            + " from core.operations left join core.operation_results as results using (operation_id) "
            "where removed_at is null) "
            "select coalesce(here.operation_id, platform.operation_id) as operation_id, "
            f"{packed('platform')} as there, {packed('here')} as here "
            "from here full join platform on here.operation_id = platform.operation_id "
            "where here.operation_id is null or platform.operation_id is null "
            f"or {packed('platform')} <> {packed('here')} "
            "order by all"
        ).fetchall()
        lost = connection.execute(
            "select operation_id from met anti join core.operations using (operation_id) order by all"
        ).fetchall()
    found: dict[str, Any] = {}
    if wrong:
        found["tasks"] = {"count": len(wrong), "first": [str(row) for row in wrong[:10]]}
    if lost:
        found["met_but_not_published"] = {"count": len(lost), "first": [row[0] for row in lost[:10]]}
    return found


def packed(relation: str) -> str:
    """Status and counters of a task as one value, in which nulls are equal."""
    return f"row({', '.join(f'{relation}.{name}' for name in ('status', *COUNTERS))})"


def truth(site: SimulatedSite) -> pa.Table:
    """All living tasks as the platform serves them now."""
    decoder = msgspec.json.Decoder(Task)
    batches = []
    operations = site.platform.operations()
    while chunk := [decoder.decode(each) for each in islice(operations, 50_000)]:
        columns: dict[str, list[Any]] = {
            "operation_id": [task.operation_id for task in chunk],
            "status": [task.status for task in chunk],
        }
        columns |= {name: [getattr(task.sta_result, name) for task in chunk] for name in COUNTERS}
        batches.append(pa.table(columns))
    return pa.concat_tables(batches)


def served(site: SimulatedSite) -> duckdb.DuckDBPyConnection:
    """The published file, opened as any reader does."""
    return duckdb.connect(str(site.warehouse.served_file()), read_only=True)


if __name__ == "__main__":
    main()
