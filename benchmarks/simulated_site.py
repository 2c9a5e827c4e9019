"""A simulated platform in process, a warehouse, and one clock for both: a week passes in minutes.

The client, its quota, the raw store and publishing are the real ones. Simulated time passes where real time would:
while a call is under way, while a call waits for the quota, and between two syncs.
"""

import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import numpy as np
import requests

from pipelines.extract.entries import PageEntry, RemovalEntry, SyncManifest
from pipelines.extract.raw import committed_syncs
from pipelines.extract.recovery import recover
from pipelines.extract.sync import run_sync
from pipelines.platform.client import Client
from pipelines.platform.quota import Quota
from pipelines.progress import Silent
from pipelines.publish import publish
from pipelines.settings import Settings
from pipelines.warehouse import open_warehouse, writer_lock
from simulator.adapter import PlatformAdapter
from simulator.clock import SimulatedTime
from simulator.dials import Dials
from simulator.platform import Platform
from simulator.timeline import Status

LOOKED_UP, LOGGED_IN = "by id", "login"


class Clock:
    """Seconds that pass only when told to, or when somebody sleeps; sleepers at the same time don't add up."""

    def __init__(self) -> None:
        self._seconds = 0.0
        self._lock = threading.Lock()
        self._read = threading.local()

    def __call__(self) -> float:
        """The instant, in seconds."""
        with self._lock:
            self._read.at = self._seconds
            return self._seconds

    def sleep(self, seconds: float) -> None:
        """Pass to the instant that this thread last read plus these seconds."""
        with self._lock:
            self._seconds = max(self._seconds, getattr(self._read, "at", self._seconds) + seconds)

    def advance(self, seconds: float) -> None:
        """Pass by these seconds."""
        with self._lock:
            self._seconds += max(0.0, seconds)


class SlowAdapter(PlatformAdapter):
    """Each call takes so many simulated seconds, one after the other; `seconds` sums the real ones spent here."""

    def __init__(self, platform: Platform, clock: Clock, seconds_per_call: float) -> None:
        super().__init__(platform, sleep=clock.sleep)
        self._clock, self._seconds_per_call = clock, seconds_per_call
        self._answering = threading.Lock()
        self.seconds = 0.0

    def send(self, *positional: Any, **named: Any) -> requests.Response:  # noqa: ANN401 - passed on
        """Let the call take its time, then answer it."""
        with self._answering:
            self._clock.advance(self._seconds_per_call)
            started = time.perf_counter()
            response = super().send(*positional, **named)
            self.seconds += time.perf_counter() - started
            return response


@dataclass(frozen=True)
class Done:
    """One sync: what it says of itself, its calls by what they read, and the real seconds that it took.

    `unmarked` are tasks that had vanished when it ended and still count as living, `unmet` those that were there and
    that no sync has met.
    """

    manifest: SyncManifest
    calls: dict[str, int]
    seconds: float
    simulator_seconds: float
    unmarked: int
    unmet: int


class SimulatedSite:
    """What a crontab would drive: a platform, a warehouse below `folder`, and a new client for every sync."""

    def __init__(self, folder: Path, dials: Dials, *, calls_per_minute: int, seconds_per_call: float) -> None:
        self.clock = Clock()
        self.platform = Platform(dials, clock=self.clock)
        self._seconds_per_call = seconds_per_call
        self.settings = Settings(
            _env_file=None,
            base_url="https://platform:8743",
            app_id=self.platform.app_id,
            secret=self.platform.secret,
            calls_per_minute=calls_per_minute,
            warehouse=folder / "warehouse",
        )
        self.warehouse = open_warehouse(self.settings)
        self.ever_met: set[str] = set()
        self._living: set[str] = set()
        self._ids: list[str] = []  # by position in the fleet

    def wait_until(self, instant: float) -> None:
        """Let simulated time pass."""
        self.clock.advance(instant - self.platform.now())

    def freeze(self) -> None:
        """From now on nothing happens on the platform any more, though calls still take their time."""
        self.platform.world.time = SimulatedTime(self.platform.now(), 0.0, self.clock)

    def sync(self, *, is_full: bool = False) -> Done:
        """Extract as a run of `iodm sync` does, without publishing."""
        adapter = SlowAdapter(self.platform, self.clock, self._seconds_per_call)
        session = requests.Session()
        session.mount("https://", adapter)
        started = time.perf_counter()
        with writer_lock(self.warehouse):
            recover(self.warehouse)
            quota = Quota(
                self.settings.calls_per_minute, self.warehouse.quota_file, clock=self.clock, sleep=self.clock.sleep
            )
            client = Client(self.settings, quota, session=session, clock=self.clock, sleep=self.clock.sleep)
            manifest = run_sync(
                self.settings, self.warehouse, client, Silent(), is_full=is_full, announce=lambda _: None
            )
        seconds = time.perf_counter() - started
        calls = self._take_in(manifest)
        there = self._there()
        return Done(manifest, calls, seconds, adapter.seconds, len(self._living - there), len(there - self._living))

    def publish(self) -> float:
        """Serve what was extracted; returns the real seconds that it took."""
        started = time.perf_counter()
        with writer_lock(self.warehouse):
            publish(self.settings, self.warehouse, Silent())
        return time.perf_counter() - started

    def _take_in(self, manifest: SyncManifest) -> dict[str, int]:
        """Learn from the raw files of a sync which tasks it met and which it found gone; returns its calls."""
        [(folder, _)] = committed_syncs(self.warehouse, after=manifest.sync_id - 1)
        records = [str(file) for file in folder.glob("records-*.jsonl.zst") if file.stat().st_size]
        if records:
            ids = "select distinct record.operationId from read_json($files, format = 'newline_delimited', "
            columns = "columns = {record: 'STRUCT(operationId VARCHAR)'})"
            with duckdb.connect() as connection:
                met = {row[0] for row in connection.execute(ids + columns, {"files": records}).fetchall()}
            self.ever_met |= met
            self._living |= met
        if (folder / "removals.jsonl").exists():
            removals = msgspec.json.Decoder(RemovalEntry).decode_lines((folder / "removals.jsonl").read_bytes())
            self._living -= {entry.operation_id for entry in removals}
        entries = msgspec.json.Decoder(PageEntry).decode_lines((folder / "pages.jsonl").read_bytes())
        calls: dict[str, int] = {}
        for entry in entries:
            name = entry.of or LOOKED_UP
            calls[name] = calls.get(name, 0) + 1
        return {**calls, LOGGED_IN: manifest.api_calls - len(entries)}

    def _there(self) -> set[str]:
        """Ids of the tasks that live on the platform now; cheaper than rendering each."""
        fleet = self.platform.world.fleet
        known = len(self._ids)
        self._ids += fleet.operation_ids(np.arange(known, fleet.size))
        return {self._ids[position] for position in np.flatnonzero(fleet.status != Status.GONE).tolist()}
