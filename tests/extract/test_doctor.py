"""What `iodm doctor` finds: every failure at its item with what to do, and nothing said that was not looked at."""

import json
import os
import socket
import time

import pytest
from click.testing import CliRunner

from pipelines.cli import cli
from pipelines.doctor import diagnose
from pipelines.platform.quota import Quota
from pipelines.progress import Silent
from pipelines.run import rollback, sync
from pipelines.settings import load_settings
from pipelines.warehouse import Warehouse, writer_lock
from simulator.dials import Dials
from simulator.process import SimulatorProcess

pytestmark = pytest.mark.usefixtures("few_reports")

ITEMS = ["settings", "warehouse", "disk", "lock", "published file", "address", "login", "quota"]
SECRET = "a-simulated-secret"
DIALS = Dials(tasks=30, throttle=0, speed=0.0, start="2026-03-04T12:00:00Z", app_id="app-1", secret=SECRET)


@pytest.fixture(scope="module")
def simulator():
    with SimulatorProcess(DIALS) as process:
        yield process


@pytest.fixture(scope="module")
def secure(tmp_path_factory):
    with SimulatorProcess(DIALS, tls=True, tls_folder=tmp_path_factory.mktemp("tls")) as process:
        yield process


@pytest.fixture
def warehouse(tmp_path, monkeypatch, simulator):
    """The settings of a good sync; the working folder is empty."""
    monkeypatch.chdir(tmp_path)
    use(monkeypatch, simulator)
    monkeypatch.setenv("IODM_CALLS_PER_MINUTE", "1000")
    return Warehouse(tmp_path / "warehouse")


def use(monkeypatch, simulator):
    for name, value in simulator.settings.items():
        monkeypatch.setenv(name, value)


def found():
    """Every item once and in order, as `result text`."""
    findings = list(diagnose())
    assert [finding.item for finding in findings] == ITEMS
    assert all((finding.exit_code > 0) == (finding.result == "fail") for finding in findings)
    assert SECRET not in str(findings)
    return {finding.item: f"{finding.result} {finding.text}" for finding in findings}


def results():
    return {item: text.split()[0] for item, text in found().items()}


def exit_code():
    return CliRunner().invoke(cli, ["doctor"], standalone_mode=False).return_value


def test_the_secret_goes_to_no_proxy_that_could_read_it(warehouse, monkeypatch):
    monkeypatch.delenv("no_proxy", raising=False)
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.getsockname()[1]}")
        proxy.setblocking(False)
        assert results()["login"] == "ok"
        with pytest.raises(BlockingIOError):
            proxy.accept()


def test_before_the_first_sync_everything_is_ok_and_one_login_and_one_probe_are_made(warehouse, simulator):
    before = simulator.statistics()["calls"]
    findings = found()
    after = simulator.statistics()["calls"]
    assert {kind: after[kind] - before.get(kind, 0) for kind in after if after[kind] != before.get(kind, 0)} == {
        "login": 1,
        "list": 1,
    }
    assert findings.pop("published file").startswith("skip nothing is published yet")
    assert {text.split()[0] for text in findings.values()} == {"ok"}
    assert str(warehouse.root) in findings["warehouse"]
    assert "0 of 1,000 calls" in findings["quota"]
    assert "30 tasks" in findings["quota"]
    assert "2 of 1,000 calls" in found()["quota"]
    assert exit_code() == 0


def test_what_is_published_is_described_and_a_hold_is_a_warning(warehouse):
    for _ in range(2):
        sync(load_settings(), Silent())
    assert found()["published file"].startswith("ok ")
    assert "number 2" in found()["published file"]
    assert "proven" in found()["published file"]
    rollback(load_settings())
    assert found()["published file"].startswith("warn HELD since")
    assert exit_code() == 0


@pytest.mark.parametrize("keep", [0, 0.5])
def test_a_broken_published_file_is_a_failure_of_storage(warehouse, keep):
    sync(load_settings(), Silent())
    file = warehouse.served_file()
    file.chmod(0o644)
    os.truncate(file, int(file.stat().st_size * keep) + 1)
    findings = found()
    assert findings["published file"].startswith("fail ")
    assert "iodm rebuild" in findings["published file"]
    assert findings["quota"].startswith("ok ")
    assert exit_code() == 4
    file.unlink()
    assert found()["published file"].startswith("fail nothing is published")


def test_each_wrong_setting_is_named_and_nothing_else_is_looked_at(warehouse, monkeypatch):
    monkeypatch.setenv("IODM_PAGE_SIZE", "0")
    monkeypatch.setenv("IODM_MEMORY_LIMIT", "lots")
    findings = found()
    assert "IODM_PAGE_SIZE" in findings["settings"]
    assert "IODM_MEMORY_LIMIT" in findings["settings"]
    assert set(results().values()) == {"fail", "skip"}
    assert not warehouse.root.exists()
    assert exit_code() == 2


