"""Syncs that are interrupted at a chosen call, what they asked for, and what a warehouse holds whatever its history."""

import json
from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pyarrow as pa
import pytest

from pipelines.errors import PlatformError
from pipelines.extract.entries import SyncManifest
from pipelines.extract.raw import committed_syncs, read_manifest, sync_folders
from pipelines.flatten import apply_syncs, begin, scratch_database
from pipelines.sql_text import quoted
from pipelines.tables import TABLES
from pipelines.warehouse import Warehouse
from simulator.messages import Request, Response, html_response
from simulator.platform import OPERATIONS
from support.platforms import Site
from support.records import Store

MAGIC = b"\x28\xb5\x2f\xfd"  # of a zstd frame
_OF_ONE_RUN = {"_sync_id", "sync_id", "first_sync_id", "last_sync_id"}


class Inline(Executor):
    """Makes each call when it is asked for: the order of calls is the order of the requests."""

    def submit(self, call: Callable[..., Any], /, *positional: Any, **named: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(call(*positional, **named))
        except BaseException as error:  # noqa: BLE001 - the reader's to raise
            future.set_exception(error)
        return future


@dataclass(frozen=True)
class Asked:
    """A call of the scope's own list that reached the platform."""

    page_no: int
    page_size: int


class Requests:
    """Requests that reach a platform, since the last `clear`."""

    def __init__(self, site: Site) -> None:
        self._seen: list[Request] = []
        handle = site.platform.handle

        def handle_and_note(request: Request) -> Any:
            self._seen.append(request)
            return handle(request)

        site.platform.handle = handle_and_note

    def clear(self) -> None:
        self._seen.clear()

    def of_own_list(self) -> list[Asked]:
        """Calls of the list without a status, in their order."""
        queries = [dict(parse_qsl(each.query)) for each in self._seen if each.path == OPERATIONS]
        return [
            Asked(int(query["pageNo"]), int(query["pageSize"])) for query in queries if "operationStatus" not in query
        ]

    def rows_swept(self) -> list[range]:
        """Rows of the own list that were asked for, without first pages: every round asks for those."""
        return [
            range(each.page_no * each.page_size, (each.page_no + 1) * each.page_size)
            for each in self.of_own_list()
            if each.page_no
        ]


def interrupt(site: Site, page_no: int) -> None:
    """A full sync that dies when it asks for this page of the scope's own list."""
    handle = site.platform.handle

    def refuse_the_page(request: Request) -> Response:
        return html_response(403, "Forbidden") if request.query.startswith(f"pageNo={page_no}&") else handle(request)

    site.platform.handle = refuse_the_page
    with pytest.raises(PlatformError):
        site.extract(is_full=True, workers=Inline())
    site.platform.handle = handle
    site.client = site.connect()


def manifests(warehouse: Warehouse) -> list[SyncManifest]:
    """Of all committed syncs, oldest first."""
    return [read_manifest(folder / "sync.json") for folder in sync_folders(warehouse)]


def pages_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "pages.jsonl").read_bytes().splitlines()]


def content(store: Store) -> dict[str, list[dict[str, Any]]]:
    """All core tables but the list of syncs, without the numbers of syncs."""
    return {
        table: [{name: value for name, value in row.items() if name not in _OF_ONE_RUN} for row in rows]
        for table, rows in store.everything().items()
        if table != "syncs"
    }


def living(warehouse: Warehouse) -> set[str]:
    """Ids of the tasks that live by all committed syncs: met, and not found to be gone since."""
    last_met: dict[str, int] = {}
    last_gone: dict[str, int] = {}
    for folder in sync_folders(warehouse):
        for line in records_of(folder):
            last_met[line["record"]["operationId"]] = max(
                line["response"], last_met.get(line["record"]["operationId"], 0)
            )
        for line in _whole_lines(folder / "quarantine.jsonl"):
            last_met[line["operation_id"]] = max(line["response"], last_met.get(line["operation_id"], 0))
        for line in _whole_lines(folder / "removals.jsonl"):
            last_gone[line["operation_id"]] = line["response"]
    return {each for each, response in last_met.items() if response > last_gone.get(each, 0)}


def assert_a_rebuild_gives_the_same(store: Store) -> None:
    before = store.everything()
    store.publish(from_scratch=True)
    assert store.everything() == before


