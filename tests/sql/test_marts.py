"""Rows in, rows out for every mart; roll-ups are sums over sums, whatever is rolled up."""

import datetime as dt
import itertools
from pathlib import Path

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.models import load
from support.core import Core
from support.records import record
from support.reports import only_reports

at = dt.datetime.fromisoformat

DIMENSIONS = {
    "success_by_day": ("created_date",),
    "success_by_week": ("created_week",),
    "success_by_month": ("created_month",),
    "success_by_type": ("operation_type",),
    "success_by_manufacturer": ("manufacturer_name",),
    "success_by_model": ("manufacturer_name", "model", "device_type"),
    "success_by_version": ("file_version",),
    "success_by_model_version": ("manufacturer_name", "model", "device_type", "file_version"),
    "success_by_policy": ("execute_type", "retry_enabled"),
    "success_by_group": ("device_group",),
}
COUNTERS = ("total", "wait", "processing", "success", "fail", "stop", "timeout")


@pytest.fixture(scope="module")
def fleet():
    """Five tasks of two models on two days: one without devices, one without statistics, one unfinished."""
    core = Core().sync(1)
    core.task("a", success=90, fail=5, timeout=5)
    core.task("b", success=80, fail=20, created_at="2026-03-02 23:59:59", file_version="V2.0")
    core.task("c", model="NB-2", operation_type="software_upgrade", wait=7, total=7, created_at="2026-03-02 00:00:00")
    core.task("empty", model="NB-2", total=0, created_at="2026-03-02 10:00:00")
    core.task("silent", model=None, manufacturer_name=None, file_version=None)
    core.insert("operation_policies", operation_id="a", execute_type="now", retry_enabled=True, retry_times=2)
    for operation_id, groups, devices in (("a", ["north"], 0), ("b", ["north", "south"], 0), ("c", ["south"], 1)):
        core.aim(operation_id, groups=groups, devices=[f"d{number}" for number in range(devices)])
    yield core.marts()
    core.connection.close()


def test_operation_outcomes_has_every_task_once_with_everything_joined(fleet):
    rows = {row["operation_id"]: row for row in fleet.rows("from marts.operation_outcomes")}
    assert set(rows) == {"a", "b", "c", "empty", "silent"}
    a = rows["a"]
    assert (a["execute_type"], a["retry_enabled"], a["retry_times"]) == ("now", True, 2)
    assert (a["total"], a["success"], a["fail"], a["timeout"], a["finished"], a["success_rate"]) == (
        100,
        90,
        5,
        5,
        100,
        0.9,
    )
    assert (a["created_date"], a["created_month"]) == (dt.date(2026, 3, 1), "2026-03")
    assert (rows["silent"]["total"], rows["silent"]["success_rate"], rows["silent"]["execute_type"]) == (
        None,
        None,
        None,
    )
    assert (rows["empty"]["finished"], rows["empty"]["success_rate"]) == (0, None)


def test_success_by_model_row_for_row(fleet):
    rows = {row["model"]: row for row in fleet.rows("from marts.success_by_model")}
    assert set(rows) == {"NB-1", "NB-2", None}
    first = rows["NB-1"]
    assert (first["operations"], first["operations_finished"], first["finished"]) == (2, 2, 200)
    assert {name: first[name] for name in COUNTERS} == {
        "total": 200,
        "wait": 0,
        "processing": 0,
        "success": 170,
        "fail": 25,
        "stop": 0,
        "timeout": 5,
    }
    assert first["success_rate"] == pytest.approx(0.85)
    assert first["rate_of_total"] == pytest.approx(0.85)
    assert first["verdict"] == "too_few"
    second = rows["NB-2"]
    assert (second["operations"], second["operations_finished"], second["total"], second["wait"]) == (2, 0, 7, 7)
    assert (second["success_rate"], second["success_rate_lower"], second["rate_of_total"]) == (None, None, 0)
    assert (second["clustered_lower"], second["clustered_upper"], second["verdict"]) == (0, 1, "too_few")
    silent = rows[None]
    assert (
        silent["operations"],
        silent["total"],
        silent["finished"],
        silent["success_rate"],
        silent["rate_of_total"],
    ) == (1, 0, 0, None, None)


