"""The plan of a round: what counts say is unknown, and the cheapest way to find it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.extract.plan import (
    ALL,
    ENDED,
    PROBES,
    STATUSES,
    Knowledge,
    Probes,
    best_page,
    expected_full_calls,
    full_sync_max_calls,
    gaps,
    order_of_creation,
    plan_round,
    removable,
    search_order,
)


def probes(newest_first=True, ignores_status=False, **totals):
    there = {name: totals.get(name, 0) for name in STATUSES}
    there[ALL] = totals.get(ALL, sum(there.values()))
    return Probes(there, dict.fromkeys(there, newest_first), ignores_status)


def known(**by_status):
    return Knowledge(by_status)


def test_where_nothing_changed_a_round_probes_and_reads_the_active_lists():
    plan = plan_round(known(processing=250, success=900), probes(processing=250, success=900), 100)
    assert plan.gaps == {"success": 0, "failed": 0, "stop": 0}
    assert plan.active_pages == 3
    assert plan.expected_calls == PROBES + 2 + 1
    assert not plan.is_unfiltered


def test_tasks_that_are_there_and_not_known_are_to_be_located():
    plan = plan_round(known(processing=3, failed=1), probes(success=2, failed=1, stop=1), 100)
    assert plan.gaps == {"success": 2, "failed": 0, "stop": 1}
    assert plan.expected_calls == PROBES + 3 + 1


def test_tasks_that_are_known_and_not_there_are_said():
    plan = plan_round(known(success=5), probes(success=2), 100)
    assert plan.gaps["success"] == -3
    assert plan.expected_calls == PROBES + 1
    assert "success: 2 tasks, 3 fewer there than here" in plan.lines()


def test_what_an_earlier_sync_could_not_locate_waits():
    there, here = probes(success=10), known(success=7)
    assert gaps(here, there, is_unfiltered=False, unlocated={"success": 2})["success"] == 1
    assert gaps(here, there, is_unfiltered=False, unlocated={"success": 5})["success"] == 0
    assert gaps(known(success=12), there, is_unfiltered=False, unlocated={"success": 5})["success"] == -2


@pytest.mark.parametrize(
    ("here", "there"),
    [
        (known(success=3), probes(success=3, all=5)),  # a status that no list has
        (known(success=3), probes(success=3, all=2)),
        (known(paused=1, success=3), probes(success=3, all=3)),
    ],
)
def test_where_the_lists_by_status_do_not_add_up_the_whole_list_is_read(here, there):
    plan = plan_round(here, there, 100)
    assert plan.is_unfiltered
    assert plan.gaps == {ALL: there.totals[ALL] - here.living}
    assert any("don't add up" in line for line in plan.lines())


def test_known_tasks_of_an_unknown_status_are_part_of_the_sum():
    assert not plan_round(known(paused=2, success=3), probes(success=3, all=5), 100).is_unfiltered


def test_a_platform_that_ignores_the_status_has_no_list_to_read_whole():
    plan = plan_round(known(success=5), probes(wait=5, success=5, all=5, ignores_status=True), 100)
    assert (plan.is_unfiltered, dict(plan.read_whole)) == (True, {})


def test_without_totals_nothing_is_said_to_be_unknown():
    plan = plan_round(known(success=5), Probes(dict.fromkeys((ALL, *STATUSES))), 100)
    assert (plan.gaps, plan.is_unfiltered) == ({}, False)


def test_a_page_is_read_where_it_should_show_more_than_one_lost_task():
    lost = [{"success": 10}, {"success": 20}, {"success": 450}]
    there = probes(success=1000)
    assert best_page(lost, there, {"success": 1.0}, 100, set()) == ("success", 0)
    assert best_page(lost, there, {"success": 1.0}, 100, {("success", 0)}) is None


def test_the_oldest_come_first_where_the_list_says_so():
    lost = [{"success": 10}, {"success": 20}]
    assert best_page(lost, probes(newest_first=False, success=1000), {"success": 1.0}, 100, set()) == ("success", 9)
    assert best_page(lost, probes(newest_first=None, success=1000), {"success": 1.0}, 100, set()) is None


def test_tasks_that_may_be_in_several_lists_count_by_how_likely_they_are_in_each():
    lost = [{"success": 10, "failed": 1}] * 3
    there = probes(success=1000, failed=200)
    assert best_page(lost, there, {"success": 0.7, "failed": 0.3}, 100, set()) == ("success", 0)
    assert best_page(lost, there, {"success": 0.35, "failed": 0.33, "stop": 0.32}, 100, set()) is None


def test_a_search_begins_where_new_tasks_appear():
    assert search_order("success", probes(success=250), 100) == [0, 1, 2]
    assert search_order("success", probes(newest_first=False, success=250), 100) == [2, 1, 0]


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        (["3", "2", "2", "1"], True),
        (["1", "2", "2"], False),
        (["2", "1", "3"], None),
        (["1"], None),
        (["1", "1"], None),
        ([None, "2", None, "1"], True),
    ],
)
def test_the_order_of_a_list_is_found_out_from_its_first_page(times, expected):
    assert order_of_creation(times) is expected


@given(st.integers(0, 10**7))
def test_one_in_a_hundred_may_vanish_at_once_and_always_ten(living):
    assert removable(living) == max(10, living // 100)


counts = st.fixed_dictionaries({status: st.integers(0, 5_000) for status in STATUSES})


@given(counts, counts, st.integers(1, 100))
def test_what_a_plan_expects_is_within_what_it_allows(here, there, page_size):
    plan = plan_round(Knowledge(here), probes(**there), page_size)
    assert PROBES < plan.expected_calls <= plan.max_calls
    total = sum(there.values())
    expected = expected_full_calls(plan, total, is_first=False)
    assert expected <= full_sync_max_calls(total, page_size, 0)
    assert set(plan.gaps) == set(ENDED)
