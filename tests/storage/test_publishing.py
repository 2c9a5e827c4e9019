"""What is served changes at once or not at all, and heals after a crash at any point."""

import os
import shutil
import subprocess
import sys
import time

import pytest

from pipelines.checks import CheckFailedError
from pipelines.errors import SettingsError, StorageError
from pipelines.warehouse import claim, writer_lock
from support.crashes import CrashError, crash_at
from support.records import Store, record

pytestmark = pytest.mark.usefixtures("few_reports")


@pytest.fixture(scope="module")
def ripe(tmp_path_factory):
    """A warehouse with a sync served and another one committed but not yet applied."""
    store = Store(tmp_path_factory.mktemp("ripe"))
    store.apply([record("a", createTime="20260131T000000Z"), record("b")])
    store.sync(
        [record("b", status="stop"), record("c", createTime="20260401T000000Z"), record("broken", createTime=None)]
    )
    return store


@pytest.fixture(scope="module")
def expected(ripe, tmp_path_factory):
    """Rows and Parquet of `ripe` once its second sync is applied."""
    store = ripe.copied(tmp_path_factory.mktemp("expected"))
    store.publish()
    return store.everything(), store.lake_bytes()


STEPS = [
    ("pipelines.lake.sync_to_disk", 1),
    ("pipelines.lake.sync_to_disk", 4),
    ("pipelines.publish.run_checks", 1),
    ("pipelines.publish.sync_to_disk", 1),
    ("pipelines.publish.sync_to_disk", 2),
    ("pipelines.warehouse.sync_to_disk", 1),
]


@pytest.mark.parametrize(("target", "number"), STEPS)
def test_a_crash_at_any_step_leaves_a_whole_file_and_the_next_run_heals(ripe, expected, tmp_path, target, number):
    store = ripe.copied(tmp_path)
    before = store.everything()
    served = store.warehouse.served_file()
    content = served.read_bytes()
    with pytest.MonkeyPatch.context() as patch:
        crash_at(patch, target, number)
        with pytest.raises(CrashError):
            store.publish()
    assert store.everything() in (before, expected[0])
    assert served.read_bytes() == content
    store.publish()
    assert (store.everything(), store.lake_bytes()) == expected
    assert {path.name for path in store.warehouse.root.iterdir()} == {"raw", "lake", "published", "iodm.duckdb"}
    assert not [path for path in store.warehouse.published.iterdir() if not path.name.startswith("iodm-")]


def damage_file(lake):
    next(iter(sorted(lake.rglob("*.parquet")))).write_bytes(b"damaged")


def truncate_syncs(lake):
    (lake / "syncs" / "data.parquet").write_bytes(b"PAR1")


def add_stray_file(lake):
    stray = lake / "operations" / "created_month=2019-01" / "data.parquet"
    stray.parent.mkdir()
    shutil.copy(next(iter(sorted((lake / "operations").rglob("*.parquet")))), stray)


def add_half_written_file(lake):
    (lake / "operations" / "created_month=2026-03" / ".data.parquet.new").write_bytes(b"PAR1")


