"""Pages and records as they come: what is read leniently, what is set aside, and why."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.platform.judgement import judge, judge_all
from pipelines.platform.structures import decode_page, undocumented_fields
from support.records import counters, encode, record, without


def judged(**changes):
    return judge(encode(record(**changes)))


def page(**fields):
    return decode_page(json.dumps(fields).encode())


def test_a_documented_record_is_good():
    assert judged().reason is None
    assert judged().broken_fields == []


@pytest.mark.parametrize("text", [b"null", b'"task-1"', b"[]", b"17", b"true"])
def test_what_is_not_an_object_is_set_aside(text):
    assert judge(text).reason is not None
    assert judge(text).operation_id is None


@pytest.mark.parametrize("identity", [None, "", True, {"id": 1}, ["a"]])
def test_a_record_without_a_usable_id_is_set_aside(identity):
    assert judged(operation_id=identity).reason is not None
    assert judged(operation_id=identity).operation_id is None
    assert judge(encode(without(record(), "operationId"))).reason is not None


def test_an_id_that_is_a_number_is_a_text_to_us():
    assert judged(operation_id=17).reason is None
    assert judged(operation_id=17, createTime="soon").operation_id == "17"


@pytest.mark.parametrize(
    "time",
    [
        None,
        "",
        "soon",
        20260301,
        "20261301T080000Z",
        "20260230T080000Z",
        "20260301T250000Z",
        "20260301T080000",
        "2026-03-01T08:00:00Z",
        "20260301T080000z",
        "20260301 080000Z",
        "２０２６0301T080000Z",
    ],
)
def test_a_record_whose_creation_can_not_be_read_is_set_aside_under_its_id(time):
    judgement = judged(createTime=time)
    assert judgement.operation_id == "task-1"
    assert "createTime" in judgement.reason


def test_a_record_without_create_time_is_set_aside_under_its_id():
    judgement = judge(encode(without(record(), "createTime")))
    assert (judgement.operation_id, "createTime" in judgement.reason) == ("task-1", True)


@pytest.mark.parametrize("name", ["total", "wait", "processing", "success", "fail", "stop", "timeout"])
@pytest.mark.parametrize("value", [-1, "-1", "many", [1], {"n": 1}, 1.5, "", 10**19, True])
def test_a_counter_of_the_wrong_type_or_below_zero_sets_the_record_aside(name, value):
    judgement = judged(staResult=counters() | {name: value})
    assert judgement.operation_id == "task-1"
    assert f"staResult.{name}" in judgement.reason


@pytest.mark.parametrize("value", [0, "0", 7, "7", None, 10**12])
def test_counters_may_be_texts_or_missing(value):
    assert judged(staResult=counters() | {"success": value}).reason is None


@pytest.mark.parametrize("value", [True, False, None, "true", "false", "True", "False", "1", "0", 1, 0])
def test_booleans_may_be_texts(value):
    assert judged(policy={"executeType": "now", "retryType": value}).broken_fields == []


@pytest.mark.parametrize(
    ("field", "value", "path"),
    [
        ("policy", "now", "policy"),
        ("policy", {"retryType": "perhaps"}, "policy.retryType"),
        ("policy", {"retryTimes": "often"}, "policy.retryTimes"),
        ("policy", {"startTime": "soon"}, "policy.startTime"),
        ("policy", {"endTime": 5}, "policy.endTime"),
        ("targets", ["x"], "targets"),
        ("targets", {"devices": [1, None]}, "targets.devices"),
        ("targets", {"devices": "d-1"}, "targets.devices"),
        ("targets", {"deviceGroups": {}}, "targets.deviceGroups"),
        ("targets", {"model": ["m"]}, "targets.model"),
        ("staResult", "12/12", "staResult"),
        ("extendPara", [1], "extendPara"),
        ("status", {"now": "wait"}, "status"),
        ("startTime", "soon", "startTime"),
        ("stopTime", 17, "stopTime"),
    ],
)
def test_any_other_broken_field_is_named_and_the_record_stays(field, value, path):
    judgement = judged(**{field: value})
    assert judgement.reason is None
    assert judgement.broken_fields == [path]


def test_several_broken_fields_are_all_named():
    judgement = judged(policy={"retryType": "perhaps", "startTime": "soon"}, extendPara=3, stopTime="x")
    assert judgement.broken_fields == ["extendPara", "policy.retryType", "policy.startTime", "stopTime"]


def test_unknown_fields_and_nulls_break_nothing():
    assert (
        judged(
            taskName="rollout",
            priority={"deep": [1]},
            targets=None,
            policy=None,
            staResult=None,
            extendPara=None,
            status=None,
        ).broken_fields
        == []
    )


def test_a_record_that_nests_too_deeply_is_set_aside_under_its_id():
    deep = b'{"operationId":"deep","createTime":"20260301T080000Z","x":' + b"[" * 120 + b"]" * 120 + b"}"
    judgement = judge(deep)
    assert judgement.operation_id == "deep"
    assert "nested" in judgement.reason


def test_a_record_that_nests_absurdly_deeply_neither_crashes_nor_passes():
    assert (
        judge(
            b'{"operationId":"deep","createTime":"20260301T080000Z","x":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
        ).reason
        is not None
    )


@pytest.mark.parametrize("text", [b'"\\ud800"', b"NaN", b"Infinity", b"-Infinity"])
def test_a_record_that_only_lenient_readers_take_is_set_aside_under_its_id(text):
    body = (
        b'{"totalCount": 2, "data": [{"operationId":"odd","createTime":"20260301T080000Z","x":'
        + text
        + b"}, "
        + encode(record("good"))
        + b"]}"
    )
    odd, good = decode_page(body).records
    assert judge(odd).operation_id == "odd"
    assert judge(odd).reason is not None
    assert judge(good).reason is None


def test_a_lone_surrogate_in_an_id_is_set_aside_under_a_text_that_can_be_stored():
    judgement = judge(b'{"operationId":"a\\ud800","createTime":"20260301T080000Z"}')
    assert judgement.reason is not None
    judgement.operation_id.encode()


def test_bytes_that_are_not_utf_8_make_the_whole_body_unreadable():
    with pytest.raises(ValueError, match=r"."):
        decode_page(b'{"data": [{"operationId": "\xff"}], "totalCount": 1}')


@pytest.mark.parametrize("gap", [b"\n", b"\r\n", b"\r", b" \n\t "])
def test_a_record_on_several_lines_becomes_one_line(gap):
    text = encode(record()).replace(b", ", b"," + gap)
    (found,) = decode_page(b'{"totalCount": 1, "data": [' + text + b"]}").records
    assert b"\n" not in found
    assert b"\r" not in found
    assert json.loads(found) == record()


def test_records_stay_byte_for_byte_as_received():
    text = b'{"operationId" :  "a",\t"n": 1.50, "u": "\\u00e4"}'
    assert decode_page(b'{"data": [' + text + b", null]}").records == [text, b"null"]


@pytest.mark.parametrize(
    ("fields", "total"),
    [
        ({"totalCount": 5}, 5),
        ({"totalSize": 5}, 5),
        ({"totalCount": "5"}, 5),
        ({"totalSize": "5"}, 5),
        ({"totalCount": None, "totalSize": 5}, 5),
        ({"totalCount": 4, "totalSize": 5}, 4),
        ({"totalCount": -1}, None),
        ({"totalCount": "many"}, None),
        ({"totalCount": [5]}, None),
        ({}, None),
    ],
)
def test_the_total_has_two_names_and_may_be_a_text_or_missing(fields, total):
    assert page(data=[], **fields).total == total


@pytest.mark.parametrize("fields", [{"data": []}, {"data": None}, {}])
def test_an_empty_page_may_lack_its_list(fields):
    assert page(totalCount=0, **fields).records == []


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b'{"data": "x"}', b'{"data": [', b"<html>", b'{"data": 3}'])
def test_a_body_that_is_no_page_raises_value_error(body):
    with pytest.raises(ValueError, match=r"."):
        decode_page(body)


@pytest.mark.parametrize("body", [b'{"data": {}}', b'{"data": ""}', b'{"data": 0}', b'{"data": false}'])
def test_a_body_whose_data_is_no_list_is_no_page_even_if_it_is_empty(body):
    with pytest.raises(ValueError, match=r"."):
        decode_page(body)


def test_an_absurdly_deep_body_raises_value_error_and_nothing_else():
    with pytest.raises(ValueError, match=r"."):
        decode_page(b'{"data": ' + b"[" * 200_000 + b"]" * 200_000 + b"}")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
field_names = st.sampled_from([*record(), "taskName"])


@given(st.dictionaries(field_names, json_values, max_size=6), st.sampled_from([{}, record()]))
def test_whatever_a_record_holds_it_is_judged_and_never_an_exception(changes, start):
    judgement = judge(json.dumps(start | changes).encode())
    if judgement.broken_fields:
        assert (judgement.reason, judgement.operation_id is None) == (None, False)
    msgspec.json.encode(judgement)


deep = json.loads("[" * 120 + "]" * 120)
odd_records = st.one_of(
    st.dictionaries(field_names, json_values, max_size=2).map(lambda changes: encode(record() | changes)),
    st.dictionaries(st.sampled_from([*record("a")["targets"], "new"]), json_values, max_size=1).map(
        lambda changes: encode(record() | {"targets": record()["targets"] | changes})
    ),
    st.sampled_from([{"new": deep}, {"extendPara": {"x": deep}}, {"extendPara": {"x": [1]}}]).map(
        lambda changes: encode(record(**changes))
    ),
)


@given(st.lists(st.just(encode(record())) | odd_records, max_size=5))
def test_records_are_judged_together_as_one_by_one(records):
    assert judge_all(records) == [judge(text) for text in records]


@given(st.binary(max_size=200) | json_values.map(lambda value: json.dumps(value).encode()))
def test_whatever_a_body_holds_it_is_a_page_or_a_value_error(body):
    try:
        found = decode_page(body)
    except ValueError:
        return
    for text in found.records:
        assert b"\n" not in text
        judge(text)


@pytest.mark.parametrize(
    ("record", "found"),
    [
        (b'{"operationId":"a","createTime":"x","extendPara":{"anything":1}}', set()),
        (b'{"operationId":"a","newField":1,"policy":{"executeType":"now","window":2}}', {"newField", "policy.window"}),
        (b'{"targets":{"tags":[]},"staResult":{"paused":1}}', {"targets.tags", "staResult.paused"}),
        (b'{"policy":null,"targets":[1]}', set()),
        (b"[1]", set()),
        (b"garbage", set()),
    ],
)
def test_fields_that_the_documents_do_not_know_are_found(record, found):
    assert undocumented_fields(record) == found
