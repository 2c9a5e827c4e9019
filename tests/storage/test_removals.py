"""Tasks that are gone: marked, never deleted, and alive again once they are met."""

import itertools
from datetime import timedelta

import pytest

from pipelines.models import load
from support.records import T0, Store, record

pytestmark = pytest.mark.usefixtures("few_reports")

EVENTS = ["absent", "met", "broken", "gone", "met and gone"]
SYNCS = 4


@pytest.fixture
def removed_at(store):
    def ask():
        return {row["operation_id"]: row["removed_at"] for row in store.rows("from core.operations")}

    return ask


def test_a_task_that_is_gone_is_marked_and_stays_with_its_counters(store, removed_at):
    store.apply([record("a"), record("b")])
    store.apply([record("b")], gone=["a"], at=T0 + timedelta(days=1))
    assert removed_at() == {"a": (T0 + timedelta(days=1)).replace(tzinfo=None), "b": None}
    assert len(store.rows("from core.operation_results")) == 2


def test_a_task_that_is_met_again_lives_again(store, removed_at):
    store.apply([record("a")])
    store.apply([], gone=["a"])
    store.apply([record("a")])
    assert removed_at() == {"a": None}


def test_a_task_that_is_met_broken_lives_again(store, removed_at):
    store.apply([record("a")])
    store.apply([], gone=["a"])
    store.apply([{"operationId": "a", "createTime": None}])
    assert removed_at() == {"a": None}


def test_a_removal_keeps_the_first_time_that_it_was_seen(store, removed_at):
    store.apply([record("a")])
    store.apply([], gone=["a"], at=T0 + timedelta(days=1))
    store.apply([], gone=["a"], at=T0 + timedelta(days=2))
    assert removed_at() == {"a": (T0 + timedelta(days=1)).replace(tzinfo=None)}


def test_a_broken_record_goes_with_its_task(store):
    store.apply([record("a"), {"operationId": "b", "createTime": None}])
    assert len(store.rows("from core.quarantine")) == 1
    store.apply([record("a")], gone=["b"])
    assert store.rows("from core.quarantine") == []


def test_removing_changes_no_column_of_content_and_rewrites_its_month_only(store):
    store.apply([record("a"), record("b", createTime="20260501T000000Z")])
    before = store.rows("select * exclude (removed_at) from core.operations order by all")
    assert store.apply([], gone=["a"]).changed_months == ["2026-03"]
    assert store.rows("select * exclude (removed_at) from core.operations order by all") == before


def test_in_whatever_batches_syncs_are_applied_removals_are_the_same(tmp_path):
    story = [
        ([record("a"), record("b"), record("c")], []),
        ([record("b")], ["a"]),
        ([record("b")], ["c"]),
        ([record("a", status="FAIL")], ["b"]),
        ([record("b")], ["a"]),
    ]
    stores = {step: Store(tmp_path / str(step)) for step in (1, 2, 5)}
    for number, (page, gone) in enumerate(story, 1):
        for step, store in stores.items():
            store.sync(page, gone=gone)
            if number % step == 0 or number == len(story):
                store.publish()
    one_by_one, in_pairs, at_once = stores.values()
    query = "from core.operations order by all"
    expected = one_by_one.rows(query)
    assert in_pairs.rows(query) == expected
    assert at_once.rows(query) == expected
    one_by_one.publish(from_scratch=True)
    assert one_by_one.rows(query) == expected


@pytest.mark.parametrize(
    ("published_after", "records_per_batch"),
    [([1, 2, 3, 4], 10_000), ([4], 10_000), ([2, 4], 10_000), ([4], 1), ([1, 4], 1)],
)
def test_whatever_happened_to_a_task_it_is_removed_since_the_first_word_of_it_after_it_was_last_met(
    store, removed_at, monkeypatch, published_after, records_per_batch
):
    monkeypatch.setattr("pipelines.records.RECORDS_PER_BATCH", records_per_batch)
    monkeypatch.delitem(load("checks"), "quarantine_is_small")  # more are broken here than would be published
    stories = {" | ".join(story): story for story in itertools.product(EVENTS, repeat=SYNCS)}
    expected = {}
    for number in range(1, SYNCS + 1):
        at, page, gone = T0 + timedelta(days=number), [], []
        for name, story in stories.items():
            event = story[number - 1]
            if event.startswith("met"):
                expected[name] = None
                page.append(record(name, staResult=None, targets=None))
            if event == "broken":
                expected |= {name: None} if name in expected else {}
                page.append(record(name, createTime=None, targets=None))
            if event.endswith("gone"):
                expected |= {name: expected[name] or at.replace(tzinfo=None)} if name in expected else {}
                gone.append(name)
        store.sync(page, gone=gone, at=at)
        if number in published_after:
            store.publish()
    assert removed_at() == expected
