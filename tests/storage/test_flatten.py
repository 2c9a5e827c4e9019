"""Rows in, rows out: what each core table holds for records as the platform sends them, quirks included."""

import hashlib
from datetime import datetime, timedelta

import duckdb
import pytest

from pipelines.errors import StorageError
from pipelines.explain import explain_record
from pipelines.report import check
from pipelines.tables import TABLES
from support.records import T0, Store, counters, record, without

pytestmark = pytest.mark.usefixtures("few_reports")

at = datetime.fromisoformat
FIRST = (T0 + timedelta(hours=1)).replace(tzinfo=None)  # the instant of the first sync of a store


def flat(store, table, *records):
    """Rows of a core table after one sync of these records."""
    store.apply(list(records))
    order = ", ".join(next(each for each in TABLES if each.name == table).order_by)
    return store.rows(f"select * from core.{table} order by {order}")


def result(store, **values):
    (row,) = flat(store, "operation_results", record(staResult=counters(**values)))
    return row


def test_a_documented_task_becomes_one_row_in_each_table(store):
    store.apply([record()])
    found = store.everything()
    assert found["operations"] == [
        {
            "operation_id": "task-1",
            "operation_type": "firmware_upgrade",
            "status": "success",
            "status_text": "success",
            "created_at": at("2026-03-01T08:00:00"),
            "started_at": at("2026-03-01T08:05:00"),
            "stopped_at": at("2026-03-01T09:00:00"),
            "device_type": "WaterMeter",
            "model": "NB-1",
            "manufacturer_name": "Acme",
            "named_device_count": 2,
            "device_group_count": 0,
            "file_version": "V1.0",
            "extend_para": {"fileVersion": "V1.0"},
            "created_month": "2026-03",
            "removed_at": None,
            "_first_observed_at": FIRST,
            "_observed_at": FIRST,
            "_sync_id": 1,
            "_broken_fields": [],
        }
    ]
    assert found["operation_targets"] == [
        {
            "operation_id": "task-1",
            "target_type": "device",
            "position": position,
            "target_id": name,
            "_target_hash": int.from_bytes(hashlib.md5(name.encode()).digest(), "little") % 2**20,
        }
        for position, name in enumerate(["d-1", "d-2"])
    ]
    assert found["operation_policies"] == [
        {
            "operation_id": "task-1",
            "execute_type": "now",
            "start_at": None,
            "end_at": None,
            "retry_enabled": False,
            "retry_times": None,
        }
    ]
    assert found["operation_results"] == [
        {"operation_id": "task-1"}
        | counters(success=2)
        | {"total_is_derived": False, "fail_as_received": 0, "timeout_in_fail": None}
    ]
    assert found["operation_history"] == [
        {"operation_id": "task-1", "observed_at": FIRST, "sync_id": 1, "status": "success"} | counters(success=2)
    ]
    assert found["syncs"] == [
        {
            "sync_id": 1,
            "mode": "full",
            "grade": "counted",
            "started_at": FIRST,
            "finished_at": FIRST,
            "api_calls": 2,
            "pages": 1,
            "records": 1,
            "operations_new": 1,
            "operations_changed": 0,
            "total_after": 1,
            "quarantined": 0,
            "_undocumented_fields": [],
        }
    ]
    assert found["quarantine"] == []


def test_the_documents_own_example_is_read(store):
    example = {
        "operationId": "**********",
        "createTime": "20151212T121212Z",
        "startTime": "20151212T121212Z",
        "stopTime": None,
        "operateType": "software_upgrade",
        "targets": {
            "deviceGroups": None,
            "deviceType": "******",
            "model": "******",
            "manufacturerName": "***",
            "devices": ["**********"],
        },
        "policy": None,
        "status": "FAIL",
        "staResult": {"wait": 0, "processing": 0, "success": 0, "fail": 1, "stop": 0, "timeout": 0},
        "extendPara": {"fileVersion": "V1.1.10"},
    }
    store.apply([example])
    row = store.row("select * from core.operations join core.operation_results using (operation_id)")
    assert (row["status"], row["status_text"], row["total"], row["total_is_derived"]) == ("failed", "FAIL", 1, True)
    assert (row["stopped_at"], row["fail"], row["timeout_in_fail"]) == (None, 1, None)
    assert store.rows("from core.operation_policies") == []


