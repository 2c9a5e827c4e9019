"""A prune drops responses and nothing else: what a rebuild makes is what it made before, whatever is pruned when."""

import dataclasses
import json
import tempfile
from datetime import timedelta
from pathlib import Path

import msgspec
import pyarrow as pa
import pytest
from click.testing import CliRunner
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from pipelines.cli import cli
from pipelines.errors import StorageError
from pipelines.extract.raw import newest_base, number_of, sync_folders
from pipelines.models import load
from pipelines.platform.judgement import judge
from pipelines.progress import Silent
from pipelines.prune import plan
from pipelines.run import prune
from support.crashes import CrashError, crash_at
from support.histories import identities, nameless
from support.records import T0, Store, counters, encode, record, without

pytestmark = pytest.mark.usefixtures("few_reports")

good = st.builds(
    lambda identity, created, status, success, devices, more: record(
        identity,
        createTime=created,
        status=status,
        staResult=counters(success=success),
        targets=record()["targets"] | {"devices": devices},
        **more,
    ),
    identities,
    st.sampled_from(["20260131T235959Z", "20260301T080000Z"]),
    st.sampled_from(["processing", "FAIL", "failed"]),
    st.integers(0, 1),
    st.lists(st.sampled_from(["d-1", "d-2"]), max_size=2),
    st.sampled_from(
        [
            {},
            {"unknown": 1},
            {"stopTime": "soon"},
            {"extendPara": {}},
            {"extendPara": None},
            {"extendPara": {"fileVersion": "V2"}},
        ]
    ),
)
broken = st.builds(lambda identity: record(identity, createTime=None), identities)
syncs = st.fixed_dictionaries(
    {
        "pages": st.lists(st.lists(good | good | broken | nameless, max_size=4), min_size=1, max_size=2),
        "gone": st.lists(identities, max_size=1),
        "mode": st.sampled_from(["full", "full", "incremental"]),
    }
)
steps = st.lists(syncs | syncs | st.just("prune"), min_size=3, max_size=8)


@settings(max_examples=5, phases=[Phase.explicit, Phase.reuse, Phase.generate])  # shrinking takes minutes
@given(steps)
def test_a_pruned_warehouse_and_its_twin_that_never_was_are_the_same(steps):
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        for name, result in (("build_marts", None), ("run_checks", []), ("store_results", None)):  # they only take time
            patch.setattr(f"pipelines.publish.{name}", lambda *_, result=result: result)
        pruned, twin = (Store(Path(folder) / name) for name in ("pruned", "twin"))
        for step in [*steps, "prune"]:
            if step == "prune":
                pruned.prune()
                continue
            pruned.apply(*step["pages"], gone=step["gone"], mode=step["mode"])
            twin.sync(*step["pages"], gone=step["gone"], mode=step["mode"])
        if not sync_folders(twin.warehouse):
            return
        twin.publish(from_scratch=True)
        expected = twin.everything(), twin.lake_bytes()
        assert (pruned.everything(), pruned.lake_bytes()) == expected
        pruned.publish(from_scratch=True)
        assert (pruned.everything(), pruned.lake_bytes()) == expected


NAMELESS = without(record(), "operationId")


def everything_of(store):
    """All rows and Parquet files, as a rebuild makes them."""
    store.publish(from_scratch=True)
    return store.everything(), store.lake_bytes()


def left_in(store):
    base = newest_base(store.warehouse)
    return number_of(base) if base else 0, [number_of(folder) for folder in sync_folders(store.warehouse)]


def lived(folder):
    """Five syncs: tasks that change, go, come back, stay broken; a record without an id. The first two are served."""
    store = Store(folder)
    store.sync([record("stays"), record("changes"), record("goes"), record("back"), record("worse"), NAMELESS])
    store.apply([record("stays", extra=1), record("changes", status="stop")], gone=["goes", "back"])
    store.sync([record("stays", extra=2), record("back"), record("worse", createTime=None), record("bad", status=3)])
    store.sync([record("broken", createTime="soon"), record("worse", createTime=None)])
    store.sync([record("stays", extra=3), record("changes", status="processing")])
    return store


