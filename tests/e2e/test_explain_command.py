"""`iodm explain` as a real process: for people, for programs, and what it refuses."""

import csv
import io
import json

import pytest

pytestmark = pytest.mark.e2e


def test_a_rate_is_led_back_to_its_tasks_records_and_responses(synced):
    [row, *_] = json.loads(synced.ok("report", "--by", "version", "--format", "json"))
    where = f"file_version = '{row['file_version']}'"
    shown = synced.ok("explain", "--mart", "success_by_version", "--where", where)
    assert f"Behind it: {row['operations']:,} tasks, {row['success']:,} successes among {row['finished']:,}" in shown
    assert f"add up to {row['success']:,} among {row['finished']:,}: the same." in shown
    assert "Made by sql/marts/success_by_version.sql" in shown
    assert "Grade: counted" in shown
    assert f"{row['operations'] - 20:,} more tasks" in shown
    explained = json.loads(synced.ok("explain", "--mart", "success_by_version", "--where", where, "--format", "json"))
    assert explained["rows"] == [row]
    assert len(explained["tasks"]) == row["operations"]
    received = [task["record"]["staResult"] or {} for task in explained["tasks"]]
    assert sum(int(each.get("success", 0)) for each in received) == row["success"]
    lines = list(csv.DictReader(io.StringIO(synced.ok("explain", "--mart", "success_by_version", "--format", "csv"))))
    assert {line["operation_id"] for line in lines} >= {task["operation_id"] for task in explained["tasks"]}


def test_a_task_is_shown_with_its_record_and_history(synced):
    [task] = json.loads(
        synced.ok("sql", "select operation_id, _sync_id from core.operations order by all limit 1", "--format", "json")
    )
    shown = synced.ok("explain", "--record", task["operation_id"])
    assert f'"operationId": "{task["operation_id"]}"' in shown
    assert "response_sha256" in shown
    told = json.loads(synced.ok("explain", "--record", task["operation_id"], "--format", "json"))
    assert told["record"]["record"]["operationId"] == told["task"]["operation_id"] == task["operation_id"]
    assert [state["sync_id"] for state in told["states"]] == [1]
    assert len(told["states"][0]["response_sha256"]) == 64


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Say what to explain"),
        (["--mart", "success_by_day", "--record", "x"], "Say what to explain"),
        (["--record", "x", "--where", "true"], "--record shows one task"),
        (["--record", "x"], "knows no task 'x'"),
        (["--mart", "nothing"], "there is no report 'nothing'"),
        (["--mart", "success_by_day", "--where", "nonsense = 1"], "the condition failed"),
    ],
)
def test_what_cannot_be_explained_is_refused_with_what_to_do(synced, arguments, message):
    assert message in synced.fails(2, "explain", *arguments)


def test_without_a_published_file_it_says_what_to_do_first(iodm):
    assert "nothing is published" in iodm.fails(4, "explain", "--record", "x")