@pytest.mark.parametrize(
    ("mart", "expected"),
    [
        ("success_by_day", {dt.date(2026, 3, 1): (2, 100, 0.9), dt.date(2026, 3, 2): (3, 100, 0.8)}),
        ("success_by_type", {"firmware_upgrade": (4, 200, 0.85), "software_upgrade": (1, 0, None)}),
        ("success_by_manufacturer", {"Acme": (4, 200, 0.85), None: (1, 0, None)}),
        ("success_by_version", {"V1.0": (3, 100, 0.9), "V2.0": (1, 100, 0.8), None: (1, 0, None)}),
        ("success_by_week", {dt.date(2026, 2, 23): (2, 100, 0.9), dt.date(2026, 3, 2): (3, 100, 0.8)}),
        ("success_by_month", {"2026-03": (5, 200, 0.85)}),
        ("success_by_group", {"north": (1, 100, 0.9), None: (4, 100, 0.8)}),
    ],
)
def test_each_roll_up_has_its_groups(fleet, mart, expected):
    (dimension,) = DIMENSIONS[mart]
    found = {
        row[dimension]: (row["operations"], row["finished"], row["success_rate"] and round(row["success_rate"], 9))
        for row in fleet.rows(f"from marts.{mart}")
    }
    assert found == expected


def test_success_by_policy_keeps_apart_who_is_tried_again(fleet):
    found = {
        (row["execute_type"], row["retry_enabled"]): row["operations"]
        for row in fleet.rows("from marts.success_by_policy")
    }
    assert found == {("now", True): 1, (None, None): 4}


def test_success_by_model_version_is_one_row_for_each_pair(fleet):
    found = {
        (row["model"], row["file_version"]): row["operations"]
        for row in fleet.rows("from marts.success_by_model_version")
    }
    assert found == {("NB-1", "V1.0"): 1, ("NB-1", "V2.0"): 1, ("NB-2", "V1.0"): 2, (None, None): 1}


def test_a_task_with_nothing_to_do_counts_as_an_operation_and_never_as_success(core):
    core.sync(1).task("empty", total=0, status="success").task("other", success=1, fail=1).marts()
    (row,) = core.rows("from marts.success_by_type")
    assert (row["operations"], row["operations_finished"], row["success_rate"]) == (2, 1, 0.5)


def test_snapshot_says_what_the_file_is(core):
    core.sync(1, grade="proven", finished_at="2026-03-03 10:00:00").sync(2, total_after=5)
    core.task("a").task("b", removed_at="2026-03-03 00:00:00")
    core.insert("quarantine", operation_id="x", first_sync_id=1, last_sync_id=1, reason="r", record="x")
    core.insert("quarantine", operation_id="a", first_sync_id=1, last_sync_id=1, reason="r", record="y")
    core.marts()
    (row,) = core.rows("from marts.snapshot")
    assert isinstance(row.pop("published_at"), dt.datetime)
    assert [row] == [
        {
            "publication": 7,
            "sync_id": 2,
            "mode": "full",
            "grade": "counted",
            "observed_at": at("2026-03-04T12:01:00"),
            "total_after": 5,
            "last_proven_sync_id": 1,
            "last_proven_at": at("2026-03-03T10:00:00"),
            "last_full_at": at("2026-03-04T12:01:00"),
            "operations": 2,
            "operations_removed": 1,
            "operations_outside_rates": 1,
            "target_success_rate": 0.95,
        }
    ]


def test_the_marts_of_an_empty_warehouse_are_empty(core):
    core.sync(1).marts()
    assert len(core.rows("from marts.snapshot")) == 1
    for mart in DIMENSIONS:
        assert core.rows(f"from marts.{mart}") == []


