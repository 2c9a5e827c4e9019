"""The fleet is a function of seed and simulated time; its tasks live plausible lives."""

import json

import msgspec
import numpy as np
import pytest

from simulator import catalogue
from simulator.dials import Dials
from simulator.platform import Platform
from simulator.state import State

START = "2026-03-04T12:00:00Z"
DAY = 86_400


def platform(**dials):
    return Platform(Dials(**({"tasks": 400, "tasks_per_day": 200, "start": START, "speed": 0, "quirks": 0} | dials)))


def records(of):
    return [json.loads(record) for record in of.operations()]


def by_id(of):
    return {record["operationId"]: record for record in records(of)}


def test_the_same_seed_gives_the_same_fleet_and_another_seed_another():
    assert records(platform()) == records(platform())
    assert not set(by_id(platform())) & set(by_id(platform(seed=2)))


def test_how_time_passed_makes_no_difference():
    at_once, in_steps, later = platform(), platform(), platform(start="2026-03-07T12:00:00Z", tasks=1500)
    at_once.advance(3 * DAY)
    for _ in range(12):
        in_steps.advance(DAY / 4)
        records(in_steps)
    assert records(at_once) == records(in_steps)
    known = by_id(later)
    assert {key: known[key] for key in by_id(at_once)} == by_id(at_once)


def test_a_platform_goes_on_where_an_earlier_one_stood():
    first = platform()
    first.advance(DAY)
    made = first.create(5)
    first.remove(made[:2])
    failed = [key for key, record in by_id(first).items() if record["status"] == "failed"]
    assert set(first.retry(failed)) == set(failed)
    first.advance(DAY)
    saved = msgspec.json.decode(msgspec.json.encode(first.state()), type=State)
    second = Platform(first.dials, state=saved)
    assert records(second) == records(first)
    assert second.now() == first.now()


def test_as_many_tasks_exist_at_the_start_as_the_dial_says():
    for count in (0, 1, 37, 1500):
        made = platform(tasks=count, removals_per_day=40)
        assert made.statistics()["operations"] == count == len(records(made))


def test_a_fleet_since_a_fixed_instant_is_the_same_whenever_it_starts():
    since = {"since": "2026-03-01T00:00:00Z", "removals_per_day": 20}
    early, late = platform(**since), platform(**since, start="2026-03-09T12:00:00Z")
    early.advance(5 * DAY)
    assert records(early) == records(late)
    assert min(record["createTime"] for record in records(late)).startswith("20260301T")
    assert early.statistics()["operations_gone"] > 0


def test_tasks_appear_at_the_rate_of_the_dial_with_quiet_nights():
    made = platform(tasks=0, tasks_per_day=1000, removals_per_day=0)
    made.advance(14 * DAY)
    hours = [int(record["createTime"][9:11]) for record in records(made)]
    assert 13_900 < len(hours) < 14_100
    assert sum(hour in (1, 2, 3) for hour in hours) * 5 < sum(hour in (9, 10, 11) for hour in hours)


def test_about_a_quarter_of_a_day_of_tasks_is_active_and_the_median_life_is_as_dialled():
    made = platform(tasks=20_000, tasks_per_day=2000)
    rows = made.world.fleet.rows
    assert 5.5 < np.median(rows["ended"] - rows["created"]) / 3600 < 6.5
    active = []
    for _ in range(7 * 8):
        counts = made.statistics()["operations_by_status"]
        active.append(counts["wait"] + counts["processing"])
        made.advance(DAY / 8)
    assert 420 < np.mean(active) < 600


def test_counters_grow_until_a_task_ends_and_start_time_stays():
    made = platform(tasks=100, tasks_per_day=400, retries_per_day=0, removals_per_day=0)
    before = by_id(made)
    for _ in range(20):
        made.advance(1800)
        after = by_id(made)
        for key, old in before.items():
            new = after[key]
            assert all(
                new["staResult"][name] >= old["staResult"][name] for name in ("success", "fail", "timeout", "stop")
            )
            assert old["startTime"] in (None, new["startTime"])
            assert old["stopTime"] in (None, new["stopTime"])
        before = after


def test_a_retried_task_runs_its_failed_devices_again():
    made = platform(devices=40, removals_per_day=0)
    failed = {key: record for key, record in by_id(made).items() if record["status"] == "failed"}
    old = {key: record["staResult"] for key, record in failed.items()}
    assert failed
    assert set(made.retry([*by_id(made)])) == set(failed)
    made.advance(1)
    running = by_id(made)
    for key in failed:
        assert (running[key]["status"], running[key]["stopTime"]) == ("processing", None)
        assert running[key]["staResult"]["success"] >= old[key]["success"]
    made.advance(30 * DAY)
    ended = by_id(made)
    assert all(ended[key]["status"] in ("success", "failed") for key in failed)
    assert sum(ended[key]["staResult"]["success"] - old[key]["success"] for key in failed) > 0


def test_some_failed_tasks_are_retried_by_themselves():
    made = platform(tasks=0, tasks_per_day=500, retries_per_day=20)
    made.advance(20 * DAY)
    made.statistics()
    rows = made.world.fleet.rows
    assert 14 < np.isfinite(rows["retried"]).sum() / 20 < 27


def test_removed_tasks_vanish_from_the_list_and_by_themselves_and_never_come_back():
    made = platform(tasks=2000, removals_per_day=60)
    before = set(by_id(made))
    victims = sorted(before)[:3]
    assert set(made.remove([*victims, "unknown"])) == set(victims)
    assert made.remove(victims) == []
    made.advance(DAY)
    after = set(by_id(made))
    assert not after & set(victims)
    assert 10 < len(before - after - set(victims)) < 140
    made.advance(DAY)
    assert not set(by_id(made)) & (before - after)


