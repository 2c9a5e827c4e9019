"""`iodm backtest` as a real process: for people, for programs, on little and on nothing, and what it refuses."""

import csv
import io
import json

import pytest

from pipelines.warehouse import Warehouse
from support.commands import Iodm
from support.core import Core

pytestmark = pytest.mark.e2e

DAY = "2026-03-01"
DEFAULTS = ["failure_rate > 0.1 after 50 finished", "hawkbit 10%", "aws 10% after 50"]


def served(folder, core):
    """A command in a folder whose warehouse serves this."""
    core.marts().publish(Warehouse(folder / "warehouse"))
    core.connection.close()
    return Iodm(folder, {})


@pytest.fixture
def fleet(tmp_path):
    """A bad version with 24 tasks, a good one that began badly, one that a gap of four hours hides; hourly looks."""
    core = Core().looks(*(f"{DAY} {hour:02}:00:00" for hour in (*range(8), *range(12, 15))))
    begins_badly = {"success": 5, "fail": 3, "wait": 4}
    for number in range(24):
        states = (2, begins_badly | {"wait": 4 + number}), (5, {"success": 8 + number, "fail": 4})
        core.course(f"bad-{number:02}", *states, created_at=f"{DAY} 00:30:00", file_version="V-bad")
    states = (3, {"success": 90, "fail": 10, "wait": 300}), (6, {"success": 390, "fail": 10})
    core.course("good", *states, created_at=f"{DAY} 01:30:00", file_version="V-good")
    states = (3, {"wait": 100}), (9, {"success": 60, "fail": 40})
    core.course("hidden", *states, created_at=f"{DAY} 01:30:00", file_version="V-hidden")
    return served(tmp_path, core)


def test_rules_are_tried_on_the_past_and_all_formats_say_the_same(fleet):
    shown = fleet.ok("backtest")
    found = json.loads(fleet.ok("backtest", "--format", "json"))
    lines = list(csv.DictReader(io.StringIO(fleet.ok("backtest", "--format", "csv"))))
    assert [row["rule"] for row in found["summary"]] == DEFAULTS
    assert [{name: str(value) for name, value in row.items()} for row in found["summary"]] == lines
    same = {"rollouts": 3, "left_out": 1, "judged": 2, "under_way": 0, "good": 1, "bad": 1, "bad_not_stopped": 0}
    spared = sum(4 + number for number in range(24))
    assert found["summary"] == [
        {"rule": DEFAULTS[0]}
        | same
        | {"stopped": 1, "good_stopped": 0, "devices_spared": spared, "failures_after": 24},
        {"rule": DEFAULTS[1]}
        | same
        | {"stopped": 1, "good_stopped": 0, "devices_spared": spared, "failures_after": 24},
        {"rule": DEFAULTS[2]}
        | same
        | {"stopped": 2, "good_stopped": 1, "devices_spared": spared + 300, "failures_after": 24},
    ]
    assert [(row["rule"], row["file_version"], row["looked_at"]) for row in found["stopped"]] == [
        (DEFAULTS[0], "V-bad", f"{DAY} 01:00:00"),
        (DEFAULTS[1], "V-bad", f"{DAY} 01:00:00"),
        (DEFAULTS[2], "V-bad", f"{DAY} 01:00:00"),
        (DEFAULTS[2], "V-good", f"{DAY} 02:00:00"),
    ]
    (left_out,) = found["left_out"]
    assert (left_out["file_version"], left_out["unobserved_from"], left_out["unobserved_until"]) == (
        "V-hidden",
        f"{DAY} 07:00:00",
        f"{DAY} 12:00:00",
    )
    assert [rule["means"] for rule in found["rules"]] == [
        "failure_rate > 0.1 after 50 finished",
        "failure_rate_of_total > 0.1",
        "failure_rate >= 0.1 after 50 finished",
    ]
    assert (found["by"], found["snapshot"]["target_success_rate"]) == ("model_version", 0.95)
    assert "target 95%" in shown
    assert "Stopped by aws 10% after 50 (failure_rate >= 0.1 after 50 finished): 2" in shown
    assert "1 of 3 rollouts are left out" in shown
    assert "sync more often than every 2 hours" in shown


def test_a_rule_of_ones_own_is_tried_by_task_and_in_a_window(fleet):
    rule = "failure_rate >= 37.5%"
    shown = fleet.ok("backtest", "--rule", rule, "--by", "task")
    assert "4 more, which spare less" in shown
    assert "bad-23" in shown
    assert "bad-03" not in shown
    found = json.loads(fleet.ok("backtest", "--rule", rule, "--rule", rule, "--by", "task", "--format", "json"))
    assert {row["operation_id"] for row in found["stopped"]} == {f"bad-{number:02}" for number in range(24)}
    window = ("--since", f"{DAY}T01:00:00", "--until", "2026-03-02")
    (row,) = json.loads(fleet.ok("backtest", "--rule", rule, *window, "--format", "json"))["summary"]
    assert (row["rollouts"], row["judged"], row["stopped"]) == (2, 1, 0)
    shown = fleet.ok("backtest", "--rule", rule, *window)
    assert shown.count("Stopped by") == 1
    assert f"a version on a model each, begun from {DAY} 01:00:00 and before 2026-03-02 (UTC): " in shown
    assert "upgrade tasks in the file, observed" in shown


def test_what_is_no_rule_is_refused_with_what_can_be_written(fleet):
    line = fleet.fails(2, "backtest", "--rule", "failure_rate > 10")
    for part in ("10 percent is written 10%", *DEFAULTS, "failure_rate_of_total"):
        assert part in line
    assert fleet.run("backtest", "--by", "week").returncode == 2


def test_an_empty_warehouse_has_no_rollouts_and_says_so(tmp_path):
    empty = served(tmp_path, Core().sync(1))
    found = json.loads(empty.ok("backtest", "--format", "json"))
    assert [(row["rule"], row["rollouts"], row["stopped"]) for row in found["summary"]] == [
        (rule, 0, 0) for rule in DEFAULTS
    ]
    assert (found["stopped"], found["left_out"]) == ([], [])
    shown = empty.ok("backtest")
    assert "Stopped by hawkbit 10% (failure_rate_of_total > 0.1): 0" in shown
    assert "left out:" not in shown
    assert len(empty.ok("backtest", "--format", "csv").splitlines()) == 4


def test_too_little_memory_is_an_error_of_storage_that_says_what_to_set(tmp_path):
    core = Core().looks(f"{DAY} 00:00:00", f"{DAY} 01:00:00")
    core.connection.execute(
        "insert into core.operations by name select range::varchar as operation_id, 'success' as status, "
        f"timestamp '{DAY} 00:30:00' as created_at, range::varchar as model from range(300_000)"
    )
    core.connection.execute(
        "insert into core.operation_history by name select operation_id, 2 as sync_id, status from core.operations"
    )
    line = served(tmp_path, core).fails(4, "backtest", IODM_MEMORY_LIMIT="5MB")
    assert "IODM_MEMORY_LIMIT" in line


def test_a_synced_warehouse_can_be_asked_too(synced):
    rollouts = json.loads(synced.ok("sql", "select count(*) as n from marts.rollouts(true)", "--format", "json"))
    found = json.loads(synced.ok("backtest", "--by", "task", "--format", "json"))
    assert rollouts == [{"n": 450}]
    assert {row["rollouts"] for row in found["summary"]} == {450}
    assert len(found["left_out"]) == found["summary"][0]["left_out"] > 0