def test_statuses_have_one_spelling_and_keep_their_own(store):
    spellings = {
        "FAIL": "failed",
        "fail": "failed",
        "failed": "failed",
        "Failed": "failed",
        "SUCCESS": "success",
        "Processing": "processing",
        " wait ": "wait",
        "STOP": "stop",
        "Paused": "paused",
        "": "",
        4: "4",
        None: None,
    }
    rows = flat(store, "operations", *(record(f"{number:02}", status=text) for number, text in enumerate(spellings)))
    assert [row["status"] for row in rows] == list(spellings.values())
    assert [row["status_text"] for row in rows] == [None if text is None else str(text) for text in spellings]


def test_a_missing_total_is_the_sum_and_says_so(store):
    row = result(store, wait=1, processing=2, success=3, fail=4, stop=5, timeout=6, total=None)
    assert (row["total"], row["total_is_derived"]) == (21, True)


def test_a_total_that_was_sent_stays_even_if_the_others_do_not_add_up(store):
    row = result(store, success=3, fail=4, total=100)
    assert (row["total"], row["total_is_derived"]) == (100, False)


def test_a_row_shows_whether_timeouts_are_counted_inside_fail(store):
    cases = [
        ({"success": 5, "fail": 4, "timeout": 3, "total": 9}, 1, True),
        ({"success": 5, "fail": 4, "timeout": 3, "total": 12}, 4, False),
        ({"success": 5, "fail": 4, "timeout": 3, "total": 50}, 4, None),
        ({"success": 5, "fail": 4, "timeout": 3, "total": None}, 4, None),
        ({"success": 5, "fail": 4, "timeout": 0, "total": 9}, 4, None),
        ({"success": 7, "fail": 2, "timeout": 3, "total": 9}, 0, True),
        ({"success": 5, "fail": None, "timeout": 3, "total": 5}, 0, True),
    ]
    sent = [record(str(number), staResult=counters(**values)) for number, (values, _, _) in enumerate(cases)]
    for row, (values, fail, inside) in zip(flat(store, "operation_results", *sent), cases, strict=True):
        assert (row["fail"], row["timeout_in_fail"]) == (fail, inside), values
        assert (row["fail_as_received"], row["timeout"]) == (values["fail"] or 0, values["timeout"]), values


def test_counters_that_were_not_sent_are_zero(store):
    row = result(store, total=None, wait=None, processing=None, success=None, fail=None, stop=None, timeout=None)
    assert row == {"operation_id": "task-1"} | counters() | {
        "total_is_derived": True,
        "fail_as_received": 0,
        "timeout_in_fail": None,
    }


def test_numbers_and_booleans_may_be_texts(store):
    texts = {name: str(value) for name, value in counters(success=3, fail=2, total=5).items()}
    policy = {"executeType": "now", "retryType": "True", "retryTimes": "3"}
    store.apply([record(staResult=texts, policy=policy)])
    row = store.row("select * from core.operation_results join core.operation_policies using (operation_id)")
    assert (row["success"], row["fail"], row["total"]) == (3, 2, 5)
    assert (row["retry_enabled"], row["retry_times"]) == (True, 3)


def test_every_spelling_of_a_boolean_means_what_it_says(store):
    spellings = [
        ("true", True),
        ("false", False),
        ("True", True),
        ("False", False),
        ("0", False),
        ("1", True),
        (1, True),
        (0, False),
        (True, True),
        (None, None),
    ]
    sent = [
        record(str(number), policy={"executeType": "now", "retryType": value})
        for number, (value, _) in enumerate(spellings)
    ]
    assert [row["retry_enabled"] for row in flat(store, "operation_policies", *sent)] == [
        meant for _, meant in spellings
    ]


def test_a_custom_policy_has_its_window(store):
    policy = {
        "executeType": "custom",
        "startTime": "20260302T000000Z",
        "endTime": "20260303T000000Z",
        "retryType": True,
        "retryTimes": 5,
    }
    (row,) = flat(store, "operation_policies", record(policy=policy))
    assert row == {
        "operation_id": "task-1",
        "execute_type": "custom",
        "start_at": at("2026-03-02T00:00:00"),
        "end_at": at("2026-03-03T00:00:00"),
        "retry_enabled": True,
        "retry_times": 5,
    }


