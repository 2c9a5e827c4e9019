"""What the raw store says of the platform, read by other means than the project's own: JSON, one line after the other.

Takes in one committed sync after another, and checks on the way that each holds what it says, no response twice.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import pyarrow as pa

from pipelines.extract.entries import SyncManifest
from pipelines.warehouse import Warehouse

Place = tuple[int, int]  # a record's response and its index in it: the greater, the newer

TABLES = """
    create schema core;
    create table core.operations (
        operation_id varchar, status varchar, created_at timestamp, removed_at timestamp, operation_type varchar,
        device_type varchar, model varchar, manufacturer_name varchar
    );
    create table core.quarantine (operation_id varchar, first_sync_id bigint, last_sync_id bigint, record varchar);
    create table core.operation_history (operation_id varchar, sync_id bigint);
    create table core.syncs (sync_id bigint);
"""


@dataclass
class Story:
    """All that was met of one task; `good` and `broken` are its newest record of either kind.

    It was met from the first to the last response. `history`: the syncs at whose end its status or counters were others
    than before, with what they were.
    """

    first_response: int
    last_response: int = 0
    good: tuple[Place, dict[str, Any]] | None = None
    good_since: int = 0
    broken: tuple[Place, dict[str, Any]] | None = None
    broken_syncs: tuple[int, int] = (0, 0)
    gone: list[tuple[Place, str]] = field(default_factory=list)
    history: list[tuple[int, str, dict[str, int]]] = field(default_factory=list)

    @property
    def newest(self) -> dict[str, Any]:
        """The newest record of the task."""
        return max((each for each in (self.good, self.broken) if each), key=lambda each: each[0])[1]

    @property
    def removed_at(self) -> str | None:
        """When the first response came that said it is gone, after the last one that showed it."""
        last_met = max(place for place, _ in filter(None, (self.good, self.broken)))
        return next((observed_at for place, observed_at in sorted(self.gone) if place > last_met), None)


class Oracle:
    """The state of every task ever met."""

    def __init__(self) -> None:
        self.stories: dict[str, Story] = {}
        self.manifests: list[SyncManifest] = []

    def take_in(self, warehouse: Warehouse) -> None:
        """Read the one sync that was committed since the last time."""
        sync_id = len(self.manifests) + 1
        (folder,) = warehouse.raw.glob(f"synced_date=*/sync={sync_id:06d}")
        manifest = msgspec.json.decode((folder / "sync.json").read_bytes(), type=SyncManifest)
        pages, quarantine, removals = (
            lines_of(folder / f"{name}.jsonl") for name in ("pages", "quarantine", "removals")
        )
        records = [
            json.loads(line) for file in sorted(folder.glob("records-*")) for line in unpacked(file).splitlines()
        ]
        self._check(manifest, pages, quarantine, records)
        met = [(each["response"], each["index"], each["record"], False) for each in records]
        met += [(each["response"], each["index"], json.loads(each["record"]), True) for each in quarantine]
        for response, index, record, is_broken in sorted(met, key=lambda each: each[:2]):
            story = self.stories.setdefault(record["operationId"], Story(response))
            story.last_response = response
            if is_broken:
                story.broken = (response, index), record
                story.broken_syncs = (story.broken_syncs[0] or sync_id, sync_id)
            else:
                story.good, story.good_since = ((response, index), record), story.good_since or sync_id
        for story in self.stories.values():
            if story.good is not None and story.good[0][0] >= manifest.first_response:
                state = story.good[1]["status"], story.good[1]["staResult"]
                if not story.history or story.history[-1][1:] != state:
                    story.history.append((sync_id, *state))
        for each in removals:
            self.stories[each["operation_id"]].gone.append(((each["response"], 0), each["observed_at"]))
        assert manifest.removed == len(removals)
        self.manifests.append(manifest)

    def _check(
        self,
        manifest: SyncManifest,
        pages: list[dict[str, Any]],
        quarantine: list[dict[str, Any]],
        records: list[dict[str, Any]],
    ) -> None:
        newest = self.manifests[-1] if self.manifests else None
        assert manifest.sync_id == len(self.manifests) + 1
        assert manifest.first_response == (newest.last_response + 1 if newest else 1)
        responses = [each["response"] for each in pages]
        assert len(set(responses)) == len(responses) == manifest.pages
        assert manifest.first_response <= min(responses)
        assert max(responses) == manifest.last_response
        assert all(manifest.first_response - 1 <= each["sent_after"] < each["response"] for each in pages)
        places = [(each["response"], each["index"]) for each in (*records, *quarantine)]
        assert len(set(places)) == len(places) == manifest.records
        assert {each["response"]: each["records"] for each in pages if each["records"]} == {
            response: sum(place[0] == response for place in places) for response in {place[0] for place in places}
        }
        assert len(quarantine) == manifest.quarantined

    def met(self) -> set[str]:
        """Every id ever met."""
        return set(self.stories)

    def living(self) -> dict[str, dict[str, Any]]:
        """The newest record of each task that is not marked as removed."""
        return {name: story.newest for name, story in self.stories.items() if story.removed_at is None}

    def removed(self) -> set[str]:
        """Ids of the tasks that are marked as removed."""
        return {name for name, story in self.stories.items() if story.removed_at is not None}

    def is_ahead_of(self, warehouse: Warehouse) -> bool:
        """Whether there are syncs that are not served."""
        served = warehouse.served_file()
        return bool(self.manifests) and (served is None or served.name != self._file_name)

    @property
    def _file_name(self) -> str:
        return f"iodm-{len(self.manifests):06d}.duckdb"

    def serve(self, warehouse: Warehouse) -> None:
        """Write as much of a published file as the next sync reads, and serve it."""
        operations, quarantine, history = [], [], []
        for name, story in self.stories.items():
            if story.good is not None:
                record = story.good[1]
                targets = record["targets"]
                operations.append(
                    (
                        name,
                        record["status"],
                        _time(record["createTime"]),
                        story.removed_at,
                        record["operateType"],
                        targets["deviceType"],
                        targets["model"],
                        targets["manufacturerName"],
                    )
                )
                history.append((name, story.good_since))
            if story.broken is not None and story.good is None and story.removed_at is None:
                quarantine.append((name, *story.broken_syncs, json.dumps(story.broken[1])))
        warehouse.published.mkdir(exist_ok=True)
        file = warehouse.published / self._file_name
        with duckdb.connect(str(file)) as connection:
            connection.execute(TABLES)
            for table, rows in (
                ("operations", operations),
                ("quarantine", quarantine),
                ("operation_history", history),
                ("syncs", [(manifest.sync_id,) for manifest in self.manifests]),
            ):
                if rows:
                    places = ", ".join("(" + ", ".join("?" for _ in row) + ")" for row in rows)
                    connection.execute(
                        f"insert into core.{table} values {places}", [each for row in rows for each in row]
                    )
        warehouse.link.unlink(missing_ok=True)
        warehouse.link.symlink_to(file)


def lines_of(file: Path) -> list[dict[str, Any]]:
    """The objects of a file with one a line; none, if there is no such file."""
    return [json.loads(line) for line in file.read_bytes().splitlines()] if file.exists() else []


def unpacked(file: Path) -> bytes:
    """The content of a compressed file."""
    if not file.stat().st_size:
        return b""
    with pa.input_stream(str(file), compression="zstd") as stream:
        content: bytes = stream.read()
        return content


def _time(text: str) -> str:
    return f"{text[:4]}-{text[4:6]}-{text[6:8]} {text[9:11]}:{text[11:13]}:{text[13:15]}"