def test_success_overall_adds_up_every_task_and_of_none_it_says_nothing(fleet):
    (row,) = fleet.rows("from marts.success_overall")
    (parts,) = fleet.rows(
        "select sum(operations) as operations, sum(success) as success, sum(finished) as finished "
        "from marts.success_by_version"
    )
    assert {name: row[name] for name in parts} == parts
    assert row["success_rate"] == row["success"] / row["finished"]
    assert row["clustered_lower"] <= row["success_rate_lower"] < row["success_rate"] < row["success_rate_upper"]
    (row,) = fleet.rows("from marts.success_overall_between('2031-01-01', null)")
    assert (row["operations"], row["finished"], row["success_rate"], row["verdict"]) == (0, 0, None, "too_few")


def test_every_mart_is_tested():
    """Roll-ups and what they are made of here, the others in files of their own, which name them."""
    about = ("courses", "equal_age", "stalled_operations", "outliers", "backtest")
    elsewhere = "".join((Path(__file__).parent / f"test_{name}.py").read_text() for name in about)
    named = {name for name in load("marts") if f"marts.{name}" in elsewhere}
    assert {*DIMENSIONS, "success_overall", "operation_outcomes", "snapshot", *named} == set(load("marts"))


@pytest.mark.parametrize("mart", DIMENSIONS)
def test_a_window_starts_at_since_and_ends_before_until(fleet, mart):
    def ids(since, until):
        between = fleet.rows(f"select sum(operations) as n from marts.{mart}_between($1, $2)", [since, until])
        return between[0]["n"] or 0

    assert ids(None, None) == 5
    assert ids("2026-03-02", None) == 3
    assert ids(None, "2026-03-02") == 2
    assert ids("2026-03-02 00:00:00", "2026-03-02 23:59:59") == 2
    assert ids("2026-03-02 23:59:59", "2026-03-03") == 1
    assert ids(at("2026-03-01T08:00:00"), at("2026-03-01T08:00:00")) == 0
    assert ids(dt.date(2026, 3, 1), dt.date(2026, 3, 3)) == 5
    assert fleet.rows(f"from marts.{mart}_between(null, null) order by all") == fleet.rows(
        f"from marts.{mart} order by all"
    )


@pytest.mark.parametrize("mart", DIMENSIONS)
def test_a_mart_has_its_dimensions_then_the_measures_in_one_order(fleet, mart):
    columns = [row["column_name"] for row in fleet.rows(f"select column_name from (describe marts.{mart})")]
    assert columns == [
        *DIMENSIONS[mart],
        "operations",
        "operations_finished",
        *COUNTERS,
        "finished",
        "success_rate",
        "success_rate_lower",
        "success_rate_upper",
        "clustered_lower",
        "clustered_upper",
        "rate_of_total",
        "verdict",
    ]


counts = st.one_of(st.just(0), st.integers(0, 60), st.integers(0, 10**9))
a_task = st.fixed_dictionaries(
    {
        "operation_type": st.sampled_from(["firmware_upgrade", "software_upgrade"]),
        "manufacturer_name": st.sampled_from(["Acme", "Hanlux", None]),
        "model": st.sampled_from(["NB-1", "NB-2", None]),
        "device_type": st.sampled_from(["WaterMeter", None]),
        "file_version": st.sampled_from(["V1", "V2", None]),
        "created_at": st.sampled_from(
            ["2026-02-28 23:59:59", "2026-03-01 00:00:00", "2026-03-01 23:59:59", "2026-03-02 00:00:00", "2026-04-07"]
        ),
        "policy": st.sampled_from([None, ("now", True), ("now", False), ("custom", None)]),
        "groups": st.sampled_from([(), ("north",), ("south",), ("north", "south")]),
        "devices": st.sampled_from([(), ("d1",)]),
        "counters": st.none() | st.fixed_dictionaries(dict.fromkeys(COUNTERS[1:], counts)),
    }
)


def filled(tasks):
    """A published file with these tasks."""
    core = Core().sync(1)
    for number, task in enumerate(tasks):
        parts = ("policy", "groups", "devices", "counters")
        fields = {name: value for name, value in task.items() if name not in parts}
        core.task(str(number), **fields, **(task["counters"] or {}))
        core.aim(str(number), groups=task["groups"], devices=task["devices"])
        if task["policy"]:
            execute_type, retry_enabled = task["policy"]
            core.insert(
                "operation_policies", operation_id=str(number), execute_type=execute_type, retry_enabled=retry_enabled
            )
    return core.marts()


