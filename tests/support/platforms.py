"""A simulated platform in process, with a client, a quota and a clock that only tests turn."""

import http.client
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import requests
import urllib3

from pipelines.extract.entries import SyncManifest
from pipelines.extract.recovery import recover
from pipelines.extract.sync import run_sync
from pipelines.platform.client import Client
from pipelines.platform.quota import Quota
from pipelines.progress import Silent
from simulator.adapter import PlatformAdapter
from simulator.dials import Dials
from simulator.faults import Fault
from simulator.platform import Platform
from support.clock import Clock
from support.records import Store

START = "2026-03-04T12:00:00Z"
SECRET = "a-simulated-secret"
QUIET = {
    "tasks": 330,
    "tasks_per_day": 0,
    "retries_per_day": 0,
    "removals_per_day": 0,
    "start": START,
    "speed": 0,
    "throttle": 0,
    "quirks": 0,
    "app_id": "app-1",
    "secret": SECRET,
}


class _Connection:
    """As much of a socket as http.client reads from."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def makefile(self, _mode: str) -> io.BytesIO:
        return io.BytesIO(self._content)


class Wire(PlatformAdapter):
    """Hands bodies over as http.client does: they end, and one shorter than announced is noticed."""

    def send(self, *positional: Any, **named: Any) -> requests.Response:
        response = super().send(*positional, **named)
        head = "".join(f"{name}: {value}\r\n" for name, value in response.headers.items())
        body = response.raw._fp.getvalue()
        wire = http.client.HTTPResponse(
            _Connection(f"HTTP/1.1 {response.status_code} {response.reason}\r\n{head}\r\n".encode() + body)
        )
        wire.begin()
        response.raw = urllib3.HTTPResponse(
            wire,
            headers=dict(response.headers),
            status=response.status_code,
            preload_content=False,
            original_response=wire,
        )
        return response


class Site:
    """A platform, a warehouse, and the client between them."""

    def __init__(
        self, folder: Path, faults: Sequence[Fault] = (), *, settings: dict[str, Any] | None = None, **dials: Any
    ) -> None:
        self.clock = Clock()
        self.platform = Platform(Dials(**(QUIET | dials)), faults, clock=self.clock)
        values = {"base_url": "https://platform:8743", "app_id": "app-1", "secret": SECRET, "calls_per_minute": 6_000}
        self.store = Store(folder, **(values | (settings or {})))
        self.settings, self.warehouse = self.store.settings, self.store.warehouse
        self.said: list[str] = []
        self.client = self.connect()

    def connect(self) -> Client:
        """A client as a new run has it: no token, the quota's file as it is."""
        session = requests.Session()
        session.mount("https://", Wire(self.platform, sleep=self.clock.sleep))
        quota = Quota(
            self.settings.calls_per_minute, self.warehouse.quota_file, clock=self.clock, sleep=self.clock.sleep
        )
        return Client(self.settings, quota, session=session, clock=self.clock, sleep=self.clock.sleep)

    def extract(self, **options: Any) -> SyncManifest:
        recover(self.warehouse)
        return run_sync(self.settings, self.warehouse, self.client, Silent(), announce=self.said.append, **options)

    def sync(self, **options: Any) -> SyncManifest:
        manifest = self.extract(**options)
        self.store.publish()
        return manifest

    def truth(self) -> set[str]:
        """Ids of the tasks that live on the platform now."""
        return {json.loads(each)["operationId"] for each in self.platform.operations()}

    def published(self) -> set[str]:
        """Ids of the tasks that are served, broken records included."""
        rows = self.store.rows(
            "select operation_id from core.operations union select operation_id from core.quarantine"
        )
        return {row["operation_id"] for row in rows}
