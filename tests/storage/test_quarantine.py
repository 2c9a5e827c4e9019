"""A broken record is set aside, never lost, never in the way of a good one."""

import hashlib
import json

import pytest

from support.records import encode, record, without

pytestmark = pytest.mark.usefixtures("few_reports")

BROKEN = record(createTime="soon")


def quarantine(store):
    rows = store.rows(
        "select operation_id, first_sync_id, last_sync_id, reason, record from core.quarantine order by 1"
    )
    return [tuple(row.values()) for row in rows]


def test_a_broken_record_stays_with_its_reason_until_a_good_one_comes(store):
    store.apply([BROKEN])
    store.apply([record("other")])
    ((identity, first, last, reason, text),) = quarantine(store)
    assert (identity, first, last, text.encode()) == ("task-1", 1, 1, encode(BROKEN))
    assert "createTime" in reason
    store.apply([record("other"), record()])
    assert quarantine(store) == []
    assert len(store.rows("from core.operations")) == 2


def test_a_good_task_that_comes_broken_keeps_its_good_row(store):
    store.apply([record(status="processing")])
    before = store.row("from core.operations")
    store.apply([record(status="success", createTime=None)])
    assert store.row("from core.operations") == before
    assert [row[:3] for row in quarantine(store)] == [("task-1", 2, 2)]
    assert store.row("select operations_outside_rates from marts.snapshot") == {"operations_outside_rates": 0}


def test_the_newest_broken_record_is_the_one_that_is_kept(store):
    store.apply([BROKEN])
    store.apply([record(createTime="later")])
    ((identity, first, last, _, text),) = quarantine(store)
    assert (identity, first, last, text.encode()) == ("task-1", 1, 2, encode(record(createTime="later")))


@pytest.mark.parametrize("is_good_last", [True, False])
def test_within_a_sync_the_newest_response_decides(store, is_good_last):
    pages = ([BROKEN], [record()]) if is_good_last else ([record()], [BROKEN])
    store.apply(*pages)
    assert len(quarantine(store)) == (0 if is_good_last else 1)
    assert len(store.rows("from core.operations")) == 1


def test_a_record_without_id_is_known_by_its_content(store):
    nameless, other = without(record(), "operationId"), without(record(status="stop"), "operationId")
    store.apply([nameless, nameless, None, 17])
    texts = [encode(each) for each in (nameless, None, 17)]
    assert {row[0] for row in quarantine(store)} == {hashlib.sha256(text).hexdigest() for text in texts}
    assert store.row("select operations_outside_rates as n from marts.snapshot") == {"n": 3}
    store.apply([other])
    assert len(quarantine(store)) == 4
    assert store.row("select operations_outside_rates as n from marts.snapshot") == {
        "n": 1
    }  # of the last whole reading


def test_every_record_is_in_a_table_or_in_quarantine_with_its_bytes(store):
    odd = b'{"operationId":"odd","createTime":"20260301T080000Z","x":"\\ud800","n":NaN}'
    deep = b'{"operationId":"deep","createTime":"20260301T080000Z","x":' + b"[" * 110 + b"]" * 110 + b"}"
    store.apply(
        [
            record("good"),
            record("unreadable", status={"a": 1}),
            deep,
            [],
            "text",
            record("minus", staResult={"fail": -1}),
        ],
        [odd],
    )
    assert {row["operation_id"] for row in store.rows("from core.operations")} == {"good", "unreadable"}
    kept = {row[0]: row[4] for row in quarantine(store)}
    assert {"odd", "deep", "minus"} < set(kept)
    assert len(kept) == 5
    assert kept["deep"].encode() == deep
    assert store.row("select quarantined, records from core.syncs") == {"quarantined": 5, "records": 7}


def test_a_record_stays_byte_for_byte_beside_one_that_only_lenient_readers_take(store):
    text = '{"createTime":"20260301T080000Z","status":"stop\u2028\x85"}'.encode()
    store.apply([text], [text, b'{"operationId":"odd","createTime":"20260301T080000Z","n":NaN}'])
    assert {row[4].encode() for row in quarantine(store) if row[0] != "odd"} == {text}


def test_rules_that_have_become_milder_take_records_back_at_a_rebuild(store):
    folder = store.sync([record("strict"), record("other")])
    store.publish()
    entries = [
        {
            "response": 1,
            "index": index,
            "observed_at": "2026-03-04T13:00:00Z",
            "operation_id": name,
            "reason": "an old rule",
            "record": json.dumps(record(name)),
        }
        for index, name in enumerate(("strict", "other"))
    ]
    (folder / "records-00000.jsonl.zst").unlink()
    (folder / "quarantine.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    store.publish(from_scratch=True)
    assert {row["operation_id"] for row in store.rows("from core.operations")} == {"strict", "other"}
    assert quarantine(store) == []
