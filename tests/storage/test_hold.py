"""An older file is served on purpose: nothing publishes until it is released, and then all is as if it never was."""

import json
import os
import shutil
import time
from pathlib import Path

import pytest

from pipelines.checks import CheckFailedError
from pipelines.errors import StorageError
from pipelines.hold import HeldError, read_hold, summary_of_hold
from pipelines.progress import Silent
from pipelines.report import status
from pipelines.run import prune, refresh, release, rollback
from pipelines.warehouse import served_number
from support.crashes import CrashError, crash_at
from support.records import Store, record

pytestmark = pytest.mark.usefixtures("few_reports")


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    """A warehouse with three publications, of one, two and three tasks."""
    store = Store(tmp_path_factory.mktemp("three"))
    for name in "abc":
        store.apply([record(name)])
    return store


@pytest.fixture
def rich(three, tmp_path):
    return three.copied(tmp_path)


def tasks(store):
    return {row["operation_id"] for row in store.rows("select operation_id from core.operations")}


def test_the_publication_before_is_served_and_the_hold_says_since_when_and_from_where(rich):
    hold = rollback(rich.settings)
    assert (hold.from_publication, hold.to_publication) == (3, 2)
    assert tasks(rich) == {"a", "b"}
    assert json.loads(rich.warehouse.hold_file.read_text()) == {
        "since": f"{hold.since:%Y-%m-%dT%H:%M:%SZ}",
        "from_publication": 3,
        "to_publication": 2,
    }


def test_asking_again_goes_one_further_back_and_the_hold_keeps_its_beginning(rich):
    first = rollback(rich.settings)
    second = rollback(rich.settings)
    assert (second.since, second.from_publication, second.to_publication) == (first.since, 3, 1)
    assert tasks(rich) == {"a"}
    with pytest.raises(StorageError, match="older than publication 1") as caught:
        rollback(rich.settings)
    assert caught.value.exit_code == 4
    assert tasks(rich) == {"a"}
    assert read_hold(rich.warehouse) == second


def test_where_there_is_no_older_file_nothing_is_held(store):
    with pytest.raises(StorageError, match="iodm sync"):
        rollback(store.settings)
    store.apply([record()])
    with pytest.raises(StorageError, match="older than publication 1"):
        rollback(store.settings)
    assert read_hold(store.warehouse) is None
    assert served_number(store.warehouse) == 1


def test_a_file_that_can_not_be_opened_is_not_served(rich):
    broken = rich.warehouse.published / "iodm-000002.duckdb"
    broken.chmod(0o644)
    broken.write_bytes(b"no database")
    with pytest.raises(StorageError, match=r"iodm-000002\.duckdb can't be opened"):
        rollback(rich.settings)
    assert (served_number(rich.warehouse), read_hold(rich.warehouse)) == (3, None)
    broken.unlink()
    assert rollback(rich.settings).to_publication == 1


def test_a_served_file_that_is_gone_is_rolled_back_too(rich):
    rich.warehouse.served_file().unlink()
    assert rollback(rich.settings).to_publication == 2


def test_where_the_link_leads_to_something_else_nothing_is_rolled_back(rich):
    other = rich.warehouse.root / "backup.duckdb"
    rich.warehouse.served_file().rename(other)
    rich.warehouse.link.unlink()
    rich.warehouse.link.symlink_to(other)
    with pytest.raises(StorageError, match=r"backup\.duckdb, which is no publication"):
        rollback(rich.settings)
    assert read_hold(rich.warehouse) is None


STEPS = [
    ("pipelines.hold.replace_file", 1),
    ("pipelines.warehouse.sync_to_disk", 1),
    ("pipelines.warehouse.sync_to_disk", 2),
    ("pipelines.hold.serve", 1),
    ("Path.symlink_to", 1),
    ("pipelines.warehouse.sync_to_disk", 3),
]


@pytest.mark.parametrize(("target", "number"), STEPS)
def test_a_crash_at_any_step_leaves_a_whole_file_and_asking_again_finishes(rich, target, number):
    with pytest.MonkeyPatch.context() as patch:
        crash_at(patch, target, number)
        with pytest.raises(CrashError):
            rollback(rich.settings)
    is_held = read_hold(rich.warehouse) is not None
    assert served_number(rich.warehouse) in ((3, 2) if is_held else (3,))
    if served_number(rich.warehouse) == 3:
        if is_held:
            assert "publication 3 is served" in summary_of_hold(rich.warehouse)["message"]
            with pytest.raises(HeldError):
                refresh(rich.settings, Silent())
        assert rollback(rich.settings).to_publication == 2
    assert tasks(rich) == {"a", "b"}
    release(rich.settings, Silent())
    assert tasks(rich) == {"a", "b", "c"}
    assert {path.name for path in rich.warehouse.root.iterdir()} == {".lock", "raw", "lake", "published", "iodm.duckdb"}