def test_created_tasks_are_there_at_once_and_end_in_time():
    made = platform(tasks_per_day=0)
    fresh = made.create(20)
    assert len(set(fresh) & set(by_id(made))) == 20
    made.advance(60 * DAY)
    assert {by_id(made)[key]["status"] for key in fresh} <= {"success", "failed", "stop"}
    assert made.statistics()["operations"] > 400


def test_hastened_tasks_do_at_once_what_they_would_do_next():
    made = platform(quirks=0, tasks_per_day=0)
    (key,) = made.create(1)
    seen = []
    for _ in range(3):
        seen.append(by_id(made)[key]["status"])
        made.hasten([key])
    assert seen[:2] == ["wait", "processing"]
    assert seen[2] in ("success", "failed", "stop")


def test_the_success_rate_of_each_model_and_version_is_the_true_one_and_devices_fail_together():
    made = platform(tasks=30_000, tasks_per_day=2000, retries_per_day=0)
    made.advance(90 * DAY)
    made.statistics()
    rows = made.world.fleet.rows
    true = catalogue.TRUE_RATES[rows["product"], rows["kind"], rows["version"]]
    error = rows["success"] - rows["attempted"] * true
    variance = rows["attempted"] * true * (1 - true)
    assert abs(error.sum()) < 5 * np.sqrt((error**2).sum())
    assert (error**2).sum() > 1.3 * variance.sum()
    for product in range(len(catalogue.PRODUCTS)):
        mine = error[rows["product"] == product]
        assert abs(mine.sum()) < 5 * np.sqrt((mine**2).sum())
    assert len(made.true_rates()) == len(catalogue.PRODUCTS) * 8


def test_drift_inserts_removes_and_changes_between_list_calls(make):
    client = make(insertions=2, removals=1, changes=3, tasks=300, removals_per_day=0)
    seen = [client.everything() for _ in range(10)]
    assert client.control.statistics()["operations"] > 300
    before, after = ({r["operationId"]: r["status"] for r in each} for each in (seen[0], seen[-1]))
    assert set(after) - set(before)
    assert set(before) - set(after)
    assert any(after.get(key, status) != status for key, status in before.items())


def test_drift_depends_on_the_seed_alone(make):
    dials = {"insertions": 2.0, "removals": 1.0, "changes": 3.0}
    one, two, other = make(**dials), make(**dials), make(**dials, seed=9)
    assert [one.page() for _ in range(20)] == [two.page() for _ in range(20)] != [other.page() for _ in range(20)]


def test_nothing_drifts_before_the_second_list_call(make):
    client = make(insertions=50)
    assert client.page()["totalCount"] == 40
    assert client.page()["totalCount"] > 60


def test_simulated_time_runs_with_the_clock_at_its_speed_and_with_each_call(make):
    client = make(speed=60, seconds_per_call=30)
    assert client.get().headers["Date"] == "Wed, 04 Mar 2026 12:00:30 GMT"
    client.clock.sleep(10)
    assert client.get().headers["Date"] == "Wed, 04 Mar 2026 12:11:00 GMT"
    client.control.advance(DAY)
    assert client.get(operation_id="x").headers["Date"] == "Thu, 05 Mar 2026 12:11:30 GMT"


def test_truth_is_of_one_instant_even_if_time_goes_on_while_it_is_read():
    made, frozen = platform(tasks=5000), platform(tasks=5000)
    reading = made.operations()
    head = [next(reading) for _ in range(10)]
    made.advance(5 * DAY)
    made.statistics()
    assert head + list(reading) == list(frozen.operations())


def test_a_hundred_thousand_tasks_keep_exact_totals_as_time_goes_on(make):
    client = make(tasks=100_000, tasks_per_day=2000, quirks=1)
    for seconds in (0, 1, 3600, DAY, 20 * DAY):
        client.control.advance(seconds)
        totals = {
            s: client.page(operationStatus=s)["totalCount"] for s in ("wait", "processing", "success", "failed", "stop")
        }
        assert sum(totals.values()) == client.page()["totalCount"] == client.control.statistics()["operations"]
        assert all(totals.values())
    last = client.page(pageNo=client.page()["totalCount"] // 100 - 1)
    assert len(last["data"]) == 100


def test_prerendering_changes_nothing_that_is_served():
    one, two = platform(tasks=500), platform(tasks=500)
    one.prerender()
    for made in (one, two):
        made.advance(7200)
    assert records(one) == records(two)


def test_a_wrong_start_is_refused():
    with pytest.raises(ValueError, match="yesterday"):
        platform(start="yesterday")


def test_the_newest_version_is_installed_from_its_launch_on():
    made = platform(tasks=2_000, tasks_per_day=2_000, launch_days=1)
    newest = {versions[-1] for versions in catalogue.VERSIONS}
    made.advance(3 * DAY)
    created = [r["createTime"] for r in records(made) if r["extendPara"]["fileVersion"] in newest]
    assert min(created) >= "20260305T120000Z"
    assert len(created) > 200
    without = {r["operationId"]: r for r in records(made) if r["extendPara"]["fileVersion"] not in newest}
    other = platform(tasks=2_000, tasks_per_day=2_000)
    other.advance(3 * DAY)
    assert {key: record["createTime"] for key, record in by_id(other).items()} == {
        key: record["createTime"] for key, record in by_id(made).items()
    }
    assert len(without) + len(created) == len(by_id(other))
