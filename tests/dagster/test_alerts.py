"""Alerts as the daemon evaluates them, posted to a real receiver: once per incident, once when it is over."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import duckdb
import pytest

from iodm_assets.alerts import alerts
from iodm_assets.definitions import defs
from iodm_assets.resources import SettingsResource
from pipelines.alerts import incidents, message
from pipelines.progress import Silent
from pipelines.run import sync
from pipelines.settings import load_settings
from support.platforms import Site
from support.webhook import PATH, Receiver, receiving


@pytest.fixture
def receiver(monkeypatch) -> Iterator[Receiver]:
    with receiving() as got:
        monkeypatch.setenv("IODM_ALERT_WEBHOOK", got.url)
        yield got


@dataclass
class Watch:
    """The sensor with its memory, as the daemon keeps it."""

    instance: dg.DagsterInstance
    cursor: str | None = None

    def tick(self) -> str:
        context = dg.build_sensor_context(
            instance=self.instance, cursor=self.cursor, resources={"settings": SettingsResource()}
        )
        data = alerts.evaluate_tick(context)
        self.cursor = data.cursor or self.cursor
        return data.skip_message


@pytest.fixture
def watch(instance) -> Watch:
    return Watch(instance)


def run(instance):
    return defs.resolve_job_def("sync_operations").execute_in_process(instance=instance, raise_on_error=False).success


@pytest.fixture(scope="module")
def served(tmp_path_factory) -> Path:
    """A warehouse that serves what was there at noon on 4 March 2026."""
    site = Site(tmp_path_factory.mktemp("served"))
    site.sync()
    return site.warehouse.root


@pytest.fixture
def old_data(served, warehouse, monkeypatch) -> None:
    """It is in the test's warehouse, and the settings name a platform."""
    shutil.copytree(served, warehouse.root, symlinks=True)
    monkeypatch.setenv("IODM_BASE_URL", "https://platform.example:8743")


def spoil(warehouse, *statements):
    """Change the served file: the state of data that takes weeks to come about."""
    file = warehouse.served_file()
    file.chmod(0o644)
    with duckdb.connect(str(file)) as connection:
        for statement in statements:
            connection.execute(statement)


def test_without_a_webhook_nobody_is_told_and_the_tick_says_so(watch, warehouse):
    assert watch.tick() == "IODM_ALERT_WEBHOOK is not set"


def test_one_failed_sync_is_no_incident_two_in_a_row_are_one_and_a_good_one_ends_it(
    watch, warehouse, receiver, start_platform, monkeypatch
):
    now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    start_platform(start=now)
    monkeypatch.setenv("IODM_SECRET", "wrong-secret")
    for told in (0, 1, 1):
        assert not run(watch.instance)
        watch.tick()
        assert len(receiver.texts) == told
    assert "two syncs in a row have failed" in receiver.texts[0]
    start_platform(start=now)
    assert run(watch.instance)
    watch.tick()
    watch.tick()
    assert len(receiver.texts) == 2
    assert "over: two syncs in a row have failed" in receiver.texts[1]
    assert "wrong-secret" not in "".join(receiver.texts)


def test_each_incident_is_told_once_and_once_when_it_is_over(watch, warehouse, receiver, start_platform):
    start_platform(start=f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}")
    sync(load_settings(), Silent())
    assert watch.tick() == "nothing is wrong"
    spoil(
        warehouse,
        "update marts.snapshot set grade = 'unproven', operations_outside_rates = 50, "
        "observed_at = observed_at - interval 3 hour",
        "insert into marts.failure_hotspots by name select 'firmware_upgrade' as operation_type, 'NB-1' as model, "
        "'V2' as file_version, 0.5 as success_rate, 0.95 as peer_rate, 100 as finished",
        "insert into marts.failure_hotspots by name select * replace (null as model, 'NB-1' as device_type) "
        "from marts.failure_hotspots",
        "insert into marts.stalled_operations by name select 'task-1' as operation_id, 7200 as unchanged_seconds, "
        "3 as devices_left",
    )
    watch.tick()
    [text] = receiver.texts
    for part in (
        "is unproven",
        "50 of 350 tasks are outside the rates",
        "the data is of",
        "? NB-1 V2 (?): 50.0 % of 100 upgrades succeed, 95.0 % of its peers",
        "? ? V2 (NB-1): 50.0 % of 100 upgrades succeed",
        "task task-1 (? ?) stands still for 02:00:00; 3 devices are left",
    ):
        assert part in text
    assert watch.tick() == "nothing new; 6 incidents last"
    spoil(warehouse, "delete from marts.stalled_operations")
    watch.tick()
    assert len(receiver.texts) == 2
    assert "over: task task-1" in receiver.texts[1]
    assert "NB-1" not in receiver.texts[1]


def test_a_message_that_is_not_taken_is_posted_again_and_the_address_stays_secret(watch, old_data, receiver):
    receiver.status = 500
    said = watch.tick()
    assert "HTTP 500" in said
    assert PATH not in said
    receiver.status = 200
    watch.tick()
    assert len(receiver.texts) == 2
    assert receiver.texts[0] == receiver.texts[1]
    assert watch.tick() == "nothing new; 1 incidents last"


def test_where_nobody_listens_the_tick_says_so_without_the_address(watch, old_data, monkeypatch):
    monkeypatch.setenv("IODM_ALERT_WEBHOOK", f"http://127.0.0.1:9{PATH}")
    said = watch.tick()
    assert "could not be posted" in said
    assert PATH not in said
    assert PATH not in repr(load_settings())


def test_nothing_of_the_data_is_over_because_it_can_not_be_read(watch, warehouse, receiver):
    watch.cursor = json.dumps({"unproven": "sync 7 is unproven"})
    assert watch.tick() == "nothing new; 1 incidents last"
    assert receiver.texts == []


def test_old_data_is_an_incident_from_the_limit_on(warehouse, old_data):
    observed_at = datetime(2026, 3, 4, 12, tzinfo=UTC)
    assert incidents(warehouse, timedelta(hours=2), observed_at + timedelta(hours=1, minutes=59)) == {}
    assert set(incidents(warehouse, timedelta(hours=2), observed_at + timedelta(hours=2, minutes=1))) == {"stale"}


def test_many_incidents_make_one_message_of_a_bearable_length():
    text = message({str(number): f"task {number}" for number in range(25)}, {}, "title")
    assert text.count("task") == 10
    assert text.endswith("and 15 more")
