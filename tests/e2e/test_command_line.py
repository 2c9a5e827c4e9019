"""The command line as a user runs it: real processes, real HTTP, real files."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from simulator.faults import Fault, Match
from simulator.process import SimulatorProcess
from support.commands import FROZEN, Iodm

pytestmark = pytest.mark.e2e
ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def known(iodm):
    """A warehouse that has something to lose; what is served must stay."""
    iodm.ok("sync")
    before = iodm.served()
    yield iodm
    assert iodm.served() == before


def test_a_sync_publishes_every_task_and_says_how_to_open_it(iodm, simulator):
    done = iodm.run("sync")
    assert done.returncode == 0, done.stderr
    assert "counted" in done.stdout
    assert f"duckdb -readonly {iodm.folder / 'warehouse' / 'iodm.duckdb'}" in done.stdout
    assert str(iodm.folder / "warehouse") in done.stderr  # the first sync says where to, before it starts
    found = json.loads(iodm.ok("sql", "select operation_id from core.operations", "--format", "json"))
    assert {row["operation_id"] for row in found} == {
        json.loads(task)["operationId"] for task in simulator.operations()
    }
    summary = json.loads(iodm.ok("sync", "--json"))
    assert (summary["sync_id"], summary["grade"], summary["rows"]["operations"]) == (2, "counted", 450)


def test_the_demo_needs_nothing_and_shows_rates(tmp_path):
    done = Iodm(tmp_path, {}).run("demo")
    assert done.returncode == 0, done.stderr
    assert "success rate" in done.stdout
    assert "iodm report" in done.stdout
    assert (tmp_path / "warehouse" / "demo" / "iodm.duckdb").exists()


def test_status_and_check_say_whether_to_trust_it(synced):
    status = json.loads(synced.ok("status", "--json"))
    assert (status["snapshot"]["grade"], status["rows"]["operations"]) == ("counted", 450)
    assert "grade" in synced.ok("status")
    assert {row["result"] for row in json.loads(synced.ok("check", "--format", "json"))} <= {"ok", "warning"}


def test_the_doctor_finds_everything_well(iodm):
    iodm.ok("sync")
    lines = iodm.ok("doctor").splitlines()
    assert [line.split()[0] for line in lines] == ["ok"] * 8
    findings = json.loads(iodm.ok("doctor", "--json"))
    assert {finding["result"] for finding in findings} == {"ok"}
    assert "450 tasks" in findings[-1]["text"]


@pytest.mark.parametrize(
    "command",
    [
        ["report"],
        ["status"],
        ["check"],
        ["sql", "select 1"],
        ["rebuild"],
        ["backtest"],
        ["prune", "--keep-days", "30", "--yes"],
    ],
)
def test_without_a_warehouse_every_reader_says_what_to_run_first(tmp_path, command):
    assert "iodm sync" in Iodm(tmp_path, {}).fails(4, *command)


@pytest.mark.parametrize(
    ("code", "settings", "text"),
    [
        (2, {"IODM_BASE_URL": None}, "IODM_BASE_URL"),
        (2, {"IODM_BASE_URL": "http://platform.example:8743"}, "https"),
        (2, {"IODM_OPERATION_TYPE": "hardware_upgrade"}, "IODM_OPERATION_TYPE"),
        (2, {"IODM_PAGE_SIZE": "0"}, "IODM_PAGE_SIZE"),
        (2, {"IODM_PAGE_SIZE": "101"}, "IODM_PAGE_SIZE"),
        (2, {"IODM_MODEL": "NB-1"}, "another source"),
        (2, {"IODM_APP_ID": "app-2"}, "another source"),
        (3, {"IODM_SECRET": "wrong-secret-value"}, "IODM_SECRET"),
        (3, {"IODM_BASE_URL": "https://127.0.0.1:1", "IODM_TIMEOUT_SECONDS": "0.2"}, ""),
    ],
)
def test_a_wrong_setting_costs_nothing_that_is_served(known, code, settings, text):
    if code == 3 and "IODM_BASE_URL" in settings:  # the same source at an address where nobody answers
        source = json.loads((known.folder / "warehouse" / "source.json").read_text())
        (known.folder / "warehouse" / "source.json").write_text(json.dumps(source | {"platform": "127.0.0.1:1"}))
    line = known.fails(code, "sync", **settings)
    assert text in line
    assert "wrong-secret-value" not in line


def test_debug_shows_the_traceback(iodm):
    done = iodm.run("--debug", "sync", IODM_SECRET="wrong-secret-value")
    assert done.returncode != 0
    assert "Traceback" in done.stderr
    assert "wrong-secret-value" not in done.stderr + done.stdout


@pytest.mark.parametrize("damage", ["cut", "missing"])
def test_a_torn_raw_file_is_an_error_of_storage(known, damage):
    (file,) = (known.folder / "warehouse" / "raw").glob("*/*/records-*.zst")
    file.write_bytes(file.read_bytes()[:-7]) if damage == "cut" else file.unlink()
    known.fails(4, "rebuild")


def test_a_warehouse_that_is_a_file_is_an_error_of_storage(iodm):
    (iodm.folder / "warehouse").write_text("not a folder")
    iodm.fails(4, "sync")


def test_a_read_only_disk_is_an_error_of_storage(iodm):
    iodm.fails(4, "sync", IODM_WAREHOUSE="/proc/warehouse")


@pytest.fixture
def small_disk(tmp_path, request):
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={request.param}", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("mounting a small disk is not permitted here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.parametrize("small_disk", ["16k", "60k", "200k", "400k", "600k", "1200k"], indirect=True)
def test_a_full_disk_is_an_error_of_storage(iodm, small_disk):
    iodm.fails(4, "sync", IODM_WAREHOUSE=small_disk / "warehouse")


def wait_for(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "did not come"
        time.sleep(0.02)


def test_a_second_run_at_once_is_told_to_wait(known, simulator):
    simulator.set_faults([Fault("stall", Match(kind="list"), times=1, seconds=15)])
    first = known.start("sync")
    try:
        wait_for(lambda: simulator.statistics()["faults_acted"] == [1])
        assert "another run" in known.fails(4, "sync")
        assert known.ok("report")
    finally:
        first.kill()
        first.communicate()


@pytest.mark.parametrize("is_known", [True, False])
def test_after_a_kill_the_next_sync_works_as_if_nothing_had_been(iodm, simulator, is_known):
    if is_known:
        iodm.ok("sync")
        before = iodm.served()
    simulator.set_faults([Fault("stall", Match(kind="list", first=4), times=1, seconds=20)])
    victim = iodm.start("sync")
    wait_for(lambda: simulator.statistics()["faults_acted"] == [1])
    victim.send_signal(signal.SIGKILL)
    victim.communicate()
    if is_known:
        assert iodm.served() == before
    simulator.set_faults([])
    assert json.loads(iodm.ok("sync", "--json"))["sync_id"] == (2 if is_known else 1)
    assert json.loads(iodm.ok("status", "--json"))["rows"]["operations"] == 450


def test_a_plan_knows_of_a_sync_that_was_interrupted(iodm, simulator):
    simulator.set_faults([Fault("html_403", Match(kind="list", first=4), times=1)])
    iodm.fails(3, "sync")
    simulator.set_faults([])
    assert "goes on from row" in iodm.ok("plan")
    assert json.loads(iodm.ok("sync", "--json"))["sync_id"] == 2


def test_no_output_and_no_file_shows_the_secret_or_a_token(iodm, simulator):
    shown = ""
    simulator.set_faults(
        [
            Fault("reset", Match(kind="list", first=2), times=1),
            Fault("dead_token", Match(kind="list", first=3), times=1),
        ]
    )
    for command in (["--debug", "sync"], ["sync", "--json"], ["status"], ["report"], ["rebuild"]):
        done = iodm.run(*command)
        assert done.returncode == 0, done.stderr
        shown += done.stdout + done.stderr
    assert simulator.secret not in shown
    assert "Bearer" not in shown
    for file in (iodm.folder / "warehouse").rglob("*"):
        if file.is_file():
            assert simulator.secret.encode() not in file.read_bytes(), file


@pytest.mark.parametrize("client_certificate", [False, True])
@pytest.mark.parametrize("name", ["", "platform.invalid"])
def test_https_is_verified_with_the_ca_and_the_name_and_the_certificate_that_are_set(
    tmp_path, client_certificate, name
):
    with SimulatorProcess(
        replace(FROZEN, tasks=30),
        tls=True,
        certificate_name=name,
        client_certificate=client_certificate,
        tls_folder=tmp_path / "tls",
    ) as simulator:
        command = Iodm(tmp_path, simulator.settings | {"IODM_TIMEOUT_SECONDS": 1})
        command.ok("sync")
        assert "IODM_CA_FILE" in command.fails(3, "sync", IODM_CA_FILE=None)
        if name:
            assert "IODM_TLS_SERVER_NAME" in command.fails(3, "sync", IODM_TLS_SERVER_NAME=None)
        wrong = tmp_path / "wrong.pem"
        wrong.write_text("no certificate")
        assert "IODM_CA_FILE" in command.fails(2, "sync", IODM_CA_FILE=wrong)


def test_strict_fails_where_something_is_left_to_look_at(iodm, simulator):
    simulator.set_faults([Fault("wrong_total", Match(kind="list"), by=3)])
    done = iodm.run("sync", "--strict")
    assert (done.returncode, "UNPROVEN" in done.stderr) == (1, True)
    assert json.loads(iodm.ok("status", "--json"))["snapshot"]["grade"] == "unproven"


def test_a_wheel_works_away_from_the_repository(tmp_path):
    def call(*arguments, **options):
        done = subprocess.run(arguments, capture_output=True, text=True, check=False, **options)
        assert done.returncode == 0, done.stderr + done.stdout

    call(
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--no-deps",
        "--no-build-isolation",
        "-q",
        "-w",
        str(tmp_path / "wheel"),
        str(ROOT),
    )
    (wheel,) = (tmp_path / "wheel").glob("*.whl")
    call(sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "venv"))
    site = next((tmp_path / "venv" / "lib").glob("python*")) / "site-packages"
    call(sys.executable, "-m", "pip", "install", "--no-deps", "-q", "--target", str(site), str(wheel))
    here = next(path for path in map(Path, sys.path) if path.name == "site-packages")
    (site / "libraries.pth").write_text(f"{here}\n")
    script = (
        "import pipelines, pipelines.models\n"
        "print(pipelines.__file__, pipelines.models.sql_folder())\n"
        "from pipelines.cli import main\n"
        "main()"
    )
    python = str(tmp_path / "venv" / "bin" / "python")
    settings = {**os.environ, "IODM_WAREHOUSE": "warehouse/demo"}
    done = subprocess.run([python, "-c", script, "demo"], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    call(python, "-c", script, "report", "--html", "page.html", cwd=tmp_path, env=settings)
    assert "How well upgrades succeed" in (tmp_path / "page.html").read_text()
    assert str(site) in done.stdout.splitlines()[0]
    assert str(ROOT) not in done.stdout.splitlines()[0]
    assert (tmp_path / "warehouse" / "demo" / "iodm.duckdb").exists()
