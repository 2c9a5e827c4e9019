"""Rows in, rows out for the marts at equal age: what syncs knew of tasks that were so old, and of rollouts."""

import datetime as dt

import pytest

from support.core import at, hours
from support.reports import only_reports


@pytest.fixture(scope="module", autouse=True)
def _only_marts_at_equal_age():
    with only_reports("success_at_age", "outcomes_at_age", "rollouts_at_equal_age"):
        yield


def ages(core, **where):
    """Rates at each age, as (operations, not observed, too young, success, finished)."""
    condition = " and ".join(f"{name} = '{value}'" for name, value in where.items()) or "true"
    return {
        row["age_hours"]: tuple(
            row[name]
            for name in ("operations", "operations_not_observed", "operations_too_young", "success", "finished")
        )
        for row in core.rows(f"from marts.success_at_age where {condition}")
    }


def test_success_at_age_takes_the_state_that_syncs_knew_at_that_age(core):
    core.looks(*hours(*range(1, 60)))
    core.course(
        "a",
        (1, {"wait": 10}),
        (2, {"success": 2, "wait": 8}),
        (6, {"success": 5, "fail": 1, "wait": 4}),
        (30, {"success": 9, "fail": 1}),
        created_at=at("00:30:00"),
    )
    core.marts()
    assert ages(core) == {
        1: (1, 0, 0, 0, 0),
        6: (1, 0, 0, 5, 6),
        24: (1, 0, 0, 5, 6),
        168: (0, 0, 1, 0, 0),
    }


def test_a_warehouse_that_first_meets_an_old_task_knows_nothing_of_its_youth(core):
    core.looks(*hours(40, 41, 42))
    core.course("old", (1, {"success": 9, "fail": 1}), created_at=at("00:00:00"))
    core.marts()
    assert ages(core) == {
        1: (0, 1, 0, 0, 0),
        6: (0, 1, 0, 0, 0),
        24: (0, 1, 0, 0, 0),
        168: (0, 0, 1, 0, 0),
    }
    assert {row["success_rate"] for row in core.rows("from marts.success_at_age")} == {None}


@pytest.mark.parametrize(
    ("looks", "expected"),
    [
        ([0.5, 23.9, 30], (1, 0, 0, 3, 3)),  # a sync shortly before the age
        ([0.5, 21.6, 30], (1, 0, 0, 3, 3)),  # 10 % of the age before it, just
        ([0.5, 21.5, 30], (0, 1, 0, 0, 0)),  # longer before
        ([0.5, 2, 26.4], (1, 0, 0, 7, 7)),  # 10 % of the age after it, and none before: what that sync met
        ([0.5, 2, 26.5], (0, 1, 0, 0, 0)),  # longer after: a gap says nothing
        ([0.5, 24, 30], (1, 0, 0, 3, 3)),  # at that very moment
        ([0.5, 23, 23.5], (0, 0, 1, 0, 0)),  # not that old yet
    ],
)
def test_a_day_is_observed_only_if_a_sync_looked_around_it(core, looks, expected):
    core.looks(*hours(*looks))
    states = [(1, {"wait": 7}), (2, {"success": 3, "wait": 4}), (3, {"success": 7})]
    core.course("a", *states, created_at=at("00:00:00")).marts()
    assert ages(core)[24] == expected


def test_around_an_hour_is_within_an_hour(core):
    core.looks(*hours(0.25, 1.75, 9))
    core.course("a", (1, {"wait": 5}), (2, {"success": 5}), created_at=at("00:00:00"))
    core.marts()
    assert ages(core)[1] == (1, 0, 0, 0, 0)  # the look at 0:15 is within the hour, and the nearest before
    assert ages(core)[6] == (0, 1, 0, 0, 0)


def test_an_interrupted_sync_has_not_looked(core):
    core.looks(*hours(0.1)).looks(*hours(24), mode="interrupted").looks(*hours(40))
    core.course("a", (1, {"wait": 5}), (3, {"success": 5}), created_at=at("00:00:00"))
    core.marts()
    assert ages(core)[24] == (0, 1, 0, 0, 0)


def test_two_looks_in_one_second_are_one_look(core):
    core.looks(at("10:00:00"), at("10:00:00"), "2026-03-03 10:00:00")
    core.course("a", (1, {"wait": 10}), (3, {"success": 10}), created_at=at("09:30:00"))
    core.marts()
    (row,) = core.rows("select at_1_hour, at_6_hours, at_1_day from marts.outcomes_at_age")
    assert (row["at_1_hour"]["wait"], row["at_6_hours"], row["at_1_day"]) == (10, None, None)
    assert ages(core)[6][:2] == (0, 1)


@pytest.mark.parametrize("second", ["10:00:05", "10:00:03"])
def test_numbers_of_syncs_order_states_where_the_clock_stood_still_or_went_back(core, second):
    core.looks(at("10:00:05"), at(second), "2026-03-02 10:00:00")
    core.course("a", (1, {"wait": 10}), (2, {"success": 10}), created_at=at("09:30:00"))
    core.marts()
    (row,) = core.rows("select at_1_hour, at_1_day from marts.outcomes_at_age")
    assert (row["at_1_hour"]["success"], row["at_1_day"]["success"]) == (10, 10)


