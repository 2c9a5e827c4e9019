"""Abort rules on fleets with known outcomes: when each rule stops what, what that spares, and what can't be judged."""

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.backtest import evaluate
from pipelines.rules import DEFAULT_RULES, parse_rule
from support.core import COUNTERS
from support.replay import HALF_HOUR, MINUTE, is_near
from support.reports import only_reports

EPOCH = dt.datetime.fromisoformat("2026-03-01")
OWN, HAWKBIT, AWS = DEFAULT_RULES


@pytest.fixture(scope="module", autouse=True)
def _only_rollouts():
    with only_reports("rollouts", "rollout_courses", "snapshot"):
        yield


def hour(number):
    """This hour of the first day, as the time of a sync or a creation; more than 24 reach into the next days."""
    return EPOCH + dt.timedelta(hours=number)


def as_hours(moment):
    return None if moment is None else (moment - EPOCH) / dt.timedelta(hours=1)


def watched(core, hours=12):
    """Looks every hour: sync 1 at hour 0, sync 2 at hour 1, and so on."""
    return core.looks(*[hour(number) for number in range(hours + 1)])


def tried(core, *rules, **options):
    return evaluate(core.connection, [parse_rule(rule) for rule in rules], **options)


def summary(core, rule, *names):
    (row,) = tried(core, rule).summary().dicts()
    return tuple(row[name] for name in names)


def stops(core, *rules, **options):
    """Rules and versions that they would have stopped, with the hour."""
    return {
        (row["rule"], row["file_version"]): as_hours(row["looked_at"])
        for row in list(tried(core, *rules, **options).stopped())
    }


def left_out(core, **options):
    """Versions that can't be judged, with the hours of the longest gap in what was observed of them."""
    return {
        row["file_version"]: (as_hours(row["unobserved_from"]), as_hours(row["unobserved_until"]))
        for row in list(tried(core, OWN, **options).left_out())
    }


def test_a_rule_stops_a_rollout_at_the_first_look_at_which_it_holds(core):
    watched(core)
    core.course(
        "a",
        (2, {"success": 30, "fail": 4, "wait": 166}),  # 34 finished: too few
        (3, {"success": 46, "fail": 2, "timeout": 3, "wait": 149}),  # 5 of 51 failed
        (4, {"success": 53, "fail": 4, "timeout": 3, "processing": 20, "wait": 120}),  # 7 of 60
        (5, {"success": 60, "fail": 5, "timeout": 3, "processing": 32, "wait": 100}),
        (9, {"success": 170, "fail": 20, "timeout": 5, "stop": 5}),
        created_at=hour(0.5),
    )
    core.marts()
    assert list(tried(core, OWN).stopped()) == [
        {
            "rule": OWN,
            "manufacturer_name": "Acme",
            "model": "NB-1",
            "device_type": "WaterMeter",
            "file_version": "V1.0",
            "is_under_way": False,
            "looked_at": hour(3),
            "age_seconds": 2.5 * 3600,
            "finished": 60,
            "failure_rate": 7 / 60,
            "final_failure_rate": 25 / 195,
            "is_good": False,
            "devices_spared": 195 - 80,
            "failures_after": 25 - 7,
        }
    ]
    assert tried(core, OWN).summary().dicts() == [
        {
            "rule": OWN,
            "rollouts": 1,
            "left_out": 0,
            "judged": 1,
            "under_way": 0,
            "good": 0,
            "bad": 1,
            "stopped": 1,
            "good_stopped": 0,
            "bad_not_stopped": 0,
            "devices_spared": 115,
            "failures_after": 18,
        }
    ]


