"""A record is as documented; quirks and broken records come in their shares, and stay with their task."""

import json
import re
from collections import Counter

import pytest

from simulator import catalogue
from simulator.oddities import BREAKAGES

TIME = re.compile(r"\d{8}T\d{6}Z")
COUNTERS = ("wait", "processing", "success", "fail", "stop", "timeout")
ENDED = ("success", "failed", "stop")


def truth(client):
    return [json.loads(record) for record in client.control.operations()]


@pytest.fixture(scope="module")
def clean(make_once):
    return truth(make_once(tasks=3000, tasks_per_day=500))


@pytest.fixture(scope="module")
def odd(make_once):
    return truth(make_once(tasks=3000, tasks_per_day=500, quirks=1))


def test_a_clean_record_has_the_documented_fields_and_types(clean):
    for record in clean:
        assert list(record) == [
            "operationId", "createTime", "startTime", "stopTime", "operateType", "targets", "policy", "status",
            "staResult", "extendPara",
        ]  # fmt: skip
        assert record["operateType"] in catalogue.KINDS
        assert record["status"] in ("wait", "processing", *ENDED)
        assert set(record["targets"]) == {"deviceGroups", "deviceType", "model", "manufacturerName", "devices"}
        assert set(record["staResult"]) == {"total", *COUNTERS}
        assert all(type(count) is int and count >= 0 for count in record["staResult"].values())
        assert record["extendPara"]["fileVersion"] in {
            version for versions in catalogue.VERSIONS for version in versions
        }


def test_times_are_in_order_and_null_until_they_come(clean):
    for record in clean:
        times = [record[name] for name in ("createTime", "startTime", "stopTime")]
        known = [time for time in times if time is not None]
        assert all(TIME.fullmatch(time) for time in known)
        assert known == sorted(known)
        assert times[: len(known)] == known
        assert len(known) == {"wait": 1, "processing": 2}.get(record["status"], 3)


def test_counters_add_up_and_fit_the_status(clean):
    for record in clean:
        counts = record["staResult"]
        assert counts["total"] == sum(counts[name] for name in COUNTERS)
        if record["status"] == "wait":
            assert counts["wait"] == counts["total"]
        if record["status"] in ENDED:
            assert counts["wait"] == counts["processing"] == 0
        if counts["stop"]:
            assert record["status"] == "stop"
        if record["status"] == "processing" and counts["total"]:
            assert counts["processing"] > 0


def test_a_task_names_devices_or_groups_and_as_many_as_its_total(clean):
    for record in clean:
        devices, groups = record["targets"]["devices"], record["targets"]["deviceGroups"]
        assert bool(devices) != bool(groups)
        assert len(devices) <= 256
        assert len(set(devices)) == len(devices)
        if devices:
            assert len(devices) == record["staResult"]["total"]


def test_a_policy_has_what_its_kind_requires(clean):
    kinds = Counter(record["policy"]["executeType"] for record in clean)
    assert set(kinds) == {"now", "device_online", "custom"}
    for record in clean:
        policy = record["policy"]
        assert ("startTime" in policy) == ("endTime" in policy) == (policy["executeType"] == "custom")
        assert ("retryTimes" in policy) == policy["retryType"]
        assert policy.get("retryTimes", 1) in range(1, 6)


def test_ids_are_opaque_and_do_not_follow_time(clean):
    ids = [record["operationId"] for record in clean]
    assert len(set(ids)) == len(ids)
    assert ids not in (sorted(ids), sorted(ids, reverse=True))


def test_some_tasks_have_nothing_to_do_and_totals_have_the_mean_of_the_dial(clean):
    assert 0.005 < sum(record["staResult"]["total"] == 0 for record in clean) / len(clean) < 0.03
    counts = [len(record["targets"]["devices"]) for record in clean if record["targets"]["devices"]]
    assert 11 < sum(counts) / len(counts) < 13


def test_every_quirk_occurs_in_a_realistic_share(odd):
    ended = [record for record in odd if record["status"].lower()[:4] in ("succ", "fail", "stop")]
    spelled = Counter(record["status"] for record in odd)
    assert {"failed", "FAIL", "fail", "success", "Success"} <= set(spelled)
    shares = {
        "no total": sum("total" not in record["staResult"] for record in odd) / len(odd),
        "no stopTime": sum(record["stopTime"] is None for record in ended) / len(ended),
        "no policy": sum(record["policy"] is None for record in odd) / len(odd),
        "null groups": sum(record["targets"]["deviceGroups"] is None for record in odd) / len(odd),
        "null devices": sum(record["targets"]["devices"] is None for record in odd) / len(odd),
        "text counters": sum(isinstance(record["staResult"]["fail"], str) for record in odd) / len(odd),
        "text booleans": sum(isinstance((record["policy"] or {}).get("retryType"), str) for record in odd) / len(odd),
        "new fields": sum("taskName" in record for record in odd) / len(odd),
    }
    assert all(0.01 < share < 0.9 for share in shares.values()), shares


def test_timeouts_are_inside_fail_for_some_models_and_beside_it_for_the_others(odd):
    inside, beside = set(), set()
    for record in odd:
        counts = {name: int(count) for name, count in record["staResult"].items()}
        if "total" in counts and counts["timeout"]:
            whole = sum(counts[name] for name in COUNTERS)
            targets = record["targets"]
            model = (targets["manufacturerName"], targets["model"], targets["deviceType"])
            (beside if whole == counts["total"] else inside).add(model)
            assert whole in (counts["total"], counts["total"] + counts["timeout"])
    assert inside
    assert beside
    assert not inside & beside


def test_the_quirks_of_a_task_are_the_same_in_every_response(make):
    client = make(quirks=1, tasks=300, order="random")
    assert client.everything() == client.everything()


def test_broken_records_come_in_every_kind_and_stay_broken(make):
    client = make(broken=0.5, tasks=1000)
    clean, broken = truth(make(tasks=1000)), truth(client)
    assert 400 < sum(a != b for a, b in zip(clean, broken, strict=True)) < 600
    assert sorted(map(repr, client.everything())) == sorted(map(repr, broken))


@pytest.mark.parametrize("name", BREAKAGES)
def test_a_breakage_breaks_the_record(clean, name):
    record = json.loads(json.dumps(clean[0]))
    assert BREAKAGES[name](record) != clean[0]
    assert record == clean[0]