def test_each_missing_setting_is_named_and_the_warehouse_is_looked_at_all_the_same(warehouse, monkeypatch):
    for name in ("IODM_BASE_URL", "IODM_APP_ID", "IODM_SECRET"):
        monkeypatch.delenv(name)
    findings = found()
    for name in ("IODM_BASE_URL", "IODM_APP_ID", "IODM_SECRET"):
        assert name in findings["settings"]
    assert findings["warehouse"].startswith("ok ")
    assert findings["login"].startswith("skip ")
    assert "settings" in findings["login"]
    assert exit_code() == 2


def test_a_warehouse_of_another_source_is_named_and_no_call_is_made(warehouse, monkeypatch, simulator):
    sync(load_settings(), Silent())
    monkeypatch.setenv("IODM_MODEL", "NB-1")
    before = simulator.statistics()["calls"]
    assert "another source" in found()["warehouse"]
    assert simulator.statistics()["calls"] == before
    assert exit_code() == 2


def test_a_folder_that_can_not_be_written_is_a_failure_of_storage(warehouse, monkeypatch):
    monkeypatch.setenv("IODM_WAREHOUSE", "/proc/warehouse")
    findings = found()
    assert findings["warehouse"].startswith("fail can't make the warehouse /proc/warehouse")
    assert findings["lock"].startswith("skip ")
    assert "see warehouse" in findings["address"]
    assert exit_code() == 4


def test_little_room_is_a_warning(warehouse):
    sync(load_settings(), Silent())
    stray = warehouse.lake / "operations" / "stray.parquet"
    with stray.open("wb") as handle:
        handle.truncate(10**13)  # takes no room: a file with a hole
    assert found()["disk"].startswith("warn ")
    assert "iodm prune" in found()["disk"]
    assert exit_code() == 0


def test_while_another_run_writes_no_call_is_made(warehouse, simulator):
    warehouse.root.mkdir()
    before = simulator.statistics()["calls"]
    with writer_lock(warehouse):
        findings = found()
    assert findings["lock"].startswith("skip another run is writing")
    assert {findings[item].split()[0] for item in ("address", "login", "quota")} == {"skip"}
    assert "see lock" in findings["login"]
    assert simulator.statistics()["calls"] == before


def test_a_host_that_does_not_answer_is_a_failure_of_the_address(warehouse, monkeypatch):
    monkeypatch.setenv("IODM_BASE_URL", "https://127.0.0.1:1")
    monkeypatch.setenv("IODM_TIMEOUT_SECONDS", "0.1")
    findings = found()
    assert findings["address"].startswith("fail gave up on POST")
    assert "Check IODM_BASE_URL" in findings["address"]
    assert findings["login"].startswith("skip ")


def test_a_certificate_is_verified_and_what_to_set_is_said(warehouse, monkeypatch, secure, simulator, tmp_path):
    use(monkeypatch, secure)
    assert "certificate is verified" in found()["address"]
    monkeypatch.delenv("IODM_CA_FILE")
    findings = found()
    assert findings["address"].startswith("fail ")
    assert "IODM_CA_FILE" in findings["address"]
    assert "IODM_TLS_SERVER_NAME" in findings["address"]
    assert exit_code() == 3
    (tmp_path / "ca.pem").write_text("no certificate")
    monkeypatch.setenv("IODM_CA_FILE", str(tmp_path / "ca.pem"))
    assert "IODM_CA_FILE" in found()["address"]
    assert exit_code() == 2


def test_a_wrong_secret_is_a_failure_of_the_login(warehouse, monkeypatch):
    monkeypatch.setenv("IODM_SECRET", "another-one")
    findings = found()
    assert findings["address"].startswith("ok ")
    assert findings["login"].startswith("fail ")
    assert "Check IODM_APP_ID and IODM_SECRET" in findings["login"]
    assert findings["quota"] == "skip see login"
    assert "another-one" not in str(findings)
    assert exit_code() == 3


def test_a_given_token_is_tried_without_a_login(warehouse, monkeypatch, simulator):
    monkeypatch.delenv("IODM_SECRET")
    monkeypatch.setenv("IODM_ACCESS_TOKEN", "not-a-token")
    logins = simulator.statistics()["calls"].get("login", 0)
    findings = found()
    assert findings["login"].startswith("ok IODM_ACCESS_TOKEN is given")
    assert findings["quota"].startswith("fail the access token in IODM_ACCESS_TOKEN is not valid")
    assert simulator.statistics()["calls"].get("login", 0) == logins


def test_calls_that_count_are_those_under_way_and_those_of_the_last_minute(tmp_path):
    now = [time.monotonic()]
    quota = Quota(5, tmp_path / "calls.bin", clock=lambda: now[0])
    assert quota.used == 0
    with quota.slot():
        assert quota.used == 1
    now[0] += 59
    assert Quota(5, tmp_path / "calls.bin", clock=lambda: now[0]).used == 1
    now[0] += 2
    assert quota.used == 0


def test_as_json_every_finding_is_an_object(warehouse):
    done = CliRunner().invoke(cli, ["doctor", "--json"])
    findings = json.loads(done.stdout)
    assert [finding["item"] for finding in findings] == ITEMS
    assert set(findings[0]) == {"item", "result", "text", "exit_code"}
