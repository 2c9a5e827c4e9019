"""Rows in, rows out for the marts about time: how long, how far at which age, and who stands still."""

import datetime as dt

import pytest

from support.reports import only_reports

DAY = "2026-03-01"


@pytest.fixture(scope="module", autouse=True)
def _only_marts_about_time():
    with only_reports(
        *("operation_durations", "successful_upgrades_by_version", "device_history", "progress_curves"),
        *("success_at_age", "outcomes_at_age", "rollouts_at_equal_age", "stalled_operations"),
        *("lake_months", "counter_identities"),
    ):
        yield


def at(text):
    return dt.datetime.fromisoformat(f"{DAY} {text}" if len(text) <= 8 else text)


def hours(*numbers):
    """These hours of the first day as times of syncs; more than 24 reach into the next days."""
    return [at("00:00:00") + dt.timedelta(hours=number) for number in numbers]


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


def test_durations_are_percentiles_of_what_is_over(core):
    core.sync(1)
    for minutes in range(1, 101):
        started = at("08:00:00") + dt.timedelta(minutes=minutes)
        core.task(f"t{minutes}", started_at=started, stopped_at=started + dt.timedelta(seconds=minutes))
    core.task("running", started_at=at("08:01:40"))
    core.task("waiting")
    core.task("backwards", started_at=at("07:59:00"), stopped_at=at("07:58:00"))
    core.task("other", model="NB-2", started_at=at("08:00:00"), stopped_at=at("08:00:00"))
    core.marts()
    first, second = core.rows("from marts.operation_durations order by model")
    assert (first["operations"], first["operations_started"], first["operations_stopped"]) == (103, 101, 100)
    assert first["start_to_stop_median_seconds"] == 50.5
    assert first["start_to_stop_p90_seconds"] == pytest.approx(90.1)
    assert first["start_to_stop_p95_seconds"] == pytest.approx(95.05)
    assert first["create_to_start_median_seconds"] == 50 * 60
    assert (second["start_to_stop_p95_seconds"], second["create_to_start_median_seconds"]) == (0, 0)


def test_durations_of_nothing_are_null(core):
    core.sync(1).task("waiting").marts()
    (row,) = core.rows("from marts.operation_durations")
    assert (row["operations"], row["operations_stopped"], row["start_to_stop_median_seconds"]) == (1, 0, None)


def test_successful_upgrades_are_cumulated_by_version(core):
    core.sync(1)
    core.task("a", success=3).task("b", success=2, fail=5).task("waits", wait=4)
    core.task("c", success=10, created_at="2026-03-04 00:00:00").task("none", created_at="2026-03-03 00:00:00")
    core.task("d", success=7, file_version="V2.0", created_at="2026-03-02 00:00:00")
    core.marts()
    assert [
        (row["file_version"], row["created_date"].day, row["success"], row["success_cumulated"])
        for row in core.rows("from marts.successful_upgrades_by_version order by all")
    ] == [("V1.0", 1, 5, 5), ("V1.0", 3, 0, 5), ("V1.0", 4, 10, 15), ("V2.0", 2, 7, 7)]
    (row,) = core.rows("from marts.successful_upgrades_by_version_between('2026-03-03 12:00:00', null)")
    assert row["success_cumulated"] == 10


def test_a_device_has_its_tasks_in_order_and_nobody_elses(core):
    core.sync(1)
    core.task("late", created_at="2026-03-02 00:00:00", status="failed", fail=1).aim("late", devices=["d1"])
    core.task("early", success=1, fail=1).aim("early", devices=["d2", "d1"])
    core.task("group", success=1).aim("group", groups=["d1"])
    core.task("other", success=1).aim("other", devices=["d2"])
    core.marts()
    rows = core.rows("from marts.device_history('d1')")
    assert [(row["operation_id"], row["status"], row["success_rate"]) for row in rows] == [
        ("early", "success", 0.5),
        ("late", "failed", 0.0),
    ]
    assert core.rows("from marts.device_history('d3')") == []