@pytest.fixture(scope="module")
def ripe(tmp_path_factory):
    """A warehouse with a base of four syncs and two more, all of them served; and all that is in it."""
    store = lived(tmp_path_factory.mktemp("ripe"))
    store.publish()
    store.prune()
    store.sync([record("late")], mode="incremental")
    return store, everything_of(store)


@pytest.fixture(scope="module")
def riper(ripe, tmp_path_factory):
    """The same after one more sync: a prune may drop the two."""
    store = ripe[0].copied(tmp_path_factory.mktemp("riper"))
    store.sync([record("more")])
    return store, everything_of(store)


def test_the_newest_record_of_each_task_stays_as_received(store):
    first = record("task", unknown="first")
    newest = encode(record("task", unknown="newest \u00e9 \\ ,"))[:-1] + b', "n":1.50 }'
    store.apply([first])
    before = store.everything()
    store.sync([newest])
    store.apply([record("other")])
    store.prune()
    (file,) = newest_base(store.warehouse).glob("records-*.jsonl.zst")
    (line,) = pa.input_stream(str(file), compression="zstd").read().splitlines()
    assert bytes(msgspec.json.decode(line, type=dict[str, msgspec.Raw])["record"]) == newest
    store.publish(from_scratch=True)
    assert store.row("from core.operations where operation_id = 'task'") == before["operations"][0]


def test_every_kind_of_row_survives_prune_upon_prune(tmp_path):
    store = lived(tmp_path)
    expected = everything_of(store)
    assert [row["operation_id"] for row in expected[0]["operations"] if row["removed_at"]] == ["goes"]
    assert len(expected[0]["quarantine"]) == 3
    store.prune()
    assert left_in(store) == (4, [5])
    assert everything_of(store) == expected
    store.apply([record("goes"), record("broken")])
    expected = store.everything(), store.lake_bytes()
    assert expected[0]["operations"][0]["removed_at"] is None
    store.prune()
    assert left_in(store) == (5, [6])
    assert [path.name for path in store.warehouse.raw.glob("base*")] == ["base=000005"]
    assert everything_of(store) == expected


CRASHES = [
    ("pipelines.prune._drop", 1),
    ("pipelines.prune.begin", 1),
    ("pipelines.base._copy", 3),
    ("pipelines.base.replace_file", 1),
    ("Path.rename", 1),
    ("pipelines.prune._drop", 2),
    ("os.rmdir", 1),
    ("os.rmdir", 2),
]


@pytest.mark.parametrize(("target", "number"), CRASHES)
def test_a_crash_at_any_step_loses_nothing_and_the_next_prune_finishes(riper, tmp_path, target, number):
    store, expected = riper[0].copied(tmp_path), riper[1]
    with pytest.MonkeyPatch.context() as patch:
        crash_at(patch, target, number)
        with pytest.raises(CrashError):
            store.prune()
    assert everything_of(store) == expected
    store.prune()
    assert left_in(store) == (6, [7])
    assert {path.name for path in store.warehouse.raw.iterdir()} == {"base=000006", "synced_date=2026-03-04"}
    assert everything_of(store) == expected


def test_what_a_base_holds_is_not_read_again_and_goes_with_the_next_prune(ripe, tmp_path):
    store, expected = ripe[0].copied(tmp_path), ripe[1]
    stray = store.warehouse.raw / "synced_date=2026-03-04" / "sync=000002"
    stray.mkdir()
    (stray / "pages.jsonl").write_text("half dropped")
    assert everything_of(store) == expected
    assert plan(store.warehouse, 30).folders == [stray]
    store.prune(30)
    assert left_in(store) == (4, [5, 6])
    assert everything_of(store) == expected