@pytest.mark.parametrize(
    ("rule", "failed", "finished", "total", "is_stopped"),
    [
        ("hawkbit 10%", 10, 20, 100, False),  # exactly at the threshold: hawkBit asks for more
        ("hawkbit 10%", 11, 11, 100, True),  # of all devices, from the first failures on
        ("hawkbit 10%", 1, 1, 9, True),
        ("hawkbit 10%", 50, 60, 600, False),
        ("aws 10% after 50", 5, 50, 500, True),  # exactly at both: AWS cancels
        ("aws 10% after 50", 49, 49, 500, False),
        ("aws 10% after 50", 5, 51, 500, False),
        ("failure_rate > 0.1 after 50 finished", 5, 50, 500, False),
        ("failure_rate > 0.1 after 50 finished", 6, 50, 500, True),
        ("failure_rate >= 12.3 %", 123, 1000, 1000, True),
        ("failure_rate > 12.3 %", 123, 1000, 1000, False),
        ("failure_rate > .07", 7, 100, 100, False),
        ("failure_rate >= 1", 1, 1, 100, True),
        ("failure_rate >= 0", 0, 0, 100, False),  # of none finished there is no rate
        ("failure_rate > 0", 1, 100, 100, True),
        ("failure_rate_of_total >= 0.3 after 4 finished", 3, 4, 10, True),
        ("failure_rate_of_total >= 0.3 after 5 finished", 3, 4, 10, False),
    ],
)
def test_a_rule_holds_above_its_threshold_or_at_it_as_it_says(core, rule, failed, finished, total, is_stopped):
    watched(core)
    counters = {"timeout": failed, "success": finished - failed, "wait": total - finished}
    core.course("a", (2, counters), created_at=hour(0.5), status="processing").marts()
    assert bool(stops(core, rule)) == is_stopped


def test_the_three_default_rules_differ_in_what_they_stop_and_when(core):
    watched(core)
    for version, failures in (("V1", 100), ("V2", 101)):
        core.course(
            version,
            (2, {"success": 40, "fail": 5, "wait": 955}),
            (3, {"success": 45, "fail": 5, "wait": 950}),
            (4, {"success": 49, "fail": 6, "wait": 945}),
            (9, {"success": 1000 - failures, "fail": failures}),
            created_at=hour(0.5),
            file_version=version,
        )
    core.marts()
    assert stops(core, *DEFAULT_RULES) == {
        (OWN, "V1"): 3,
        (OWN, "V2"): 3,
        (HAWKBIT, "V2"): 8,
        (AWS, "V1"): 2,
        (AWS, "V2"): 2,
    }


def test_hawkbit_counts_all_devices_of_the_rollout_from_its_start_on(core):
    watched(core)
    for version, later in (("V1", 10), ("V2", 9)):
        core.course(version, (2, {"fail": 2, "wait": 8}), created_at=hour(0.5), file_version=version)
        core.course(f"{version} again", (3, {"wait": later}), created_at=hour(1.5), file_version=version)
    core.marts()
    assert stops(core, "hawkbit 10%") == {("hawkbit 10%", "V2"): 1}


def test_tasks_of_one_rollout_are_added_up_and_by_task_each_is_tried_alone(core):
    watched(core)
    core.course("a", (2, {"success": 30, "wait": 10}), (4, {"success": 40}), created_at=hour(0.5))
    core.course(
        "b", (3, {"success": 22, "fail": 8, "wait": 50}), (8, {"success": 70, "fail": 10}), created_at=hour(1.5)
    )
    core.course("other model", (3, {"success": 60}), created_at=hour(1.5), model="NB-2")
    core.marts()
    assert stops(core, OWN) == {(OWN, "V1.0"): 2}
    assert summary(core, OWN, "rollouts", "judged", "good", "bad", "stopped", "devices_spared") == (2, 2, 1, 1, 1, 60)
    found = list(tried(core, "failure_rate > 0.2 after 30 finished", by_task=True).stopped())
    assert [(row["operation_id"], row["devices_spared"], row["failures_after"]) for row in found] == [("b", 50, 2)]


def test_good_is_what_has_reached_the_target_now_however_it_began(core):
    watched(core)
    begins_badly = {"success": 40, "fail": 10, "wait": 150}
    outcomes = {
        "at target": {"success": 190, "fail": 10},
        "below": {"success": 189, "fail": 11},
        "nothing finished": {"wait": 200},
        "no counters": None,
    }
    for version, outcome in outcomes.items():
        core.course(version, (2, begins_badly), (9, outcome), created_at=hour(0.5), file_version=version)
    core.course("bad", (2, {"success": 9, "fail": 1}), created_at=hour(0.5), file_version="bad, not stopped")
    core.marts()
    found = tried(core, OWN)
    assert {row["file_version"]: (row["is_good"], row["devices_spared"]) for row in found.stopped()} == {
        "at target": (True, 150),
        "below": (False, 150),
        "nothing finished": (None, 0),
        "no counters": (None, 0),
    }
    names = ("stopped", "good", "good_stopped", "bad", "bad_not_stopped", "devices_spared", "failures_after")
    assert summary(core, OWN, *names) == (4, 1, 1, 2, 1, 300, 1)


def test_a_rollout_under_way_is_tried_too_and_counted(core):
    watched(core)
    core.course("a", (3, {"success": 30, "fail": 30, "wait": 9}), created_at=hour(1.5), status="processing").marts()
    assert summary(core, OWN, "judged", "under_way", "stopped", "devices_spared") == (1, 1, 1, 0)