DAMAGES = {
    "a damaged file": damage_file,
    "a torn table without months": truncate_syncs,
    "a stray file": add_stray_file,
    "a file half written": add_half_written_file,
    "a missing file": lambda lake: (lake / "operation_targets" / "created_month=2026-03" / "data.parquet").unlink(),
    "a missing table": lambda lake: shutil.rmtree(lake / "operation_results"),
    "no lake at all": shutil.rmtree,
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_lake_that_somebody_changed_is_written_again(ripe, expected, tmp_path, damage):
    store = ripe.copied(tmp_path)
    DAMAGES[damage](store.warehouse.lake)
    store.publish()
    assert (store.everything(), store.lake_bytes()) == expected


@pytest.mark.parametrize("kilobytes", [2, 100, 2_500])  # for Parquet, the log of the new file, the new file
def test_a_publication_without_room_fails_with_one_line_and_leaves_nothing_behind(ripe, tmp_path, kilobytes):
    store = ripe.copied(tmp_path)
    served = store.warehouse.served_file()
    script = (
        "import resource, sys\n"
        "from pipelines.cli import main\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({kilobytes * 1024},) * 2)\n"
        "sys.argv[1:] = ['rebuild']\n"
        "main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | {"IODM_WAREHOUSE": str(store.warehouse.root)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 4, done.stderr
    assert "Traceback" not in done.stderr
    assert store.warehouse.served_file() == served
    assert list(store.warehouse.published.iterdir()) == [served]
    assert not store.warehouse.work.exists()
    store.publish()


def test_a_publication_that_a_reader_has_open_stays_as_it_is(store):
    store.apply([record("a")])
    opened = store.warehouse.served_file()
    script = (
        "import duckdb, sys\n"
        "connection = duckdb.connect(sys.argv[1], read_only=True)\n"
        "for line in sys.stdin:\n"
        "    ((count,),) = connection.execute('select count(*) from core.operations').fetchall()\n"
        "    print(count, flush=True)"
    )
    reader = subprocess.Popen(
        [sys.executable, "-c", script, str(store.warehouse.link)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with reader:

        def count():
            reader.stdin.write("count\n")
            reader.stdin.flush()
            return int(reader.stdout.readline())

        assert count() == 1
        for number in range(3):
            store.apply([record(str(number))])
        assert not opened.exists()
        assert count() == 1
        assert store.row("select count(*) as n from core.operations") == {"n": 4}
        reader.stdin.close()


def test_published_files_are_never_written_again(store):
    store.apply([record()])
    first = store.warehouse.served_file()
    content = first.read_bytes()
    assert first.stat().st_mode & 0o777 == 0o444
    store.apply([record(status="stop")])
    assert first.read_bytes() == content
    assert str(store.warehouse.link.readlink()) == "published/iodm-000002.duckdb"


def test_the_last_three_files_and_the_last_of_each_of_seven_days_are_kept(store):
    store.apply([record()])
    first = store.warehouse.served_file()
    now, day = time.time(), 86_400
    ages = [12, 11, 10, 9, 8, 8, 6, 5, 4, 4, 3, 2, 2]  # days, of the files 1 to 13
    for number, age in enumerate(ages, start=1):
        file = store.warehouse.published / f"iodm-{number:06d}.duckdb"
        if number > 1:
            shutil.copy(first, file)
        os.utime(file, (now - age * day, now - age * day))
    store.publish()  # number 14, today
    left = {int(file.stem.removeprefix("iodm-")) for file in store.warehouse.published.glob("*.duckdb")}
    assert left == {14, 13, 12, 11, 10, 8, 7, 6}


def test_stray_logs_of_writers_are_removed(store):
    store.apply([record()])
    strays = [
        store.warehouse.root / "iodm.duckdb.wal",
        store.warehouse.published / "iodm-000001.duckdb.wal",
        store.warehouse.published / "iodm-000002.duckdb.wal",
    ]
    for stray in strays:
        stray.write_bytes(b"a log of somebody who opened it to write")
    store.publish()
    assert [stray for stray in strays if stray.exists()] == []
    assert store.row("select count(*) as n from core.operations") == {"n": 1}


def test_a_served_file_that_is_gone_is_made_again(store):
    store.apply([record("a")])
    rows = store.everything()
    store.warehouse.served_file().unlink()
    store.apply([record("a")])
    assert store.everything()["operations"] == rows["operations"]


def test_nothing_to_publish_is_an_error_that_says_what_to_do(store):
    with pytest.raises(StorageError, match="iodm sync"):
        store.publish()


def test_a_failed_error_check_publishes_nothing(store):
    store.apply([record("a")])
    served = store.warehouse.served_file()
    store.sync([record(str(number), createTime=None) for number in range(11)])
    with pytest.raises(CheckFailedError) as caught:
        store.publish()
    assert (caught.value.exit_code, caught.value.check) == (1, "quarantine_is_small")
    assert store.warehouse.served_file() == served
    assert [file.name for file in store.warehouse.published.iterdir()] == [served.name]
    store.apply([record(str(number)) for number in range(11)])
    assert store.row("select count(*) as n from core.operations") == {"n": 12}


def test_a_second_writer_is_told_to_wait(store):
    with (
        writer_lock(store.warehouse),
        pytest.raises(StorageError, match="another run") as caught,
        writer_lock(store.warehouse),
    ):
        pass
    assert caught.value.is_retryable
    with writer_lock(store.warehouse):
        pass


def test_a_warehouse_keeps_to_its_source(store):
    for _ in range(2):
        claim(store.warehouse, {"platform": "one:8743", "app_id": "a"})
    for other in (
        {"platform": "two:8743", "app_id": "a"},
        {"platform": "one:8743", "app_id": "b"},
        {"platform": "one:8743", "app_id": "a", "model": "m"},
    ):
        with pytest.raises(SettingsError, match="another source") as caught:
            claim(store.warehouse, other)
        assert "IODM_WAREHOUSE" in str(caught.value)