def test_what_a_damaged_base_holds_is_not_dropped(ripe, tmp_path):
    store = ripe[0].copied(tmp_path)
    stray = store.warehouse.raw / "synced_date=2026-03-04" / "sync=000002"
    stray.mkdir()
    (newest_base(store.warehouse) / "history.parquet").unlink()
    with pytest.raises(StorageError, match="history"):
        store.prune()
    assert stray.exists()


BASE_DAMAGES = {
    "cut": lambda file: file.write_bytes(file.read_bytes()[:-2]),
    "changed": lambda file: file.write_bytes(file.read_bytes()[:-1] + b"?"),
    "missing": lambda file: file.unlink(),
}


@pytest.mark.parametrize("damage", BASE_DAMAGES)
@pytest.mark.parametrize("name", ["base.json", "tasks", "history", "syncs", "quarantine", "records-0"])
def test_a_damaged_base_is_an_error_of_storage_and_nothing_is_published(ripe, tmp_path, name, damage):
    store = ripe[0].copied(tmp_path)
    served = store.warehouse.served_file()
    (file,) = newest_base(store.warehouse).glob(f"{name}*")
    BASE_DAMAGES[damage](file)
    with pytest.raises(StorageError, match=file.name) as caught:
        store.publish(from_scratch=True)
    assert (caught.value.exit_code, bool(caught.value.advice)) == (4, True)
    assert store.warehouse.served_file() == served


def test_of_a_damaged_base_nothing_is_read_where_what_is_served_goes_on(ripe, tmp_path):
    store = ripe[0].copied(tmp_path)
    for file in newest_base(store.warehouse).iterdir():
        file.write_bytes(b"damaged")
    store.apply([record("more")])
    assert len(store.rows("from core.syncs")) == 7


def test_where_what_is_served_lacks_pruned_syncs_all_is_made_again(tmp_path):
    store = lived(tmp_path)
    expected = everything_of(store)
    store.prune()
    store.warehouse.link.unlink()
    store.warehouse.link.symlink_to(Path("published") / "iodm-000001.duckdb")
    store.publish()
    assert (store.everything(), store.lake_bytes()) == expected
    for file in store.warehouse.published.iterdir():
        file.unlink()
    store.publish()
    assert (store.everything(), store.lake_bytes()) == expected


def test_records_are_flattened_anew_by_rules_that_came_after_the_prune(ripe, tmp_path, monkeypatch):
    store = ripe[0].copied(tmp_path)
    rules = load("core")["records"]
    sql = rules.sql.replace("then record.operateType end", "then upper(record.operateType) end")
    monkeypatch.setitem(load("core"), "records", dataclasses.replace(rules, sql=sql))
    store.publish(from_scratch=True)
    assert store.rows("select distinct operation_type as type from core.operations") == [{"type": "FIRMWARE_UPGRADE"}]


