"""Rows in, rows out for `marts.stalled_operations`: who stands still for longer than its peers did."""

import pytest

from support.core import at, hours
from support.reports import only_reports


@pytest.fixture(scope="module", autouse=True)
def _only_stalled_operations():
    with only_reports("stalled_operations"):
        yield


def peers(core, count, steps, **values):
    """Ended tasks that moved at these syncs."""
    for number in range(count):
        states = [(sync_id, {"success": done, "wait": len(steps) - done}) for done, sync_id in enumerate(steps)]
        core.course(f"peer-{values}-{number}", *states, created_at=at("00:00:00"), **values)


def stalled(core):
    return {row["operation_id"]: row for row in core.rows("from marts.stalled_operations")}


def test_a_task_stalls_when_it_stands_still_for_longer_than_its_peers_did(core):
    core.looks(*hours(*range(30)))
    peers(core, 20, [1, 3, 6])  # the longest standstill: from the look at 1:00, or later, to 5:00
    running = {"status": "processing", "created_at": at("00:00:00")}
    core.course("still", (25, {"success": 1, "wait": 4, "processing": 2}), **running)
    core.course("moves", (20, {"wait": 5}), (26, {"success": 1, "wait": 4}), **running)
    core.course("gone", (1, {"wait": 5}), **running, removed_at=at("09:00:00"))
    core.marts()
    (row,) = stalled(core).values()
    assert (row["operation_id"], row["unchanged_since"]) == ("still", hours(24)[0])
    assert (row["unchanged_seconds"], row["usual_seconds"]) == (5 * 3600, 4 * 3600)
    assert (row["peers"], row["peers_share"], row["finished"], row["devices_left"]) == (20, "model", 1, 6)


def test_a_status_that_changes_without_the_counters_is_no_movement(core):
    core.looks(*hours(*range(30)))
    peers(core, 20, [1, 3, 6])
    core.course("still", (2, {"wait": 5}), (29, {"wait": 5}), status="processing", created_at=at("00:00:00"))
    core.marts()
    assert stalled(core)["still"]["unchanged_since"] == hours(1)[0]


def test_a_gap_between_syncs_makes_no_task_look_stalled(core):
    core.looks(*hours(0, 1, 2, 50, 51))
    peers(core, 20, [1, 2, 4])
    core.course("seen again", (4, {"wait": 5}), status="processing", created_at=at("00:00:00"))
    core.course("across", (3, {"wait": 5}), status="processing", created_at=at("00:00:00"))
    core.marts()
    assert stalled(core) == {}


@pytest.mark.parametrize(("more", "expected"), [(0, {}), (1, {"firmware": ("type", 20)})])
def test_with_few_peers_of_its_model_a_task_is_compared_with_its_type_or_with_nobody(core, more, expected):
    core.looks(*hours(*range(30)))
    peers(core, 19, [1, 2, 3])
    peers(core, 19, [1, 2, 3], model="NB-2", operation_type="software_upgrade")
    peers(core, more, [1, 2, 9], model="NB-2")
    running = {"status": "wait", "created_at": at("00:00:00")}
    core.course("firmware", (5, {"wait": 5}), **running)
    core.course("software", (5, {"wait": 5}), **running, operation_type="software_upgrade", model="NB-3")
    core.marts()
    assert {name: (row["peers_share"], row["peers"]) for name, row in stalled(core).items()} == expected


def test_a_task_has_nothing_to_do_before_its_window_starts(core):
    core.looks(*hours(*range(30)))
    peers(core, 20, [1, 2, 3])
    for operation_id, start in (("scheduled", 40), ("due", 4)):
        core.course(operation_id, (1, {"wait": 5}), status="wait", created_at=at("00:00:00"))
        core.insert("operation_policies", operation_id=operation_id, execute_type="custom", start_at=hours(start)[0])
    core.marts()
    assert {name: row["unchanged_since"] for name, row in stalled(core).items()} == {"due": hours(4)[0]}


@pytest.mark.parametrize("execute_type", ["now", "device_online", None])
def test_only_a_custom_policy_has_a_window(core, execute_type):
    core.looks(*hours(*range(30)))
    peers(core, 20, [1, 2, 3])
    core.course("still", (1, {"wait": 5}), status="wait", created_at=at("00:00:00"))
    core.insert("operation_policies", operation_id="still", execute_type=execute_type, start_at=hours(40)[0])
    core.marts()
    assert stalled(core)["still"]["unchanged_since"] == hours(0)[0]


def test_what_the_first_sync_met_under_way_tells_nothing_of_standstills(core):
    core.looks(*hours(2, 3, 4, 9))
    peers(core, 20, [1, 2, 3])  # for two hours nobody looked
    core.course("still", (2, {"wait": 5}), status="wait", created_at=at("02:30:00"))
    core.marts()
    assert stalled(core) == {}


def test_a_peer_that_moved_before_its_window_stood_still_for_no_time(core):
    core.looks(*hours(*range(30)))
    peers(core, 20, [1, 2])
    for (name,) in core.connection.execute("select operation_id from core.operations").fetchall():
        core.insert("operation_policies", operation_id=name, execute_type="custom", start_at=hours(20)[0])
    core.course("still", (5, {"wait": 5}), status="wait", created_at=at("00:00:00"))
    core.marts()
    assert stalled(core)["still"]["usual_seconds"] == 0


def test_stalled_operations_can_be_picked_by_their_creation(core):
    core.looks(*hours(*range(30)))
    peers(core, 20, [1, 2, 3])
    core.course("still", (5, {"wait": 5}), status="wait", created_at=at("00:00:00"))
    core.marts()
    assert len(core.rows("from marts.stalled_operations_between('2026-03-01', '2026-03-02')")) == 1
    assert core.rows("from marts.stalled_operations_between('2026-03-02', null)") == []