def assert_raw_store_adds_up(warehouse: Warehouse) -> None:
    """No response twice, syncs in the order of their responses, and every manifest says what its files hold."""
    last_response, sync_id = 0, 0
    for folder in sync_folders(warehouse):
        manifest, pages = read_manifest(folder / "sync.json"), pages_of(folder)
        responses = [page["response"] for page in pages]
        assert manifest.sync_id == sync_id + 1 == int(folder.name.removeprefix("sync="))
        assert len(set(responses)) == len(responses) == manifest.pages
        assert manifest.first_response == last_response + 1 <= min(responses)
        assert max(responses) == manifest.last_response
        lines = records_of(folder)
        quarantine = [json.loads(line) for line in (folder / "quarantine.jsonl").read_bytes().splitlines()]
        assert len(lines) + len(quarantine) == manifest.records == sum(page["records"] for page in pages)
        assert len(quarantine) == manifest.quarantined == sum(page["quarantined"] for page in pages)
        places = [(line["response"], line["index"]) for line in (*lines, *quarantine)]
        assert len(set(places)) == len(places)
        for page in pages:
            mine = sorted(index for response, index in places if response == page["response"])
            assert mine == list(range(page["records"])), (folder, page)
        removals = folder / "removals.jsonl"
        assert manifest.removed == (len(removals.read_bytes().splitlines()) if removals.exists() else 0)
        last_response, sync_id = manifest.last_response, manifest.sync_id
    assert not (warehouse.raw / "open").exists()


def records_of(folder: Path) -> list[dict[str, Any]]:
    """The lines of all record files of a sync."""
    lines = []
    for file in sorted(folder.glob("records-*")):
        if file.stat().st_size:
            with pa.CompressedInputStream(pa.OSFile(str(file)), "zstd") as stream:
                lines += stream.read().splitlines()
    return [json.loads(line) for line in lines]


def durable_responses(folder: Path) -> set[int]:
    """Responses of a sync under way before the first one of which something is missing; read in another way than ours.

    Record files are decoded to where they tear, whatever `pages.jsonl` says of frames.
    """
    records: dict[int, int] = {}
    for file in sorted(folder.glob("records-*")):
        for line in _decoded_to_the_tear(file.read_bytes()):
            records[line["response"]] = records.get(line["response"], 0) + 1
    for line in _whole_lines(folder / "quarantine.jsonl"):
        records[line["response"]] = records.get(line["response"], 0) + 1
    durable = set()
    for page in _whole_lines(folder / "pages.jsonl"):
        if records.get(page["response"], 0) != page["records"]:
            break
        durable.add(page["response"])
    return durable


def _whole_lines(file: Path) -> list[dict[str, Any]]:
    lines: list[dict[str, Any]] = []
    for line in file.read_bytes().split(b"\n")[:-1] if file.exists() else []:
        try:
            entry = json.loads(line)
        except ValueError:
            break
        if not isinstance(entry, dict) or len(entry) < 3:  # garbage that happens to be JSON
            break
        lines.append(entry)
    return lines


def _decoded_to_the_tear(content: bytes) -> list[dict[str, Any]]:
    """The lines of whole frames. What lies between two magic numbers is one, if it can be decompressed."""
    lines: list[dict[str, Any]] = []
    starts = [place for place in range(len(content)) if content.startswith(MAGIC, place)]
    begin = 0
    for end in (*starts[1:], *range(len(content), max(0, len(content) - len(MAGIC)), -1)):  # the last may be torn off
        try:
            with pa.CompressedInputStream(pa.BufferReader(content[begin:end]), "zstd") as stream:
                text = stream.read()
            if not text.endswith(b"\n"):
                continue  # the magic number stood within a frame
            lines += [json.loads(line) for line in text.splitlines()]
        except (OSError, ValueError):
            continue
        begin = end
    return lines


def assert_what_is_served_is_what_a_rebuild_would_serve(store: Store) -> None:
    """Row for row in every core table; without the marts and files that make a rebuild slow."""
    with scratch_database(store.warehouse, store.settings.memory_limit) as connection:
        begin(connection, None, scratch=store.warehouse.work)
        apply_syncs(connection, list(committed_syncs(store.warehouse)), store.warehouse.work)
        connection.execute(f"attach {quoted(str(store.warehouse.served_file()))} as published (read_only)")
        for table in TABLES:
            columns = ", ".join(column.name for column in table.columns)
            again, served = (
                f"select {columns} from merged_{table.name}",
                f"select {columns} from published.core.{table.name}",
            )
            differing = connection.execute(
                f"(({again}) except all ({served})) union all (({served}) except all ({again})) limit 5"
            ).fetchall()
            assert differing == [], table.name