def test_where_only_interrupted_syncs_looked_every_task_is_too_young(core):
    core.looks(*hours(40), mode="interrupted")
    core.course("a", (1, {"success": 5}), created_at=at("00:00:00"))
    core.marts()
    assert set(ages(core).values()) == {(0, 0, 1, 0, 0)}


def test_every_task_has_its_counters_at_each_age_or_null(core):
    core.looks(*hours(*range(1, 30)))
    core.course("a", (1, {"wait": 3}), (5, {"success": 2, "fail": 1}), created_at=at("00:30:00"))
    core.course("silent", (1, None), created_at=at("00:30:00"))
    core.course("late", (8, {"wait": 1}), created_at=at("00:30:00"))
    core.marts()
    found = {row["operation_id"]: row for row in core.rows("from marts.outcomes_at_age")}
    assert found["a"]["at_1_hour"]["wait"] == 3
    assert (found["a"]["at_6_hours"]["success"], found["a"]["at_1_day"]["fail"]) == (2, 1)
    assert found["a"]["at_7_days"] is None
    assert (found["late"]["at_1_hour"], found["late"]["at_6_hours"]) == (None, None)
    assert found["late"]["at_1_day"]["wait"] == 1
    assert set(found["silent"]["at_1_hour"].values()) == {None}  # it was looked at, and sent no counters
    window = core.rows("from marts.outcomes_at_age_between('2026-03-01 00:30:00', '2026-03-01 00:30:01')")
    assert {row["operation_id"] for row in window} == found.keys()
    assert core.rows("from marts.outcomes_at_age_between(null, '2026-03-01 00:30:00')") == []


def test_success_at_age_is_by_model_and_version_and_has_a_window(core):
    core.looks(*hours(0, 1, 2, 3))
    core.course("a", (1, {"wait": 2}), (2, {"success": 2}), created_at=at("00:00:00"))
    core.course("b", (2, {"wait": 2}), (3, {"success": 1, "fail": 1}), created_at=at("01:00:00"), file_version="V2.0")
    core.marts()
    assert ages(core, file_version="V1.0")[1] == (1, 0, 0, 2, 2)
    assert ages(core, file_version="V2.0")[1] == (1, 0, 0, 1, 2)
    rows = core.rows("from marts.success_at_age_between('2026-03-01 00:30:00', null) where age_hours = 1")
    assert [(row["file_version"], row["operations"]) for row in rows] == [("V2.0", 1)]


def test_rollouts_under_way_stand_beside_the_other_versions_of_their_model_at_the_same_age(core):
    core.looks(*hours(*range(60)))
    for name in ("a", "b", "c"):
        core.course(f"old-{name}", (1, {"wait": 20}), (6, {"success": 18, "fail": 2}), created_at=at("00:00:00"))
        created = at("00:00:00") + dt.timedelta(days=1)
        first, then, now = {"wait": 20}, {"success": 8, "fail": 4, "wait": 8}, {"success": 12, "fail": 8}
        values = {"created_at": created, "file_version": "V2.0", "status": "processing" if name == "a" else "failed"}
        core.course(f"new-{name}", (26, first), (29, then), (45, now), **values)
    core.course("other", (1, {"wait": 9}), (3, {"success": 9}), created_at=at("00:00:00"), model="NB-2")
    core.course(
        "gone", (1, {"wait": 1}), created_at=at("00:00:00"), model="NB-3", status="wait", removed_at="2026-03-01"
    )
    core.course("unseen", (60, {"wait": 7}), created_at=at("00:00:00"), model="NB-4", status="wait")
    core.marts()
    new, unseen = core.rows("from marts.rollouts_at_equal_age order by model")
    assert (new["file_version"], new["age_hours"], new["operations_active"]) == ("V2.0", 24, 1)
    assert (new["operations_finished"], new["finished"], new["success_rate"], new["verdict"]) == (3, 60, 0.6, "bad")
    assert (new["peer_finished"], new["peer_rate"]) == (60, 0.9)
    assert (new["started_at"], new["devices_left"]) == (created, 0)
    names = ("model", "age_hours", "finished", "success_rate", "peer_rate", "verdict", "devices_left")
    assert [unseen[name] for name in names] == ["NB-4", None, 0, None, None, "too_few", 7]


def test_a_rollout_is_shown_at_the_greatest_age_at_which_enough_is_known_of_it(core):
    core.looks(*hours(*range(30)))
    for number in range(3):
        hour = at("00:00:00") + dt.timedelta(hours=20)
        states = [(22, {"wait": 20}), (23, {"success": 10, "wait": 10})]
        core.course(f"t{number}", *states, created_at=hour, status="processing")
    core.course("early", (1, {"wait": 1}), (2, {"fail": 1}), created_at=at("00:00:00"))
    core.marts()
    (row,) = core.rows("from marts.rollouts_at_equal_age")
    assert (row["age_hours"], row["finished"], row["success_rate"], row["peer_rate"]) == (6, 31, 30 / 31, None)
