"""Syncs applied one by one, all at once, or from the beginning give the same rows, whatever they hold."""

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings

import pipelines.flatten
import pipelines.records
from support.histories import histories
from support.records import Store, record

pytestmark = pytest.mark.usefixtures("few_reports")


@settings(max_examples=4)
@given(histories)
def test_one_by_one_all_at_once_and_from_the_beginning_are_the_same(history):
    with tempfile.TemporaryDirectory() as folder:
        one_by_one, at_once = (Store(Path(folder) / name) for name in ("one", "all"))
        for sync in history:
            one_by_one.apply(*sync)
            at_once.sync(*sync)
        at_once.publish()
        expected = one_by_one.everything()
        assert at_once.everything() == expected
        lake = one_by_one.lake_bytes()
        assert at_once.lake_bytes() == lake
        unbatched, pipelines.records.RECORDS_PER_BATCH = pipelines.records.RECORDS_PER_BATCH, 1
        try:
            at_once.publish(from_scratch=True)
        finally:
            pipelines.records.RECORDS_PER_BATCH = unbatched
        assert at_once.everything() == expected
        assert at_once.lake_bytes() == lake


@pytest.fixture(scope="module")
def three_syncs(tmp_path_factory):
    """A warehouse of three syncs, published one by one."""
    store = Store(tmp_path_factory.mktemp("three_syncs"))
    store.apply([record("a", createTime="20260131T000000Z"), record("b")], [record("broken", createTime=None)])
    store.apply([record("b", status="stop")])
    store.apply([record("b", status="processing"), record("c", createTime="20260201T000000Z")])
    return store


@pytest.fixture
def grown(three_syncs, tmp_path):
    return three_syncs.copied(tmp_path)


def test_publishing_again_changes_no_row_and_rewrites_no_parquet_file(grown):
    rows, files = grown.everything(), grown.lake_identities()
    publication = grown.publish()
    assert (publication.syncs_applied, publication.changed_months) == (0, [])
    assert grown.everything() == rows
    assert grown.lake_identities() == files


def test_a_month_without_change_stays_the_same_file(grown):
    before = grown.lake_identities()
    grown.apply([record("b", status="success")])
    after = grown.lake_identities()
    changed = {name for name in after if before.get(name) != after[name]}
    assert changed == {
        "operations/created_month=2026-03/data.parquet",
        "operation_history/created_month=2026-03/data.parquet",
        "syncs/data.parquet",
    }


def test_a_sync_that_brings_nothing_new_rewrites_only_the_list_of_syncs(grown):
    before = grown.lake_identities()
    publication = grown.apply([record("b", status="processing"), record("c", createTime="20260201T000000Z")])
    after = grown.lake_identities()
    assert {name for name in after if before.get(name) != after[name]} == {"syncs/data.parquet"}
    assert publication.changed_months == []


def test_two_rebuilds_give_the_same_rows_and_the_same_bytes(grown):
    rows, lake = grown.everything(), grown.lake_bytes()
    for _ in range(2):
        grown.publish(from_scratch=True)
        assert grown.everything() == rows
        assert grown.lake_bytes() == lake


def test_a_rebuild_in_an_empty_lake_gives_the_same_bytes(grown):
    lake = grown.lake_bytes()
    shutil.rmtree(grown.warehouse.lake)
    grown.publish(from_scratch=True)
    assert grown.lake_bytes() == lake


def test_more_rows_than_a_row_group_holds_are_written_in_order(store, monkeypatch):
    monkeypatch.setattr("pipelines.lake.ROWS_PER_GROUP", 7)
    targets = record()["targets"] | {"devices": [f"d-{number:03}" for number in range(20)]}
    store.apply([record(f"{number:02}", targets=targets) for number in range(5)])
    rows = store.rows("select operation_id, position from core.operation_targets order by all")
    assert [tuple(row.values()) for row in rows] == [(f"{task:02}", place) for task in range(5) for place in range(20)]
    import pyarrow.parquet as pq

    groups = pq.ParquetFile(store.warehouse.lake / "operation_targets" / "created_month=2026-03" / "data.parquet")
    assert {groups.metadata.row_group(index).num_rows for index in range(groups.metadata.num_row_groups - 1)} == {7}


def test_known_tasks_are_compared_in_parts_and_unchanged_ones_stay_as_they_are(store, monkeypatch):
    tasks = [record(f"task-{number}") for number in range(40)]
    store.apply(tasks)
    before, lake = store.rows("from core.operations order by all"), store.lake_bytes()
    monkeypatch.setattr(pipelines.flatten, "TASKS_PER_PART", 7)
    assert store.apply(tasks).changed_months == []
    assert store.rows("from core.operations order by all") == before
    assert {name: content for name, content in store.lake_bytes().items() if "syncs" not in str(name)} == {
        name: content for name, content in lake.items() if "syncs" not in str(name)
    }