def test_retries_that_take_failures_back_neither_undo_a_stop_nor_spare_less_than_nothing(core):
    watched(core)
    core.course(
        "a",
        (2, {"success": 80, "fail": 20}),
        (4, {"success": 80, "wait": 20}),
        (6, {"success": 99, "fail": 1}),
        created_at=hour(0.5),
    )
    core.marts()
    (row,) = list(tried(core, OWN).stopped())
    assert (as_hours(row["looked_at"]), row["is_good"], row["devices_spared"], row["failures_after"]) == (1, True, 0, 0)


def test_what_an_interrupted_sync_met_counts_from_the_next_look_on(core):
    core.looks(hour(0), hour(1)).looks(hour(1.5), mode="interrupted").looks(hour(2), hour(3))
    core.course("a", (2, {"wait": 100}), (3, {"fail": 60, "wait": 40}), (4, {"fail": 100}), created_at=hour(0.5))
    core.course("b", (3, {"fail": 60, "wait": 40}), (5, {"fail": 100}), created_at=hour(0.5), file_version="V2")
    core.course("c", (4, {"fail": 90, "wait": 10}), created_at=hour(0.5), file_version="V3")
    interrupted = {"sync_id": 3, "observed_at": hour(1.5), "status": "processing"}
    core.insert("operation_history", operation_id="c", **interrupted, **(dict.fromkeys(COUNTERS, 0) | {"fail": 60}))
    core.marts()
    found = tried(core, OWN).stopped()
    assert {(row["file_version"], as_hours(row["looked_at"]), row["finished"]) for row in found} == {
        ("V1.0", 2, 100),
        ("V2", 2, 60),
        ("V3", 2, 90),
    }


def test_numbers_of_syncs_order_states_where_the_clock_stood_still(core):
    core.looks(hour(0), hour(1), hour(1), hour(2))
    core.course("a", (2, {"wait": 60}), (3, {"fail": 60}), created_at=hour(0.5))
    core.course(
        "b", (2, {"fail": 60}), (3, {"success": 60}), (4, {"fail": 70}), created_at=hour(0.5), file_version="V2"
    )
    core.marts()
    courses = core.rows("from marts.rollout_courses(false) order by rollout_id, sync_id")
    assert [(row["rollout_id"], row["sync_id"], row["failed"]) for row in courses] == [
        ("a", 2, 0),
        ("a", 3, 60),
        ("b", 2, 60),
        ("b", 3, 0),
        ("b", 4, 70),
    ]
    assert {(row["file_version"], row["looked_at"], row["finished"]) for row in tried(core, OWN).stopped()} == {
        ("V1.0", hour(1), 60),
        ("V2", hour(1), 60),
    }


@pytest.mark.parametrize(("looks", "expected"), [((3, 4), {}), ((), {"V1.0": (2, 5)})])
def test_a_gap_in_syncs_never_looks_like_no_change(core, looks, expected):
    core.looks(*[hour(number) for number in (0, 1, 2, *looks, 5, 6, 7)])
    last = 5 + len(looks)
    core.course(
        "a", (2, {"wait": 90, "success": 10}), (last, {"success": 90, "fail": 10}), created_at=hour(0.5)
    ).marts()
    assert left_out(core) == expected
    assert stops(core, "hawkbit 5%") == ({} if expected else {("hawkbit 5%", "V1.0"): 6})


def test_a_gap_before_or_after_its_life_does_not_matter_to_a_rollout_that_is_over(core):
    core.looks(hour(0), hour(10), hour(11), hour(12), hour(30))
    core.course("over", (2, {"wait": 1}), (4, {"success": 1}), created_at=hour(9.5))
    core.course("under way", (2, {"wait": 1}), created_at=hour(9.5), file_version="V2", status="wait")
    core.marts()
    assert left_out(core) == {"V2": (12, 30)}


def test_what_only_an_interrupted_sync_saw_end_is_known_up_to_the_last_look(core):
    core.looks(hour(0), hour(1), hour(6)).looks(hour(7), mode="interrupted")
    core.course("a", (2, {"wait": 1}), (4, {"success": 1}), created_at=hour(0.5)).marts()
    assert left_out(core) == {"V1.0": (1, 6)}