def test_null_and_missing_mean_the_same(store):
    fields = ["policy", "staResult", "targets", "extendPara", "stopTime", "startTime", "operateType"]
    store.apply(
        [record(field, **{field: None}) for field in fields]
        + [without(record(f"no {field}"), field) for field in fields]
    )
    found = store.everything()
    for field in fields:
        for name in (field, f"no {field}"):
            (task,) = (row for row in found["operations"] if row["operation_id"] == name)
            parts = {
                table: sum(row["operation_id"] == name for row in rows)
                for table, rows in found.items()
                if table.startswith("operation_")
            }
            assert task["_broken_fields"] == []
            assert parts["operation_policies"] == (field != "policy")
            assert parts["operation_results"] == (field != "staResult")
            assert parts["operation_targets"] == (0 if field == "targets" else 2)
            assert (task["extend_para"] is None, task["file_version"] is None) == (field == "extendPara",) * 2
            (history,) = (row for row in found["operation_history"] if row["operation_id"] == name)
            assert (history["total"] is None) == (field == "staResult")


def test_devices_and_groups_may_come_together_and_may_be_empty(store):
    targets = record()["targets"]
    rows = flat(
        store,
        "operation_targets",
        record("both", targets=targets | {"deviceGroups": ["g-1", "g-2"]}),
        record("empty", targets=targets | {"deviceGroups": [], "devices": []}),
        record("groups", targets=targets | {"deviceGroups": ["g-1"], "devices": None}),
        record("repeated", targets=targets | {"devices": ["d", "d"]}),
    )
    assert [(row["operation_id"], row["target_type"], row["position"], row["target_id"]) for row in rows] == [
        ("both", "device", 0, "d-1"),
        ("both", "device", 1, "d-2"),
        ("both", "device_group", 0, "g-1"),
        ("both", "device_group", 1, "g-2"),
        ("groups", "device_group", 0, "g-1"),
        ("repeated", "device", 0, "d"),
        ("repeated", "device", 1, "d"),
    ]
    counts = store.rows("select operation_id, named_device_count, device_group_count from core.operations order by 1")
    assert [tuple(row.values()) for row in counts] == [
        ("both", 2, 2),
        ("empty", 0, 0),
        ("groups", 0, 1),
        ("repeated", 2, 0),
    ]


def test_extended_information_is_kept_as_it_came(store):
    (row,) = flat(
        store,
        "operations",
        record(extendPara={"channel": "beta", "n": 3, "flag": True, "none": None, "deep": {"a": [1]}}),
    )
    assert row["file_version"] is None
    kept = row["extend_para"]
    assert (kept["channel"], kept["n"], kept["flag"], kept["none"]) == ("beta", "3", "true", None)
    assert set(kept) == {"channel", "n", "flag", "none", "deep"}


def test_extended_information_that_is_no_longer_sent_is_no_longer_there(store):
    store.apply([record(extendPara={})])
    store.apply([record(extendPara=None)])
    assert store.row("select extend_para from core.operations") == {"extend_para": None}


def test_fields_that_the_documents_do_not_know_are_told_of(store):
    store.apply([record("a"), record("b", policy={"window": 1})])
    store.apply([record("a", newField=[1])], mode="incremental")
    assert store.rows("select sync_id, _undocumented_fields as fields from core.syncs order by all") == [
        {"sync_id": 1, "fields": []},  # one record of a page this short is searched
        {"sync_id": 2, "fields": ["newField"]},
    ]
    [row] = store.rows(
        "select offending_rows, example from marts.data_quality where check_name = 'fields_are_documented'"
    )
    assert row["offending_rows"] == 1
    assert "newField" in row["example"]


def test_a_file_of_a_version_with_other_columns_is_made_again_from_the_raw_store(store):
    store.apply([record("a")])
    file = store.warehouse.served_file()
    file.chmod(0o644)
    with duckdb.connect(str(file)) as connection:
        connection.execute("alter table core.syncs drop column _undocumented_fields")
    with pytest.raises(StorageError, match="another version of iodm") as caught:
        check(store.warehouse)
    assert "iodm rebuild" in caught.value.advice
    store.apply([record("b")], mode="incremental")
    assert [row["operation_id"] for row in store.rows("select operation_id from core.operations order by all")] == [
        "a",
        "b",
    ]
    assert len(store.rows("from core.syncs")) == 2
    assert check(store.warehouse)


