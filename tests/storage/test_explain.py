"""From a number back to what the platform said: every rate leads to raw records whose counters add up to it."""

import hashlib
import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from pipelines.errors import SettingsError, StorageError
from pipelines.explain import explain, explain_record
from pipelines.models import load
from support.histories import histories
from support.records import Store, counters, encode, record, reply_of
from support.reports import only_reports

MARTS = ["success_by_version", "success_by_model_version", "success_by_policy", "success_by_month", "success_by_group"]
WITHOUT_TASKS = ["success_at_age", "outcomes_at_age", "rollouts_at_equal_age", "snapshot"]


@pytest.fixture(scope="module", autouse=True)
def _only_what_is_explained():
    with only_reports(*MARTS, *WITHOUT_TASKS, "success_overall", "success_by_type", "success_by_day"):
        yield


@pytest.fixture(scope="module")
def one_task(tmp_path_factory):
    """A published task, for tests that only ask."""
    store = Store(tmp_path_factory.mktemp("one_task"))
    store.apply([record("a")])
    return store.warehouse


def dicts(result):
    return [dict(zip(result.columns, row, strict=True)) for row in result.rows]


def outcome(text):
    """Successful and finished devices by the rules of the contract, from a record as received, without any SQL."""
    result = json.loads(text).get("staResult")
    if not result:
        return 0, 0
    sent = {name: int(result.get(name) or 0) for name in ("wait", "processing", "success", "fail", "stop", "timeout")}
    fail, total = sent["fail"], result.get("total")
    if sent["timeout"] and total is not None:
        beside = sum(sent.values())
        if int(total) == beside - sent["timeout"]:
            fail = max(0, fail - sent["timeout"])
    return sent["success"], sent["success"] + fail + sent["timeout"]


@settings(max_examples=4, phases=[Phase.explicit, Phase.reuse, Phase.generate])  # shrinking takes minutes
@given(histories, st.sampled_from(MARTS), st.booleans())
def test_every_row_leads_to_records_that_were_received_and_add_up_to_it(history, mart, prunes):
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder))
        bodies = {}
        for sync in history:
            store.sync(*sync)
            for number, page in enumerate(sync):
                reply = reply_of(page, page_no=number)
                bodies[hashlib.sha256(reply.body).hexdigest()] = [encode(each).decode() for each in page]
        store.publish()
        if prunes:
            store.prune()
        model = load("marts")[mart]
        for row in store.rows(f"from marts.{mart}"):
            key = [(name, row[name]) for name in model.key]
            where = " and ".join(f"{name} is not distinct from {literal(value)}" for name, value in key)
            explanation = explain(store.warehouse, mart, where)
            assert dicts(explanation.rows) == [row]
            tasks = dicts(explanation.tasks)
            assert len(tasks) == row["operations"] == explanation.sums["operations"]
            outcomes = [outcome(task["record"]) for task in tasks]
            assert sum(success for success, _ in outcomes) == row["success"] == explanation.sums["success_received"]
            assert sum(finished for _, finished in outcomes) == row["finished"] == explanation.sums["finished_received"]
            for task in tasks:
                if task["response_sha256"] is not None:
                    assert task["record"] in bodies[task["response_sha256"]]
            assert prunes or all(task["response_sha256"] for task in tasks)


def literal(value):
    return "null" if value is None else "'" + str(value).replace("'", "''") + "'"


def test_many_syncs_behind_a_rate_take_no_more_memory_than_few(store):
    for number in range(12):
        store.sync([record(f"t{number}")])
    store.publish()
    assert explain(store.warehouse, "success_overall", memory_limit="1GB").sums["operations"] == 12


def test_a_task_shows_the_response_behind_each_state_that_syncs_met(store):
    states = [counters(wait=2), counters(processing=1, success=1), counters(success=1, fail=1)]
    pages = [[record("other"), record("t", status="processing", staResult=each)] for each in states]
    for page in pages:
        store.sync(page)
    store.apply([*pages[-1]], [record("more")])
    history = explain_record(store.warehouse, "t")
    assert history.task["success"] == 1
    assert history.set_aside is None
    assert [
        (state["sync_id"], state["success"], json.loads(state["record"])["staResult"])
        for state in dicts(history.states)
    ] == [(number, each["success"], each) for number, each in enumerate(states, 1)]
    hashes = [hashlib.sha256(reply_of(page).body).hexdigest() for page in pages]
    assert [state["response_sha256"] for state in dicts(history.states)] == hashes
    assert (history.record["sync_id"], history.record["response_sha256"]) == (3, hashes[2])
    assert "pageNo=0" in history.record["request"]


def test_of_responses_that_were_dropped_the_record_is_kept_and_said_to_have_no_response(store):
    store.sync([record("t", status="processing", staResult=counters(wait=1))])
    store.sync([record("t", status="success", staResult=counters(success=1))])
    store.apply([record("u")])
    assert store.prune() >= 0
    assert not list(store.warehouse.raw.glob("synced_date=*/sync=000002"))
    history = explain_record(store.warehouse, "t")
    assert json.loads(history.record["record"])["status"] == "success"
    assert (history.record["sync_id"], history.record["response_sha256"]) == (2, None)
    assert [state["record"] is None for state in dicts(history.states)] == [True, False]


