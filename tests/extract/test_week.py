"""Hours of a platform at work, a sync every 15 minutes: what they cost, what they miss, what a full sync makes good."""

import json
from dataclasses import dataclass, replace
from statistics import mean

import numpy as np
import pytest

from pipelines.extract.entries import SyncManifest
from simulator.timeline import Status
from support.platforms import Site

pytestmark = pytest.mark.usefixtures("few_reports")

AT_WORK = {
    "tasks": 5000,
    "tasks_per_day": 2000,
    "retries_per_day": 20,
    "removals_per_day": 5,
    "seconds_per_call": 0.6,
    "start": "2026-03-04T00:00:00Z",
}
COUNTERS = ("total", "wait", "processing", "success", "fail", "stop", "timeout")
MOST_CALLS = 25  # on average, of an incremental sync
PUBLISHED_EACH = 8  # the others wait in the raw store, where the next sync finds them


@dataclass(frozen=True)
class Step:
    """An incremental sync; `unmarked` are tasks that vanished after their end, and that no sync found to be gone.

    `living` are tasks published as living, `there` those on the platform then; None where it was not published.
    """

    manifest: SyncManifest
    unmarked: set[str]
    living: set[str] | None
    there: set[str] | None


@dataclass(frozen=True)
class Hours:
    """A first sync, incremental ones, and a full one of the then quiet platform."""

    site: Site
    began_at: float
    steps: list[Step]
    full: SyncManifest

    @property
    def mean_calls(self) -> float:
        return mean(step.manifest.api_calls for step in self.steps)

    @property
    def published(self) -> list[Step]:
        return [step for step in self.steps if step.living is not None]


def hours_of_work(site: Site, syncs: int) -> Hours:
    site.sync()
    began_at = site.platform.now()
    steps = []
    for number in range(1, syncs + 1):
        site.platform.advance(900)
        manifest = site.extract()
        living = there = None
        if number % PUBLISHED_EACH == 0:
            site.store.publish()
            living, there = published_as_living(site), site.truth()
        steps.append(Step(manifest, vanished_after_their_end(site, began_at) - marked(site), living, there))
    site.platform.dials = replace(site.platform.dials, seconds_per_call=0.0)
    return Hours(site, began_at, steps, site.sync(is_full=True))


def published_as_living(site: Site) -> set[str]:
    return {row["operation_id"] for row in site.store.rows("from core.operations where removed_at is null")}


def vanished_after_their_end(site: Site, since: float) -> set[str]:
    """As the simulator has it: gone since then, and neither waiting nor processing just before."""
    fleet = site.platform.world.fleet
    rows = fleet.rows
    is_gone = (fleet.status == Status.GONE) & (rows["removed"] > since)
    had_ended = rows["ended"] <= rows["removed"]
    was_retried = (rows["retried"] <= rows["removed"]) & (rows["removed"] < rows["ended_again"])
    return set(fleet.operation_ids(np.flatnonzero(is_gone & had_ended & ~was_retried)))


def marked(site: Site) -> set[str]:
    """What some sync marked as removed."""
    lines = [
        line for file in site.warehouse.raw.glob("*/sync=*/removals.jsonl") for line in file.read_text().splitlines()
    ]
    return {json.loads(line)["operation_id"] for line in lines}


def assert_everything_is_as_on_the_platform(site: Site) -> None:
    there = {
        task["operationId"]: (task["status"], *(task["staResult"][name] for name in COUNTERS))
        for task in map(json.loads, site.platform.operations())
    }
    rows = site.store.rows("from core.operations left join core.operation_results using (operation_id)")
    here = {
        row["operation_id"]: (row["status"], *(row[name] for name in COUNTERS))
        for row in rows
        if row["removed_at"] is None
    }
    assert here == there
    fleet = site.platform.world.fleet
    removed = [row["operation_id"] for row in rows if row["removed_at"] is not None]
    assert [fleet.status[fleet.find(each)] for each in removed] == [Status.GONE] * len(removed)


def assert_removals_are_marked(hours: Hours) -> None:
    """Every task that vanished, and no other."""
    site = hours.site
    removed = {row["operation_id"] for row in site.store.rows("from core.operations where removed_at is not null")}
    vanished = vanished_after_their_end(site, hours.began_at)
    assert vanished
    assert vanished <= removed == marked(site)
    assert not removed & site.truth()


def assert_history_has_one_row_per_task_and_sync(site: Site) -> None:
    rows = site.store.rows("select operation_id, sync_id from core.operation_history group by all having count(*) > 1")
    assert rows == []


def assert_retried_tasks_have_one_story(hours: Hours) -> None:
    """Those that the first sync met as failed: failed, at work again, and what they are now."""
    site = hours.site
    fleet = site.platform.world.fleet
    rows = fleet.rows
    met_as_failed = (rows["ended"] <= hours.began_at - 3600) & (fleet.status != Status.GONE)
    is_retried = (rows["retried"] > hours.began_at) & (rows["retried"] <= site.platform.now())
    retried = fleet.operation_ids(np.flatnonzero(met_as_failed & is_retried))
    assert retried
    for operation_id in retried:
        [task] = site.store.rows("select status from core.operations where operation_id = $1", [operation_id])
        story = site.store.rows(
            "from core.operation_history where operation_id = $1 order by observed_at", [operation_id]
        )
        assert story[0]["status"] == "failed"
        assert {"wait", "processing"} & {row["status"] for row in story[1:]}
        assert story[-1]["status"] == task["status"]


def test_six_hours_take_25_calls_a_sync_miss_nothing_and_are_proven_at_the_end(make_site):
    hours = hours_of_work(make_site(**AT_WORK), 24)  # one test, because the hours are what takes time
    assert [step.manifest.mode for step in hours.steps] == ["incremental"] * 24
    assert hours.mean_calls <= MOST_CALLS
    assert [step.manifest.grade for step in hours.steps] == ["counted"] * 24
    assert [step.unmarked for step in hours.steps] == [set()] * 24
    assert [step.living for step in hours.published] == [step.there for step in hours.published]
    assert hours.full.grade == "proven"
    assert_everything_is_as_on_the_platform(hours.site)
    assert_removals_are_marked(hours)
    assert_history_has_one_row_per_task_and_sync(hours.site)
    assert_retried_tasks_have_one_story(hours)


@pytest.mark.parametrize(("order", "tasks", "most_calls"), [("oldest", 5000, MOST_CALLS), ("random", 1000, 40)])
def test_in_another_order_two_hours_cost_more_and_miss_nothing(make_site, order, tasks, most_calls):
    hours = hours_of_work(make_site(**AT_WORK | {"order": order, "tasks": tasks}), 8)
    assert hours.mean_calls <= most_calls
    assert [step.manifest.grade for step in hours.steps] == [
        "unproven" if step.unmarked else "counted" for step in hours.steps
    ]
    assert [step.living for step in hours.published] == [step.there | step.unmarked for step in hours.published]
    assert hours.full.grade == "proven"
    assert_everything_is_as_on_the_platform(hours.site)