def test_new_fields_change_nothing(store):
    sent = record(taskName="x", nested={"operationId": "other"})
    sent["staResult"]["conflict"] = 3
    sent["targets"]["region"] = ["north"]
    store.apply([record()])
    before = store.everything()
    store.apply([sent])
    after = store.everything()
    assert after["operations"] == before["operations"]
    assert after["operation_history"] == before["operation_history"]


def test_ids_are_opaque_texts(store):
    identities = [17, "18", 2**53 + 1, "ä/ö ü", "a'b", "../x", "null", "x" * 256, 2**63, 2**64 + 5, 10**30]
    found = flat(store, "operations", *map(record, identities))
    assert {row["operation_id"] for row in found} == {str(identity) for identity in identities}


def test_a_field_that_can_not_be_read_is_null_and_named(store):
    store.apply(
        [
            record(
                policy={"executeType": "custom", "startTime": "soon", "retryType": "perhaps", "retryTimes": "often"},
                targets=record()["targets"] | {"devices": [1, None]},
                stopTime="later",
            )
        ]
    )
    task, policy = store.row("from core.operations"), store.row("from core.operation_policies")
    assert sorted(task["_broken_fields"]) == [
        "policy.retryTimes",
        "policy.retryType",
        "policy.startTime",
        "stopTime",
        "targets.devices",
    ]
    assert (task["stopped_at"], task["named_device_count"]) == (None, 0)
    assert (policy["execute_type"], policy["start_at"], policy["retry_enabled"], policy["retry_times"]) == (
        "custom",
        None,
        None,
        None,
    )
    assert store.rows("from core.operation_targets") == []


def test_a_text_that_is_none_is_null_and_named(store):
    texts = {"status": {"a": 1}, "operateType": ["x"], "extendPara": "V1.0"}
    targets = {"deviceType": ["t"], "model": {"m": 1}, "manufacturerName": {}, "devices": ["d"]}
    store.apply([record(targets=targets, policy={"executeType": ["now"]}, **texts)])
    task = store.row("from core.operations join core.operation_policies using (operation_id)")
    nulls = ["operation_type", "status", "status_text", "device_type", "model", "manufacturer_name", "execute_type"]
    assert {name: task[name] for name in (*nulls, "extend_para")} == dict.fromkeys((*nulls, "extend_para"))
    fields = {*texts, "targets.deviceType", "targets.model", "targets.manufacturerName", "policy.executeType"}
    assert set(task["_broken_fields"]) == fields


def test_folders_above_that_are_named_like_columns_have_no_say(tmp_path, store):
    above = tmp_path / "model=all" / "status=live" / "success=1" / "sync=7" / "created_month=2020-01" / "lake_month=x"
    named = Store(above / "operation_id=o" / "response=9")
    for each in (store, named):
        each.sync([record("a"), record("b", createTime="20260405T080000Z")])
    named.publish()
    for each in (store, named):
        each.apply([record("a", staResult=counters(fail=2)), record("c")])
    assert named.everything() == store.everything()
    named.publish(from_scratch=True)
    assert named.everything() == store.everything()
    assert explain_record(named.warehouse, "a").task["success"] == 0


def test_a_part_that_is_no_object_is_a_part_that_is_not_there(store):
    broken = {"policy": "now", "staResult": "12/12", "targets": ["x"], "extendPara": [1, 2]}
    store.apply([record(field, **{field: value}) for field, value in broken.items()])
    found = store.everything()
    assert {row["operation_id"]: row["_broken_fields"] for row in found["operations"]} == {
        field: [field] for field in broken
    }
    for field, table in (
        ("policy", "operation_policies"),
        ("staResult", "operation_results"),
        ("targets", "operation_targets"),
    ):
        assert {row["operation_id"] for row in found[table]} == set(broken) - {field}


def test_the_newest_response_wins_within_a_sync(store):
    store.apply([record(status="wait"), record("other")], [record(status="success")])
    assert store.row("select status from core.operations where operation_id = 'task-1'") == {"status": "success"}
    assert len(store.rows("from core.operation_history where operation_id = 'task-1'")) == 1


