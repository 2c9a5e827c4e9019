"""A raw store older than what is served, from a backup or deleted: what is read from then on is served all the same."""

import shutil

import pytest

from pipelines.errors import StorageError
from support.interruptions import interrupt, manifests
from support.platforms import Site

pytestmark = pytest.mark.usefixtures("few_reports")

PAGES_OF_30 = {"page_size": 30}


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A folder with a warehouse that serves sync 3, and with a copy of its raw store after sync 1."""
    folder = tmp_path_factory.mktemp("served")
    site = Site(folder, settings=PAGES_OF_30)
    site.sync()
    shutil.copytree(site.warehouse.raw, folder / "backup")
    for _ in range(2):
        site.platform.create(1)
        site.sync()
    return folder


@pytest.fixture(params=["from a backup", "deleted"])
def site(request, tmp_path, served):
    """Sync 3 is served; the raw store holds sync 1 at most."""
    shutil.copytree(served / "warehouse", tmp_path / "warehouse", symlinks=True)
    site = Site(tmp_path, settings=PAGES_OF_30)
    for _ in range(2):
        site.platform.create(1)
    shutil.rmtree(site.warehouse.raw)
    if request.param == "from a backup":
        shutil.copytree(served / "backup", site.warehouse.raw)
    return site


@pytest.mark.parametrize("is_full", [False, True])
def test_syncs_after_an_older_raw_store_was_put_back_are_served(site, is_full):
    for sync_id in (4, 5):
        site.platform.create(3)
        manifest = site.sync(is_full=is_full)
        assert (manifest.sync_id, manifest.total_after) == (sync_id, len(site.truth()))
        assert site.published() == site.truth()


def test_a_rebuild_applies_what_a_full_sync_read_into_an_older_raw_store(site):
    site.platform.create(3)
    site.sync(is_full=True)
    site.store.publish(from_scratch=True)
    assert site.published() == site.truth()
    site.platform.create(3)
    assert site.sync().sync_id == 5
    assert site.published() == site.truth()


def test_a_full_sync_interrupted_on_an_older_raw_store_is_served_and_gone_on_with(site):
    before = len(manifests(site.warehouse))
    interrupt(site, 8)
    site.platform.create(3)
    manifest = site.sync(is_full=True)
    left = manifests(site.warehouse)[before]
    assert (left.mode, left.sync_id, left.reading_since, left.next_row) == ("interrupted", 4, 4, 210)
    assert (manifest.sync_id, manifest.reading_since) == (5, 4)
    assert site.published() == site.truth()
    assert [row["sync_id"] for row in site.store.rows("from core.syncs")] == [1, 2, 3, 4, 5]


def test_beside_a_damaged_published_file_an_interrupted_sync_waits_for_a_rebuild(make_site):
    site = make_site(settings=PAGES_OF_30)
    site.sync()
    interrupt(site, 8)
    file = site.warehouse.served_file()
    file.chmod(0o644)
    file.write_bytes(b"x" * 20_000)
    with pytest.raises(StorageError, match="can't be read") as caught:
        site.extract()
    assert "iodm rebuild" in caught.value.advice
    assert [each.mode for each in manifests(site.warehouse)] == ["full"]
    site.store.publish(from_scratch=True)
    assert site.sync().sync_id == 3
    assert [each.mode for each in manifests(site.warehouse)] == ["full", "interrupted", "incremental"]
