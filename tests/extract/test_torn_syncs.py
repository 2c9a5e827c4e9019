"""What is left of a sync under way, torn at any byte: whole responses are kept, in their order, and nothing else."""

import shutil
import tempfile
from pathlib import Path

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipelines.extract import raw, recovery
from pipelines.extract.entries import Beginning, Origin
from pipelines.extract.raw import RawWriter, newest_sync, prepare
from pipelines.extract.recovery import recover
from support.fuzz import examples
from support.interruptions import assert_raw_store_adds_up, durable_responses, pages_of
from support.kills import PAGES_PER_FILE
from support.records import SOURCE, Store, record, reply_of

pytestmark = pytest.mark.usefixtures("few_reports")

PAGES = [
    [record("a"), record("b", status="stop")],
    [record("c"), None],
    [],  # a page past the end, or a task that is gone
    ["garbage", {}],
    [record(str(number)) for number in range(40)],
    [record("d"), record("e", createTime=None)],
    [],
    [record("f")],
]
FILES = [
    *(f"records-{number:05d}.jsonl.zst" for number in range(-(-len(PAGES) // PAGES_PER_FILE))),
    *("pages.jsonl", "quarantine.jsonl", "removals.jsonl"),
]
GARBAGE = st.one_of(
    st.binary(min_size=1, max_size=60),
    st.sampled_from([b"\n", b"\x00" * 4096, b"{}\n", b"null\n", b'{"response":9}\n', b"\x28\xb5\x2f\xfd", b"\r\n"]),
)


@pytest.fixture(scope="module", autouse=True)
def _few_pages_per_file():
    with pytest.MonkeyPatch.context() as patch:
        for module in (raw, recovery):
            patch.setattr(module, "PAGES_PER_FILE", PAGES_PER_FILE)
        yield


@pytest.fixture(scope="module")
def under_way(tmp_path_factory, _few_pages_per_file):
    """A warehouse with a committed sync, and a whole one that was about to be."""
    store = Store(tmp_path_factory.mktemp("torn"))
    store.sync([record("a")])
    writer = RawWriter(store.warehouse, Beginning("full", SOURCE, 2, reading_since=2))
    for response, page in enumerate(PAGES, 2):
        writer.add(prepare(reply_of(page), Origin(response, response - 1, of="all")), next_row=response * 100)
    writer.close()
    (writer.folder / "removals.jsonl").write_bytes(b'{"response":4,"observed_at":"2026-03-04T12:00:00Z"}\n')
    return store.warehouse.root


def recovered(warehouse: Path, damage) -> tuple[list[int], list[int]]:
    """Responses that were whole after the damage, and those of the sync that was made of them."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(warehouse, Path(folder) / "warehouse")
        store = Store(Path(folder))
        damage(store.warehouse.raw / "open")
        durable = durable_responses(store.warehouse.raw / "open")
        manifest = recover(store.warehouse)
        assert_raw_store_adds_up(store.warehouse)
        if manifest is None:
            assert newest_sync(store.warehouse).sync_id == 1
            return sorted(durable), []
        kept = pages_of(store.warehouse.raw / "synced_date=2026-03-04" / "sync=000002")
        assert manifest == newest_sync(store.warehouse)
        assert (manifest.mode, manifest.grade) == ("interrupted", "unproven")
        assert (manifest.reading_since, manifest.next_row) == (2, kept[-1]["next_row"])
        assert recover(store.warehouse) is None
        return sorted(durable), [page["response"] for page in kept]


def cut(file: Path, share: float) -> None:
    content = file.read_bytes()
    file.write_bytes(content[: int(len(content) * share)])


@settings(max_examples=examples(50, 2_000))
@given(st.sampled_from(FILES), st.integers(0, 100_000))
def test_a_file_cut_at_any_byte_costs_the_responses_behind_it_and_no_other(under_way, name, place):
    def damage(folder):
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[: place % (len(content) + 1)])

    durable, kept = recovered(under_way, damage)
    assert kept == durable == list(range(2, 2 + len(kept)))


@settings(max_examples=examples(25, 2_000))
@example(
    [("records-00001.jsonl.zst", 0.84375), *[("records-00001.jsonl.zst", 0.8515625)] * 2]
)  # a byte of a magic number
@given(st.lists(st.tuples(st.sampled_from(FILES), st.floats(0, 1)), min_size=2, max_size=4))
def test_several_files_cut_at_once_cost_no_more_than_the_shortest(under_way, cuts):
    def damage(folder):
        for name, share in cuts:
            cut(folder / name, share)

    durable, kept = recovered(under_way, damage)
    assert kept == durable == list(range(2, 2 + len(kept)))


@settings(max_examples=examples(25, 2_000))
@example("pages.jsonl", 0.99999, b"\n")
@given(st.sampled_from(FILES), st.floats(0, 1), GARBAGE)
def test_garbage_at_the_end_is_cut_off(under_way, name, share, garbage):
    content = (under_way / "raw" / "open" / name).read_bytes()
    place = int(len(content) * share)
    while content[place : place + 1] in (b"\n", garbage[:1]):  # else the garbage may end what the cut left unended
        place -= 1

    def damage(folder):
        (folder / name).write_bytes(content[:place] + garbage)

    _, kept = recovered(under_way, damage)
    _, without_garbage = recovered(under_way, lambda folder: (folder / name).write_bytes(content[:place]))
    assert kept == without_garbage


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_missing_is_no_error(under_way, name):
    durable, kept = recovered(under_way, lambda folder: (folder / name).unlink())
    assert kept == durable


@pytest.mark.parametrize("place", range(len(PAGES)))
@pytest.mark.parametrize(("more_records", "more_quarantined"), [(1, 0), (-1, 0), (1, 1), (-1, -1)])
def test_a_response_with_another_number_of_lines_than_it_says_is_cut_off_with_those_behind_it(
    under_way, place, more_records, more_quarantined
):
    def damage(folder):
        pages = pages_of(folder)
        pages[place]["records"] += more_records
        pages[place]["quarantined"] += more_quarantined
        (folder / "pages.jsonl").write_bytes(b"".join(msgspec.json.encode(page) + b"\n" for page in pages))

    assert recovered(under_way, damage)[1] == list(range(2, 2 + place))


@given(st.one_of(st.none(), st.integers(0, 1_000), GARBAGE))
@settings(max_examples=examples(25, 500))
def test_without_its_beginning_nothing_is_known_of_it_and_it_is_dropped(under_way, content):
    def damage(folder):
        file = folder / "begun.json"
        whole = file.read_bytes()
        if content is None:
            file.unlink()
        else:
            file.write_bytes(whole[: content % len(whole)] if isinstance(content, int) else content)

    assert recovered(under_way, damage)[1] == []


@given(st.one_of(st.integers(0, 5_000), GARBAGE))
@settings(max_examples=examples(25, 500))
def test_a_torn_sync_json_is_as_good_as_none(under_way, content):
    other = next((under_way / "raw").glob("synced_date=*/sync=*/sync.json")).read_bytes()

    def damage(folder):
        (folder / "sync.json").write_bytes(other[: content % (len(other) - 3)] if isinstance(content, int) else content)

    assert recovered(under_way, damage)[1] == list(range(2, 2 + len(PAGES)))


def test_with_a_whole_sync_json_it_is_the_sync_that_it_says(under_way, tmp_path):
    shutil.copytree(under_way, tmp_path / "warehouse")
    store = Store(tmp_path)
    folder = store.warehouse.raw / "open"
    (folder / "removals.jsonl").unlink()
    pages = pages_of(folder)
    newest = msgspec.structs.replace(
        newest_sync(store.warehouse),
        sync_id=2,
        first_response=2,
        last_response=1 + len(PAGES),
        pages=len(PAGES),
        records=sum(page["records"] for page in pages),
        quarantined=sum(page["quarantined"] for page in pages),
    )
    (folder / "sync.json").write_bytes(msgspec.json.encode(newest))
    assert recover(store.warehouse) == newest == newest_sync(store.warehouse)
    assert_raw_store_adds_up(store.warehouse)
