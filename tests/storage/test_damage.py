"""Files that somebody damaged, moved aside or put there: one clear error where it matters, none where it does not."""

import shutil

import pytest

from pipelines.errors import SettingsError, StorageError
from pipelines.explain import explain_record
from pipelines.extract.opening import open_ledger
from pipelines.extract.past import last_served, read_past
from pipelines.extract.raw import sync_folders
from pipelines.report import query, status
from pipelines.warehouse import publications, read_source
from support.records import Store, record

ZSTD_FRAME = b"\x28\xb5\x2f\xfd"  # what each begins with
pytestmark = pytest.mark.usefixtures("few_reports")


@pytest.fixture(scope="module")
def one_task(tmp_path_factory):
    """A published task; a test that changes it takes a copy."""
    store = Store(tmp_path_factory.mktemp("one_task"))
    store.apply([record("a")])
    return store


def begin(store):
    with open_ledger(store.warehouse, read_past(store.warehouse)) as ledger:
        ledger.knowledge()


@pytest.mark.parametrize("left", [b"", b"x" * 20_000, 20_000])
def test_a_damaged_published_file_is_named_and_a_rebuild_heals_it(one_task, tmp_path, left):
    """Emptied, overwritten from its beginning, or cut."""
    store = one_task.copied(tmp_path)
    file = store.warehouse.served_file()
    file.chmod(0o644)
    content = file.read_bytes()
    file.write_bytes(content[:left] if isinstance(left, int) else left + content[len(left) or len(content) :])
    for step in (begin, lambda store: last_served(store.warehouse), Store.publish):
        with pytest.raises(StorageError, match=r"can't be read|the database failed") as caught:
            step(store)
        assert "iodm rebuild" in caught.value.advice
    store.publish(from_scratch=True)
    assert store.row("select count(*) as n from core.operations") == {"n": 1}


@pytest.mark.parametrize("content", ['{"x"', "{}", "[]"])
def test_a_torn_manifest_stops_who_writes_and_not_who_reads(one_task, tmp_path, content):
    store = one_task.copied(tmp_path)
    (sync_folders(store.warehouse)[-1] / "sync.json").write_text(content)
    assert status(store.warehouse)["grade_evidence"] is None
    with pytest.raises(StorageError, match="torn or corrupt"):
        store.publish(from_scratch=True)


def test_a_copy_of_a_day_under_another_name_is_none(store):
    folder = store.sync([record("task")])
    shutil.copytree(folder.parent, folder.parent.with_name(f"{folder.parent.name} (copy)"))
    assert store.publish().rows["operations"] == 1


def test_a_sync_that_was_moved_aside_under_another_name_is_none(store):
    store.sync([record("a")])
    store.apply([record("b")], mode="incremental")
    folder = sync_folders(store.warehouse)[-1]
    folder.rename(folder.with_name(folder.name + ".torn"))
    store.publish(from_scratch=True)
    assert store.row("select list(operation_id) as ids from core.operations") == {"ids": ["a"]}


def test_a_stray_file_among_the_published_ones_is_left_alone(one_task, tmp_path):
    store = one_task.copied(tmp_path)
    stray = store.warehouse.published / "iodm-copy.duckdb"
    stray.write_text("mine")
    store.apply([record("b")], mode="incremental")
    assert sorted(publications(store.warehouse)) == [1, 2]
    assert stray.read_text() == "mine"


def test_a_damaged_source_file_is_named(store):
    (store.warehouse.root / "source.json").write_text("x")
    with pytest.raises(StorageError, match=r"source\.json is torn or corrupt"):
        read_source(store.warehouse)


@pytest.mark.parametrize("sql", ["", ";", "/* nothing */"])
def test_no_query_is_a_wrong_query(one_task, sql):
    with pytest.raises(SettingsError, match="there is no query"):
        query(one_task.warehouse, sql)


def test_a_record_that_came_twice_hides_no_torn_file(store):
    folder = store.sync([record("a")], [record("a", status="stop")])
    store.publish()
    [file] = folder.glob("records-*")
    first_page, second_page = file.read_bytes().split(ZSTD_FRAME)[1:]
    assert second_page
    file.write_bytes(ZSTD_FRAME + first_page)
    with pytest.raises(StorageError, match="not as many bytes as were received"):
        explain_record(store.warehouse, "a")