def test_an_old_rollout_bears_gaps_of_two_ninths_of_its_age(core):
    """A look at 90 h is 10 % of the age from 100 h away, and one at 110 h too."""
    every = [hour(number) for number in range(91)]
    core.looks(*every, hour(110), hour(110 + 25))
    core.course("a", (1, {"wait": 1}), (92, {"success": 1}), created_at=hour(0))
    core.course("b", (1, {"wait": 1}), (93, {"success": 1}), created_at=hour(0), file_version="V2")
    core.marts()
    assert left_out(core) == {"V2": (110, 135)}


def test_a_rollout_is_left_out_if_a_part_of_it_was_known_only_late(core):
    watched(core)
    core.course("a", (2, {"success": 5}), created_at=hour(0.5))
    core.course("late", (7, {"success": 1}), created_at=hour(2.5))
    core.course("just", (5, {"success": 1}), created_at=hour(2), file_version="V2")
    core.marts()
    assert left_out(core) == {"V1.0": (2.5, 6)}


def test_what_no_whole_sync_has_met_is_left_out(core):
    core.looks(hour(0), hour(1)).looks(hour(1.5), mode="interrupted")
    core.course("a", (3, {"fail": 60}), created_at=hour(1.2)).marts()
    assert left_out(core) == {"V1.0": (1.2, None)}


def test_a_warehouse_that_first_meets_an_old_rollout_knows_nothing_of_its_youth(core):
    core.looks(hour(40), hour(41), hour(42))
    core.course("a", (1, {"success": 1, "wait": 1}), (2, {"success": 2}), created_at=hour(0)).marts()
    assert left_out(core) == {"V1.0": (0, 40)}


@pytest.mark.parametrize(("looks", "expected"), [((3, 4, 5), {}), ((), {"V1.0": (2, 6)})])
def test_what_a_removed_task_did_is_known_up_to_the_look_that_found_it_gone(core, looks, expected):
    core.looks(*[hour(number) for number in (0, 1, 2, *looks, 6, 20)])
    core.course("a", (2, {"wait": 5}), created_at=hour(0.5), status="processing", removed_at=hour(6)).marts()
    assert left_out(core) == expected
    assert summary(core, OWN, "under_way") == (0,)


def test_rollouts_are_picked_by_their_start(core):
    watched(core)
    for start, version in ((0.5, "V1"), (1.5, "V2"), (2.5, "V3")):
        core.course(version, (4, {"fail": 60}), created_at=hour(start), file_version=version)
    core.course("V1 again", (4, {"fail": 60}), created_at=hour(1.5), file_version="V1")
    core.marts()
    assert set(stops(core, OWN, since=hour(1.5), until=hour(2.5))) == {(OWN, "V2")}
    assert set(stops(core, OWN, since=hour(1.5))) == {(OWN, "V2"), (OWN, "V3")}


def test_the_stops_of_each_rule_begin_with_those_that_spare_most(core):
    watched(core)
    for number in range(5):
        states = (2, {"fail": 60, "wait": number}), (3, {"fail": 60, "success": number})
        core.course(f"{number}", *states, created_at=hour(0.5), file_version=f"V{number}")
    core.course("late", (9, {"fail": 60}), created_at=hour(0.5), file_version="late")
    core.marts()
    found = tried(core, OWN, HAWKBIT)
    assert [row["devices_spared"] for row in found.stopped()] == [4, 3, 2, 1, 0] * 2
    assert [row["devices_spared"] for row in found.stopped(most=2)] == [4, 3] * 2
    assert [row["file_version"] for row in found.left_out()] == ["late"]
    assert [(row["stopped"], row["left_out"]) for row in found.summary().dicts()] == [(5, 1), (5, 1)]