@settings(max_examples=12)
@given(st.lists(a_task, max_size=12))
def test_every_roll_up_is_sum_over_sum_within_bounds(tasks):
    core = filled(tasks)
    outcomes = core.rows("from marts.operation_outcomes")
    for mart, dimensions in DIMENSIONS.items():
        rows = core.rows(f"from marts.{mart}")
        assert sum(row["operations"] for row in rows) == len(tasks)
        keys = {tuple(row[name] for name in dimensions) for row in rows}
        assert keys == {tuple(task[name] for name in dimensions) for task in outcomes}
        assert len(keys) == len(rows)
        for row in rows:
            is_sum_over_sum(row, [task for task in outcomes if all(task[name] == row[name] for name in dimensions)])
    core.connection.close()


def is_sum_over_sum(row, group):
    """The row of a roll-up against the tasks that it is made of."""
    assert row["operations"] == len(group)
    for name in COUNTERS:
        assert row[name] == sum(task[name] or 0 for task in group)
    assert row["finished"] == row["success"] + row["fail"] + row["timeout"]
    assert row["operations_finished"] == sum(bool(task["finished"]) for task in group)
    assert row["rate_of_total"] == (pytest.approx(row["success"] / row["total"]) if row["total"] else None)
    if row["finished"] < 30 or row["operations_finished"] < 3:
        assert row["verdict"] == "too_few"
    else:
        is_ok, is_bad = row["clustered_lower"] >= 0.95, row["clustered_upper"] < 0.95
        assert row["verdict"] == ("ok" if is_ok else "bad" if is_bad else "watch")
    if not row["finished"]:
        assert (row["success_rate"], row["success_rate_lower"], row["success_rate_upper"]) == (None, None, None)
        return
    assert row["success_rate"] == pytest.approx(row["success"] / row["finished"])
    ends = [
        0,
        row["clustered_lower"],
        row["success_rate_lower"],
        row["success_rate"],
        row["success_rate_upper"],
        row["clustered_upper"],
        1,
    ]
    assert all(low <= high + 1e-9 for low, high in itertools.pairwise(ends))


@settings(max_examples=6)
@given(st.lists(a_task, max_size=12), st.sampled_from(["2026-03-01", "2026-03-02", "2026-05-01"]))
def test_a_roll_up_is_the_sum_of_its_two_windows_however_they_are_cut(tasks, cut):
    with only_reports(*DIMENSIONS):
        core = filled(tasks)
    measures = ", ".join(f"sum({name})::bigint as {name}" for name in ("operations", "operations_finished", *COUNTERS))
    for mart, dimensions in DIMENSIONS.items():
        whole, parts = (
            core.rows(
                f"select {', '.join(dimensions)}, {measures} from ({source}) group by all order by all", parameters
            )
            for source, parameters in (
                (f"from marts.{mart}", None),
                (f"from marts.{mart}_between(null, $1) union all from marts.{mart}_between($1, null)", [cut]),
            )
        )
        assert whole == parts
    core.connection.close()


def test_every_roll_up_is_among_those():
    assert set(DIMENSIONS) == {name for name in load("marts") if name.startswith("success_by_")}


def test_one_task_tells_nothing_of_how_tasks_differ(core):
    core.sync(1).task("only", success=40, fail=1).marts()
    (row,) = core.rows("from marts.success_by_type")
    assert (row["clustered_lower"], row["clustered_upper"]) == (0, 1)


def test_macros_work_for_somebody_who_attaches_the_file_under_another_name(store):
    store.apply([record()])
    with duckdb.connect() as connection:
        connection.execute(f"attach '{store.warehouse.served_file()}' as iodm (read_only)")
        connection.execute("use iodm")
        assert connection.execute(
            "select success_rate(sum(success), sum(fail), sum(timeout)) from core.operation_results"
        ).fetchall() == [(1.0,)]
        assert len(connection.execute("from marts.success_by_model_between(null, '2027-01-01')").fetchall()) == 1