def test_a_task_that_names_a_device_twice_is_one_of_its_tasks(core):
    core.sync(1).task("t", success=2).aim("t", devices=["7", "7"]).marts()
    assert [row["operation_id"] for row in core.rows("from marts.device_history(7)")] == ["t"]


def test_progress_curves_show_each_change_at_its_age(core):
    core.looks(*hours(1, 2, 3))
    core.course(
        "a",
        (1, {"wait": 10}),
        (2, {"success": 4, "fail": 1, "wait": 5}),
        (3, {"success": 8, "timeout": 2}),
        created_at=at("00:30:00"),
    )
    core.insert("operation_history", operation_id="b", sync_id=2, observed_at=at("02:00:00"), status="wait")
    core.task("b", status="wait", created_at=at("02:00:00"))
    core.marts()
    rows = core.rows("from marts.progress_curves order by all")
    assert [
        (row["operation_id"], row["age_seconds"], row["status"], row["share_finished"], row["share_succeeded"])
        for row in rows
    ] == [
        ("a", 1800, "processing", 0, 0),
        ("a", 5400, "processing", 0.5, 0.4),
        ("a", 9000, "success", 1, 0.8),
        ("b", 0, "wait", None, None),
    ]
    between = core.rows("from marts.progress_curves_between('2026-03-01 00:31:00', null)")
    assert [row["operation_id"] for row in between] == ["b"]


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
    core.course("gone", (1, {"wait": 1}), created_at=at("00:00:00"), model="NB-3", status="wait", removed_at=DAY)
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


def test_lake_months_say_which_sync_last_rewrote_a_month(core):
    core.sync(1).sync(2, mode="incremental", finished_at="2026-03-05 00:00:00")
    for month, sync_id in (("2026-02", 1), ("2026-03", 2)):
        core.insert(
            "_lake_files", table_name="operations", created_month=month, rows=5, bytes=9, sha256="x", sync_id=sync_id
        )
    core.marts()
    rows = core.rows("from marts.lake_months")
    assert [(row["created_month"], row["rows"], row["last_sync_id"], row["last_sync_mode"]) for row in rows] == [
        ("2026-02", 5, 1, "full"),
        ("2026-03", 5, 2, "incremental"),
    ]
    assert rows[1]["last_rewritten_at"] == at("2026-03-05 00:00:00")


def test_counter_identities_show_where_the_timeouts_of_a_model_are(core):
    core.sync(1)
    for number, (model, values) in enumerate(
        [
            ("in", {"fail": 3, "timeout": 1, "total": 3, "timeout_in_fail": True}),
            ("in", {"success": 3}),
            ("beside", {"fail": 3, "timeout": 1, "timeout_in_fail": False}),
            ("both", {"fail": 3, "timeout": 1, "timeout_in_fail": False}),
            ("both", {"fail": 3, "timeout": 1, "total": 3, "timeout_in_fail": True}),
            ("silent", {"success": 3}),
            ("broken", {"success": 3, "total": 9}),
        ]
    ):
        core.task(str(number), model=model).result(str(number), **values)
    core.task("derived", model="silent").result("derived", fail=3, timeout=1)
    core.connection.execute("update core.operation_results set total_is_derived = true where operation_id = 'derived'")
    core.marts()
    found = {
        row["model"]: (
            row["timeouts"],
            row["operations"],
            row["total_is_derived"],
            row["no_timeouts"],
            row["timeout_inside_fail"],
            row["timeout_beside_fail"],
            row["neither"],
        )
        for row in core.rows("from marts.counter_identities")
    }
    assert found == {
        "in": ("inside", 2, 0, 1, 1, 0, 0),
        "beside": ("beside", 1, 0, 0, 0, 1, 0),
        "both": ("both", 2, 0, 0, 1, 1, 0),
        "silent": ("unknown", 2, 1, 1, 0, 0, 0),
        "broken": ("unknown", 1, 0, 0, 0, 0, 1),
    }