def test_rollouts_are_counted_once_with_what_they_came_to(core):
    watched(core)
    core.course("b", (2, {"wait": 3}), (3, {"success": 2, "fail": 1}), created_at=hour(0.5))
    core.course("a", (3, {"success": 1, "timeout": 1, "processing": 4}), created_at=hour(1.5), status="processing")
    core.course("c", (9, None), created_at=hour(1), model=None, file_version=None)
    core.marts()
    with_names = {"manufacturer_name": "Acme", "device_type": "WaterMeter"}
    assert core.rows("from marts.rollouts(false) order by created_at") == [
        {
            "rollout_id": "a",
            **with_names,
            "model": "NB-1",
            "file_version": "V1.0",
            "operation_id": None,
            "operations": 2,
            "created_at": hour(0.5),
            "is_under_way": True,
            "total": 9,
            "wait": 0,
            "processing": 4,
            "success": 3,
            "fail": 1,
            "stop": 0,
            "timeout": 1,
            "begun": 9,
            "finished": 5,
            "failed": 2,
            "success_rate": 0.6,
            "is_observed": True,
            "unobserved_from": None,
            "unobserved_until": None,
        },
        {
            "rollout_id": "c",
            **with_names,
            "model": None,
            "file_version": None,
            "operation_id": None,
            "operations": 1,
            "created_at": hour(1),
            "is_under_way": False,
            **dict.fromkeys(("total", *COUNTERS, "begun", "finished", "failed", "success_rate")),
            "is_observed": False,
            "unobserved_from": hour(1),
            "unobserved_until": hour(8),
        },
    ]
    by_task = core.rows("select * from marts.rollouts(true) order by rollout_id")
    assert [(row["rollout_id"], row["operation_id"], row["finished"]) for row in by_task] == [
        ("a", "a", 2),
        ("b", "b", 3),
        ("c", "c", None),
    ]


def test_courses_are_sums_over_the_tasks_at_each_look_that_found_one_changed(core):
    core.looks(hour(0), hour(1)).looks(hour(1.5), mode="interrupted").looks(hour(2), hour(3))
    core.course("b", (2, {"wait": 3}), (4, {"success": 2, "fail": 1}), created_at=hour(0.5))
    core.course("a", (3, {"stop": 1, "processing": 4}), (4, {"stop": 2, "timeout": 3}), created_at=hour(1.2))
    core.course("c", (5, None), created_at=hour(2.5))
    core.marts()
    names = {
        "rollout_id": "a",
        "manufacturer_name": "Acme",
        "model": "NB-1",
        "device_type": "WaterMeter",
        "file_version": "V1.0",
        "operation_id": None,
    }
    after = {"wait": 0, "processing": 0, "success": 2, "fail": 1, "stop": 2, "timeout": 3}
    assert core.rows("from marts.rollout_courses(false) order by sync_id") == [
        {
            **names,
            "sync_id": 2,
            "looked_at": hour(1),
            "age_seconds": 1800,
            "total": 3,
            **(dict.fromkeys(COUNTERS, 0) | {"wait": 3}),
            "begun": 0,
            "finished": 0,
            "failed": 0,
        },
        {
            **names,
            "sync_id": 4,
            "looked_at": hour(2),
            "age_seconds": 5400,
            "total": 8,
            **after,
            "begun": 6,
            "finished": 6,
            "failed": 4,
        },
        {
            **names,
            "sync_id": 5,
            "looked_at": hour(3),
            "age_seconds": 9000,
            "total": 8,
            **after,
            "begun": 6,
            "finished": 6,
            "failed": 4,
        },
    ]
    by_task = core.rows("from marts.rollout_courses(true) order by rollout_id, sync_id")
    assert [(row["operation_id"], row["sync_id"], row["begun"], row["age_seconds"]) for row in by_task] == [
        ("a", 4, 3, 2880),
        ("b", 2, 0, 1800),
        ("b", 4, 3, 5400),
        ("c", 5, 0, 1800),
    ]


def test_in_an_empty_warehouse_no_rule_stops_anything(core):
    core.sync(1).marts()
    found = tried(core, *DEFAULT_RULES)
    assert [(row["rule"], row["rollouts"], row["judged"], row["stopped"]) for row in found.summary().dicts()] == [
        (rule, 0, 0, 0) for rule in DEFAULT_RULES
    ]
    assert (list(found.stopped()), list(found.left_out())) == ([], [])
    assert core.rows("from marts.rollouts(true)") == core.rows("from marts.rollout_courses(false)") == []


steps = st.integers(-12, 200)


@given(before=st.one_of(st.none(), steps), after=st.one_of(st.none(), st.integers(0, 40)))
def test_two_looks_cover_what_is_between_them_if_each_minute_is_near_one_of_them(macros, before, after):
    """Ages in half hours, the second look so long after the first; at half a minute's resolution nothing is missed."""
    after = None if after is None else (before or 0) + after
    at = [None if age is None else age * HALF_HOUR for age in (before, after)]
    found = macros.value(
        "looks_cover($start, $start + to_seconds($before), $start + to_seconds($after))",
        {"start": EPOCH, "before": at[0], "after": at[1]},
    )
    if after is None:
        assert not found
        return
    moments = range(max(0, at[0] or 0), at[1] + 1, MINUTE // 2)
    known = [age for age in at if age is not None]
    assert found == all(any(is_near(moment, age, moment) for age in known) for moment in moments)