def test_where_a_task_came_twice_in_a_sync_the_newest_response_is_the_one(store):
    store.apply([record("t", status="processing", staResult=counters(wait=1))], [record("t")])
    assert json.loads(explain_record(store.warehouse, "t").record["record"])["status"] == "success"
    assert explain_record(store.warehouse, "t").record["response"] == 2


def test_a_record_that_is_set_aside_is_shown_with_its_reason_beside_the_older_good_one(store):
    store.sync([record("t")], [record("u")])
    store.apply([record("t", createTime=None), record("v", createTime=None), record("u")])
    known = explain_record(store.warehouse, "t")
    assert (known.task["operation_id"], json.loads(known.record["record"])["createTime"]) == ("t", "20260301T080000Z")
    assert (known.set_aside["sync_id"], known.set_aside["response"]) == (2, 3)
    assert "createTime" in known.set_aside["reason"]
    only = explain_record(store.warehouse, "v")
    assert (only.task, only.record, only.set_aside["response"]) == (None, None, 3)
    assert json.loads(only.set_aside["record"])["operationId"] == "v"


@pytest.mark.parametrize("prunes", [False, True])
def test_a_record_that_was_broken_by_the_rules_of_its_time_is_found_where_it_was_set_aside(store, prunes):
    good = [record(name, createTime="20260301T080000Z") for name in ("a", "b", "c", "d")]
    folder = store.sync([None, *good])
    line = json.loads((folder / "quarantine.jsonl").read_text())
    again = line | {"operation_id": "once", "record": json.dumps(record("once", staResult=counters(success=1, fail=2)))}
    (folder / "quarantine.jsonl").write_text(json.dumps(again) + "\n")
    if prunes:
        store.sync([record("x")])
    store.publish()
    if prunes:
        store.prune()
    explanation = explain(store.warehouse, "operation_outcomes", "operation_id = 'once'")
    assert [task["finished"] for task in dicts(explanation.tasks)] == [3]
    assert explanation.sums["finished_received"] == 3


def test_a_window_and_a_limit_show_fewer_tasks_and_the_sums_are_of_all_in_the_window(store):
    store.apply([record("a", createTime="20260301T080000Z"), record("b"), record("c", createTime="20260401T000000Z")])
    since = store.row("select timestamp '2026-03-15' as t")["t"]
    all_of_them = explain(store.warehouse, "success_by_type", limit=1)
    assert (all_of_them.sums["operations"], len(all_of_them.tasks.rows)) == (3, 1)
    late = explain(store.warehouse, "success_by_type", since=since)
    assert [task["operation_id"] for task in dicts(late.tasks)] == ["c"]
    assert (
        late.query
        == "from marts.success_by_type_between('2026-03-15 00:00:00', null) where true order by operation_type"
    )
    assert dicts(late.rows) == store.rows(late.query)


def test_values_are_compared_as_they_are_quotes_and_nulls_too(store):
    store.apply([record("a", extendPara={"fileVersion": 'O\'Brien "1"'}), record("b", extendPara=None)])
    explanation = explain(store.warehouse, "success_by_version", "file_version = 'O''Brien \"1\"'")
    assert [task["operation_id"] for task in dicts(explanation.tasks)] == ["a"]
    explanation = explain(store.warehouse, "success_by_version", "file_version is null")
    assert [task["operation_id"] for task in dicts(explanation.tasks)] == ["b"]


def test_nothing_is_behind_no_rows(one_task):
    explanation = explain(one_task, "success_by_version", "false")
    assert (explanation.rows.rows, explanation.tasks.rows, explanation.sums["operations"]) == ([], [], 0)


@pytest.mark.parametrize(
    ("mart", "where", "message"),
    [
        ("nothing", "true", "there is no report 'nothing'"),
        ("success_at_age", "true", "there is no report 'success_at_age' whose rows are made of tasks"),
        ("rollouts_at_equal_age", "true", "there is no report 'rollouts_at_equal_age'"),
        ("snapshot", "true", "there is no report 'snapshot'"),
        ("success_by_day", "model = 'x'", "the condition failed: .*model"),
        ("success_by_day", "1 = (", "the condition failed"),
        ("success_by_day", "created_date = 'soon'", "the condition failed"),
    ],
)
def test_what_cannot_be_explained_is_said(one_task, mart, where, message):
    with pytest.raises(SettingsError, match=message):
        explain(one_task, mart, where)


def test_an_unknown_task_and_an_empty_warehouse_are_said(store, one_task):
    with pytest.raises(StorageError, match="nothing is published"):
        explain_record(store.warehouse, "a")
    with pytest.raises(SettingsError, match="knows no task 'b'"):
        explain_record(one_task, "b")


def test_a_memory_limit_that_is_too_small_is_said_to_be(one_task):
    with pytest.raises(StorageError, match="IODM_MEMORY_LIMIT"):
        explain(one_task, "success_by_version", memory_limit="1MB")


def test_a_raw_file_that_is_damaged_is_said_to_be(store):
    folder = store.sync([record("a")])
    store.publish()
    file = next(folder.glob("records-*"))
    file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(StorageError, match=r"can't be read|not as many bytes"):
        explain_record(store.warehouse, "a")
