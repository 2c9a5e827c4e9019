"""Rows in, rows out for the marts about the course of things: how long, how far, in which order, and when rewritten."""

import datetime as dt

import pytest

from support.core import at, hours
from support.reports import only_reports


@pytest.fixture(scope="module", autouse=True)
def _only_courses():
    with only_reports(
        *("operation_durations", "successful_upgrades_by_version", "device_history", "progress_curves"),
        *("lake_months", "counter_identities"),
    ):
        yield


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