def test_rules_that_have_become_milder_take_pruned_records_back(store, monkeypatch):
    def stricter(text):
        return judge(text.replace(b"20260301T080000Z", b"soon"))

    entry = {"index": 1, "observed_at": "2026-03-04T13:00:01Z", "reason": "an old rule"}
    folder = store.sync([record("before", status="wait", createTime="20260302T000000Z"), None, None], [record("x")])
    texts = [json.dumps(record(name)) for name in ("before", "only")]
    lines = [
        entry | {"response": 1, "index": index, "operation_id": name, "record": text}
        for index, (name, text) in enumerate(zip(("before", "only"), texts, strict=True), start=1)
    ]
    (folder / "quarantine.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    store.sync([record("other", createTime="20260302T000000Z")])
    with monkeypatch.context() as patch:
        patch.setattr("pipelines.records.judge", stricter)
        store.publish()
        assert {row["operation_id"] for row in store.rows("from core.quarantine")} == {"before", "only"}
        store.prune()
        rows = everything_of(store)[0]["quarantine"]
        assert {row["operation_id"] for row in rows} == {"before", "only"}
    milder = everything_of(store)[0]
    assert milder["quarantine"] == []
    states = {row["operation_id"]: (row["status"], row["_sync_id"]) for row in milder["operations"]}
    assert states == {"before": ("success", 1), "only": ("success", 1), "other": ("success", 2), "x": ("success", 1)}
    assert [(row["operation_id"], row["sync_id"]) for row in milder["operation_history"]] == [
        (name, sync_id) for name, (_, sync_id) in sorted(states.items())
    ]


def test_a_record_that_only_the_rules_of_its_time_refused_is_kept(store):
    folder = store.sync([None, record("x")])
    line = json.loads((folder / "quarantine.jsonl").read_text())
    again = line | {"operation_id": "once", "record": json.dumps(record("once"))}
    (folder / "quarantine.jsonl").write_text(json.dumps(again) + "\n")
    store.apply([record("y")])
    before = store.everything()
    assert "once" in {row["operation_id"] for row in before["operations"]}
    store.prune()
    assert not folder.exists()
    store.publish(from_scratch=True)
    assert store.everything() == before


def test_the_last_whole_reading_and_what_came_after_it_stay(store):
    for mode in ("full", "incremental", "full", "incremental", "interrupted"):
        store.sync([record(mode)], mode=mode)
    store.publish()
    store.prune()
    assert left_in(store) == (2, [3, 4, 5])
    assert plan(store.warehouse, 0).folders == []


def test_without_a_whole_reading_nothing_is_dropped(store):
    for _ in range(2):
        store.sync([record()], mode="interrupted")
    assert plan(store.warehouse, 0).folders == []


@pytest.mark.parametrize(("days", "dropped"), [(0, 3), (1, 2), (2, 1), (3, 0)])
def test_age_is_measured_by_the_platforms_clock_from_the_newest_sync(store, days, dropped):
    for age in (2, 1, 0.5, 0):
        store.sync([record()], at=T0 - timedelta(days=age))
    assert len(plan(store.warehouse, days).syncs) == dropped


def test_a_clock_that_was_set_back_leaves_no_gap(store):
    for age in (3, 0.5, 3, 0):
        store.sync([record()], at=T0 - timedelta(days=age))
    assert [manifest.sync_id for _, manifest in plan(store.warehouse, 1).syncs] == [1]


def test_what_is_not_served_yet_is_published_first(store):
    store.sync([record("a")])
    store.sync([record("b")])
    prune(store.settings, Silent(), 0, up_to=1)
    assert len(store.rows("from core.operations")) == 2
    assert left_in(store) == (1, [2])


def test_a_sync_goes_on_after_a_prune(make_site):
    site = make_site()
    site.extract()
    site.sync(is_full=True)
    site.store.prune()
    assert site.sync(is_full=True).grade == "proven"
    assert site.sync().grade in ("proven", "counted")
    expected = site.store.everything()
    site.store.publish(from_scratch=True)
    assert site.store.everything() == expected
    assert site.published() == site.truth()


def run(store, *arguments):
    environment = {"IODM_WAREHOUSE": str(store.warehouse.root)}
    return CliRunner().invoke(cli, ["prune", *arguments], env=environment)


def test_the_command_says_what_it_will_drop_and_asks(store):
    store.apply([record()])
    assert run(store, "--keep-days", "0").output.startswith("Nothing to drop")
    store.apply([record()])
    done = run(store, "--keep-days", "0")
    assert done.exit_code == 2
    assert "1 syncs, 1 to 1, from 2026-03-04 13:00" in done.stderr
    assert "--yes" in done.stderr
    assert left_in(store) == (0, [1, 2])
    done = run(store, "--keep-days", "0", "--yes")
    assert (done.exit_code, done.stdout[:6]) == (0, "Freed ")
    assert left_in(store) == (1, [2])
    done = run(store, "--keep-days", "0", "--yes")
    assert (done.exit_code, done.stdout[:15]) == (0, "Nothing to drop")
    for days in ("-1", "9999999999"):
        assert run(store, "--keep-days", days).exit_code == 2