def test_history_has_a_row_only_when_status_or_counters_change(store):
    store.apply([record(status="wait", staResult=counters(wait=2))])
    store.apply([record(status="wait", staResult=counters(wait=2), extendPara={"fileVersion": "V2.0"})])
    store.sync([record(status="WAIT", staResult=counters(wait=2))])
    store.apply([record(status="processing", staResult=counters(processing=2))])
    history = store.rows("select sync_id, status, wait, processing from core.operation_history order by all")
    assert [tuple(row.values()) for row in history] == [(1, "wait", 2, 0), (4, "processing", 0, 2)]
    assert store.row("select _sync_id as last from core.operations") == {"last": 4}


def test_a_task_that_is_retried_goes_back_to_processing(store):
    for status, numbers in [
        ("failed", counters(success=1, fail=1)),
        ("processing", counters(success=1, processing=1)),
        ("success", counters(success=2)),
    ]:
        store.sync([record(status=status, staResult=numbers)])
    store.publish()
    assert [row["status"] for row in store.rows("from core.operation_history order by sync_id")] == [
        "failed",
        "processing",
        "success",
    ]


def test_a_task_that_is_not_met_again_stays(store):
    store.apply([record("a"), record("b")])
    store.apply([record("b", status="stop")])
    assert [row["operation_id"] for row in store.rows("from core.operations order by 1")] == ["a", "b"]


def test_first_observed_at_never_moves_and_observed_at_moves_with_the_content_only(store):
    store.apply([record()])
    store.sync([record()])
    store.apply([record(status="stop")])
    row = store.row("from core.operations")
    assert (row["_first_observed_at"], row["_observed_at"], row["_sync_id"]) == (FIRST, FIRST + timedelta(hours=2), 3)


def test_syncs_count_what_was_new_and_what_changed(store):
    store.apply([record("a"), record("b")])
    store.apply([record("a"), record("b", status="stop"), record("c"), record(None)], grade="unproven", total=9)
    assert store.row(
        "select operations_new, operations_changed, quarantined, grade, total_after from core.syncs where sync_id = 2"
    ) == {
        "operations_new": 1,
        "operations_changed": 1,
        "quarantined": 1,
        "grade": "unproven",
        "total_after": 9,
    }


def test_a_sync_without_any_task_is_a_sync(store):
    store.apply([])
    assert {name: len(rows) for name, rows in store.everything().items() if rows} == {"syncs": 1}
    store.apply([record()])
    assert len(store.rows("from core.operations")) == 1


def test_a_sync_of_broken_records_only_is_a_sync(store):
    store.apply([None, record("x", createTime="soon")])
    assert len(store.rows("from core.quarantine")) == 2
    assert store.rows("from core.operations") == []


def test_a_task_of_another_month_moves_with_all_its_parts(store):
    store.apply([record("moving"), record("staying")])
    store.apply([record("moving", createTime="20260415T000000Z")])
    months = store.rows("select operation_id, created_month from core.operations order by 1")
    assert [tuple(row.values()) for row in months] == [("moving", "2026-04"), ("staying", "2026-03")]
    assert all(
        count == 2
        for count in [
            len(store.rows(f"select distinct operation_id from core.operation_{part}"))
            for part in ("targets", "policies", "results", "history")
        ]
    )
    folders = {path.name for path in (store.warehouse.lake / "operation_history").iterdir()}
    assert folders == {"created_month=2026-03", "created_month=2026-04"}
    store.apply([record("staying", createTime="20260415T000000Z")])
    left = [str(file) for file in store.warehouse.lake.rglob("*.parquet") if "2026-03" in str(file)]
    assert left == []


def test_times_are_utc_whatever_the_zone_of_the_machine(store, monkeypatch):
    import time

    monkeypatch.setenv("TZ", "Asia/Shanghai")
    time.tzset()
    try:
        store.apply([record(createTime="20260228T235959Z")])
        row = store.row("from core.operations")
    finally:
        monkeypatch.delenv("TZ")
        time.tzset()
    assert (row["created_at"], row["created_month"]) == (at("2026-02-28T23:59:59"), "2026-02")
    assert row["_observed_at"] == FIRST
