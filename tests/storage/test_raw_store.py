"""The raw store: what was received is there byte for byte, and a torn file is noticed before anything is made of it."""

import hashlib
import json

import msgspec
import pyarrow as pa
import pytest

from pipelines.errors import StorageError
from pipelines.extract.entries import Beginning, Origin
from pipelines.extract.raw import PAGES_PER_FILE, RawWriter, committed_syncs, newest_sync, prepare
from support.records import SOURCE, Store, encode, record, reply_of, without

pytestmark = pytest.mark.usefixtures("few_reports")


def lines_of(folder):
    """The lines of all record files, through pyarrow's own zstd reader."""
    lines = []
    for file in sorted(folder.glob("records-*.jsonl.zst")):
        if file.stat().st_size:
            with pa.CompressedInputStream(pa.OSFile(str(file)), "zstd") as stream:
                lines += stream.read().splitlines()
    return [json.loads(line) for line in lines]


def pages_of(folder):
    return [json.loads(line) for line in (folder / "pages.jsonl").read_bytes().splitlines()]


def quarantine_of(folder):
    return [json.loads(line) for line in (folder / "quarantine.jsonl").read_bytes().splitlines()]


def test_every_record_is_stored_as_received_with_its_response_and_place(store):
    pages = ([record("a"), None, record("b")], [record("c"), without(record(), "operationId")], [])
    folder = store.sync(*pages)
    stored = {(line["response"], line["index"]): line["record"] for line in lines_of(folder)}
    stored |= {(line["response"], line["index"]): json.loads(line["record"]) for line in quarantine_of(folder)}
    assert stored == {(number + 1, index): each for number, page in enumerate(pages) for index, each in enumerate(page)}


def test_each_response_is_a_line_with_the_sha256_of_its_body(store):
    folder = store.sync([record("a")], [record("b"), None])
    for number, (page, entry) in enumerate(zip(([record("a")], [record("b"), None]), pages_of(folder), strict=True)):
        reply = reply_of(page, page_no=number)
        assert entry["response"] == number + 1
        assert entry["sha256"] == hashlib.sha256(reply.body).hexdigest()
        assert (entry["bytes"], entry["records"], entry["request"]) == (len(reply.body), len(page), reply.request)
    manifest = json.loads((folder / "sync.json").read_bytes())
    assert (manifest["pages"], manifest["records"], manifest["quarantined"]) == (2, 3, 1)


def test_responses_and_syncs_are_numbered_on_from_the_last_sync(store):
    store.sync([record("a")], [record("b")])
    folder = store.sync([record("a")])
    assert [entry["response"] for entry in pages_of(folder)] == [3]
    assert newest_sync(store.warehouse).sync_id == 2
    assert [manifest.sync_id for _, manifest in committed_syncs(store.warehouse)] == [1, 2]
    assert [manifest.sync_id for _, manifest in committed_syncs(store.warehouse, after=1)] == [2]


def test_many_pages_go_to_several_files_and_none_is_lost(store):
    count = PAGES_PER_FILE + 3
    folder = store.sync(*([record(str(number))] for number in range(count)))
    assert len(list(folder.glob("records-*.jsonl.zst"))) == 2
    assert [line["record"]["operationId"] for line in lines_of(folder)] == [str(number) for number in range(count)]


def test_a_folder_without_sync_json_never_has_its_final_name(store, monkeypatch):
    import pathlib

    seen = []
    rename = pathlib.Path.rename
    monkeypatch.setattr(
        pathlib.Path,
        "rename",
        lambda self, target: (seen.append((self / "sync.json").exists()), rename(self, target))[1],
    )
    store.sync([record()])
    assert seen == [True]


def test_an_interrupted_sync_is_no_sync_and_the_next_one_takes_its_number(store):
    writer = RawWriter(store.warehouse, Beginning("full", SOURCE, 1))
    writer.add(prepare(reply_of([record("lost")]), Origin(1, 0)))
    writer.close()
    assert newest_sync(store.warehouse) is None
    assert list(committed_syncs(store.warehouse)) == []
    assert store.sync([record()]).name == "sync=000001"
    assert [
        line["record"]["operationId"]
        for line in lines_of(store.warehouse.raw / "synced_date=2026-03-04" / "sync=000001")
    ] == ["task-1"]


def cut(file, share=0.5):
    content = file.read_bytes()
    file.write_bytes(content[: int(len(content) * share)])


def flip(file):
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0xFF
    file.write_bytes(content)


DAMAGES = {
    "records cut": lambda folder: cut(folder / "records-00000.jsonl.zst"),
    "records cut at a frame": lambda folder: (folder / "records-00000.jsonl.zst").write_bytes(
        prepare(reply_of([record("a")]), Origin(2, 1)).frame
    ),
    "records empty": lambda folder: (folder / "records-00000.jsonl.zst").write_bytes(b""),
    "records missing": lambda folder: (folder / "records-00000.jsonl.zst").unlink(),
    "records with a flipped byte": lambda folder: flip(folder / "records-00000.jsonl.zst"),
    "records are something else": lambda folder: (folder / "records-00000.jsonl.zst").write_bytes(b"hello"),
    "pages cut": lambda folder: cut(folder / "pages.jsonl"),
    "pages cut at a line": lambda folder: (folder / "pages.jsonl").write_bytes(
        (folder / "pages.jsonl").read_bytes().splitlines(keepends=True)[0]
    ),
    "pages missing": lambda folder: (folder / "pages.jsonl").unlink(),
    "pages are no JSON": lambda folder: (folder / "pages.jsonl").write_bytes(b"\xff\xfe\n"),
    "quarantine cut": lambda folder: cut(folder / "quarantine.jsonl"),
    "quarantine empty": lambda folder: (folder / "quarantine.jsonl").write_bytes(b""),
    "quarantine missing": lambda folder: (folder / "quarantine.jsonl").unlink(),
    "manifest cut": lambda folder: cut(folder / "sync.json"),
    "manifest empty": lambda folder: (folder / "sync.json").write_bytes(b""),
    "manifest missing": lambda folder: (folder / "sync.json").unlink(),
    "manifest of another kind": lambda folder: (folder / "sync.json").write_bytes(b"[]"),
}


@pytest.fixture(scope="module")
def served_once(tmp_path_factory):
    """A warehouse with one sync, served."""
    store = Store(tmp_path_factory.mktemp("served"))
    store.apply([record("a")])
    return store


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_torn_raw_sync_is_an_error_of_storage_and_nothing_is_published(served_once, tmp_path, damage):
    store = served_once.copied(tmp_path)
    served = store.warehouse.served_file()
    before = served.read_bytes()
    folder = store.sync([record("a", status="stop"), record("b")], [record("c"), record("d", createTime=None)])
    store.sync([record("e")])
    DAMAGES[damage](folder)
    with pytest.raises(StorageError, match=folder.name) as caught:
        store.publish()
    assert caught.value.exit_code == 4
    assert caught.value.advice
    assert store.warehouse.served_file() == served
    assert served.read_bytes() == before
    assert not (store.warehouse.published / "unfinished.duckdb").exists()


def test_numbers_of_a_manifest_that_records_contradict_are_noticed(store):
    folder = store.sync([record("a"), record("b")])
    manifest = msgspec.json.decode((folder / "sync.json").read_bytes())
    (folder / "sync.json").write_bytes(msgspec.json.encode(manifest | {"records": 3}))
    with pytest.raises(StorageError):
        store.publish()


def test_records_stay_readable_for_people_with_nothing_but_zstd(store):
    folder = store.sync([record()])
    assert encode(lines_of(folder)[0]["record"]) == encode(record())