def test_while_held_nothing_rebuilds_or_prunes(rich):
    rollback(rich.settings)
    for refused in (
        lambda: refresh(rich.settings, Silent()),
        lambda: refresh(rich.settings, Silent(), from_scratch=True),
        lambda: prune(rich.settings, Silent(), 0, up_to=1),
    ):
        with pytest.raises(HeldError, match="iodm rollback --release") as caught:
            refused()
        assert caught.value.exit_code == 4
        assert not caught.value.is_retryable
    assert tasks(rich) == {"a", "b"}
    assert len(list(rich.warehouse.raw.glob("*/sync=*"))) == 3


@pytest.mark.parametrize("steps_back", [1, 2])
@pytest.mark.parametrize("is_pruned", [False, True])
def test_a_release_serves_what_would_be_served_without_the_rollback(rich, tmp_path, steps_back, is_pruned):
    if is_pruned:
        rich.prune()
    twin = rich.copied(tmp_path / "twin")
    for _ in range(steps_back):
        rollback(rich.settings)
    for content in ([record("a", status="stop"), record("d")], [record("e", createTime="20260401T000000Z")]):
        rich.sync(content, gone=["b"])
        twin.sync(content, gone=["b"])
    twin.publish()
    publication = release(rich.settings, Silent())
    assert publication.number == 4
    assert (rich.everything(), rich.lake_bytes()) == (twin.everything(), twin.lake_bytes())
    assert read_hold(rich.warehouse) is None
    with pytest.raises(StorageError, match="not held"):
        release(rich.settings, Silent())


@pytest.mark.parametrize(
    "damage", [Path.unlink, lambda file: file.write_bytes(b"no Parquet")], ids=["deleted", "changed"]
)
def test_a_release_heals_what_happened_to_the_lake_meanwhile(rich, damage):
    rich.apply([record("d", createTime="20260401T000000Z")])
    rows, lake = rich.everything(), rich.lake_bytes()
    rollback(rich.settings)
    for month in ("2026-03", "2026-04"):  # what is served has no task of April
        damage(rich.warehouse.lake / "operations" / f"created_month={month}" / "data.parquet")
    release(rich.settings, Silent())
    assert (rich.everything(), rich.lake_bytes()) == (rows, lake)


def test_a_release_without_the_sync_that_was_rolled_back_leaves_nothing_of_it(rich):
    rows, lake = rich.everything(), rich.lake_bytes()
    wrong = rich.sync([record("a", status="stop"), record("d", createTime="20260401T000000Z")], gone=["b"])
    rich.publish()
    assert rich.lake_bytes().keys() > lake.keys()
    rollback(rich.settings)
    shutil.rmtree(wrong)
    release(rich.settings, Silent())
    assert (rich.everything(), rich.lake_bytes()) == (rows, lake)


def test_a_release_that_can_not_publish_leaves_the_hold(rich):
    rollback(rich.settings)
    rich.sync([record(str(number), createTime=None) for number in range(11)])
    with pytest.raises(CheckFailedError):
        release(rich.settings, Silent())
    assert tasks(rich) == {"a", "b"}
    assert read_hold(rich.warehouse) is not None
    rich.sync([record(str(number)) for number in range(11)])
    release(rich.settings, Silent())
    assert len(tasks(rich)) == 14


def test_a_crash_before_the_hold_ends_is_healed_by_asking_for_the_release_again(rich):
    rollback(rich.settings)
    with pytest.MonkeyPatch.context() as patch:
        crash_at(patch, "pipelines.run.end_hold", 1)
        with pytest.raises(CrashError):
            release(rich.settings, Silent())
    assert tasks(rich) == {"a", "b", "c"}
    assert read_hold(rich.warehouse) is not None
    release(rich.settings, Silent())
    assert read_hold(rich.warehouse) is None


def test_the_files_of_a_rollback_outlive_it_however_old_they_are(store):
    store.apply([record()])
    first, now, day = store.warehouse.served_file(), time.time(), 86_400
    for number in range(1, 13):  # one a day, the oldest two on one day
        file = store.warehouse.published / f"iodm-{number:06d}.duckdb"
        if number > 1:
            shutil.copy(first, file)
        age = (12 - max(number, 2)) * day
        os.utime(file, (now - age, now - age))
    store.warehouse.link.unlink()
    store.warehouse.link.symlink_to("published/iodm-000002.duckdb")
    rollback(store.settings)
    release(store.settings, Silent())
    assert {1, 2, 13} <= {int(file.stem[5:]) for file in store.warehouse.published.iterdir()}
    store.publish()
    assert not {1, 2} & {int(file.stem[5:]) for file in store.warehouse.published.iterdir()}


def test_the_status_says_it_first(rich):
    assert status(rich.warehouse)["held"] is None
    rollback(rich.settings)
    values = status(rich.warehouse)
    assert next(iter(values)) == "held"
    assert values["held"]["message"].startswith("HELD since ")
    assert "publication 2 is served, rolled back from 3" in values["held"]["message"]
    assert values["snapshot"]["publication"] == 2


def test_a_hold_that_somebody_damaged_still_holds_and_says_what_to_do(rich):
    rich.warehouse.hold_file.write_text("{")
    with pytest.raises(StorageError, match="Remove it"):
        refresh(rich.settings, Silent())
