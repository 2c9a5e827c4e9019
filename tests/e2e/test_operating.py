"""docs/operating.md: what it says is run here, with the lines of its units and its yaml, and a real PostgreSQL."""

import contextlib
import json
import os
import pwd
import re
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import pytest
import requests

from pipelines.tables import TABLES
from support.commands import FROZEN, Iodm

pytestmark = pytest.mark.e2e
ROOT = Path(__file__).parent.parent.parent
BIN = Path(sys.executable).parent


def unit_lines(unit: str, key: str) -> list[list[str]]:
    """The commands of a unit, with its programs taken from this environment."""
    text = (ROOT / "docs" / "systemd" / f"iodm-{unit}.service").read_text()
    commands = [shlex.split(line) for line in re.findall(rf"^{key}=(.*)$", text, re.MULTILINE)]
    return [[str(BIN / Path(program).name), *arguments] for program, *arguments in commands]


@pytest.fixture
def database() -> Iterator[Callable[[str], str]]:
    """A PostgreSQL that only its socket reaches; gives what asks it. `database.folder` is where the socket lies."""
    programs = [Path(path).parent for path in filter(None, [shutil.which("initdb")])]
    programs += sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    if not programs:
        pytest.skip("PostgreSQL is not installed")
    folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))  # a socket's path is short
    as_user = []
    if os.geteuid() == 0:  # it refuses to run as root
        os.chown(folder, pwd.getpwnam("postgres").pw_uid, -1)
        as_user = ["runuser", "-u", "postgres", "--"]

    def run(program: str, *arguments: str) -> str:
        command = [*as_user, str(programs[-1] / program), *arguments]
        return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd="/").stdout

    def ask(query: str) -> str:
        return run("psql", "-h", str(folder), "-U", "iodm", "-At", "-c", query, "dagster").strip()

    ask.folder = folder
    try:
        run("initdb", "--no-sync", "--auth=trust", "-U", "iodm", "-D", f"{folder}/data")
        options = f"-k {folder} -c listen_addresses='' -c fsync=off"
        run("pg_ctl", "-D", f"{folder}/data", "-l", f"{folder}/log", "-o", options, "-w", "start")
        try:
            run("createdb", "-h", str(folder), "-U", "iodm", "dagster")
            yield ask
        finally:
            run("pg_ctl", "-D", f"{folder}/data", "-m", "immediate", "-w", "stop")
    finally:
        shutil.rmtree(folder)


@contextlib.contextmanager
def running(unit: str, environment: dict[str, str], folder: Path, port: int) -> Iterator[None]:
    """A unit's process, ended as systemd ends it: SIGTERM, also to what it started."""
    [command] = unit_lines(unit, "ExecStart")
    command = [str(port) if argument == "3000" else argument for argument in command]
    with (folder / f"{unit}.log").open("w") as log:
        process = subprocess.Popen(command, env=environment, cwd=folder, stdout=log, stderr=log, process_group=0)
        try:
            yield
            assert process.poll() is None, (folder / f"{unit}.log").read_text()
        finally:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(30)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, 9)


def wait_for(condition: Callable[[], bool], log: Path, seconds: float = 50) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, log.read_text()
        time.sleep(0.3)


@pytest.mark.timeout(120)
def test_the_units_run_a_job_whose_events_lie_in_postgresql(tmp_path, simulator, database):
    pytest.importorskip("dagster_postgres", reason="the extra `postgres` is not installed")
    simulator.set_faults([])
    home = tmp_path / "warehouse" / "dagster"
    home.mkdir(parents=True)
    [storage] = re.findall(r"```yaml\n(storage:.*?)```", (ROOT / "docs" / "operating.md").read_text(), re.DOTALL)
    assert "/var/run/postgresql" in storage
    (home / "dagster.yaml").write_text(
        (ROOT / "dagster.yaml").read_text() + storage.replace("/var/run/postgresql", str(database.folder))
    )
    command = Iodm(tmp_path, simulator.settings | {"IODM_CALLS_PER_MINUTE": 10_000})
    environment = command.environment(IODM_WAREHOUSE=home.parent, DAGSTER_HOME=home)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

    [clean_up] = unit_lines("daemon", "ExecStartPre")
    subprocess.run(clean_up, env=environment, cwd=tmp_path, check=True)
    with running("webserver", environment, tmp_path, port), running("daemon", environment, tmp_path, port):
        launch = [BIN / "dagster", "job", "launch", "-m", "iodm_assets.definitions", "-j", "sync_operations"]
        subprocess.run(launch, env=environment, cwd=tmp_path, check=True, capture_output=True)
        ended = "select count(*) > 0 and bool_and(status in ('SUCCESS', 'FAILURE')) from runs"
        wait_for(lambda: database(ended) == "t", tmp_path / "daemon.log")
        query = {"query": "{ runsOrError { ... on Runs { results { jobName status } } } }"}
        url = f"http://127.0.0.1:{port}"

        def is_served() -> bool:
            with contextlib.suppress(requests.ConnectionError):
                return requests.get(f"{url}/server_info", timeout=5).ok
            return False

        wait_for(is_served, tmp_path / "webserver.log")
        runs = requests.post(f"{url}/graphql", json=query, timeout=30).json()["data"]["runsOrError"]["results"]
    assert runs[-1] == {"jobName": "sync_operations", "status": "SUCCESS"}, (tmp_path / "daemon.log").read_text()
    assert database("select status from runs order by id limit 1") == "SUCCESS"
    materialized = "select count(distinct asset_key) from event_logs where dagster_event_type = 'ASSET_MATERIALIZATION'"
    assert int(database(materialized)) > 10
    assert list(home.rglob("*.db")) == []
    assert json.loads(command.ok("status", "--json"))["rows"]["operations"] == FROZEN.tasks


def contents(warehouse: Path) -> list[list[tuple[object, ...]]]:
    with duckdb.connect(str(warehouse / "iodm.duckdb"), read_only=True) as connection:
        return [connection.execute(f"from core.{table.name} order by all").fetchall() for table in TABLES]


@pytest.mark.skipif(shutil.which("flock") is None, reason="util-linux is not installed")
def test_a_backup_under_the_lock_is_restored_by_a_rebuild(iodm, simulator, tmp_path):
    iodm.ok("sync")
    iodm.ok("sync")
    warehouse, restored = tmp_path / "warehouse", tmp_path / "restored"
    lock = ["flock", str(warehouse / ".lock")]
    script = "echo locked; read line"
    held = subprocess.Popen([*lock, "sh", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with held:
        assert held.stdout
        assert held.stdout.readline() == "locked\n"
        assert "another run" in iodm.fails(4, "sync")
    archive = tmp_path / "backup.tar"
    subprocess.run([*lock, "tar", "-C", str(warehouse), "-cf", str(archive), "raw", "source.json"], check=True)
    restored.mkdir()
    subprocess.run(["tar", "-C", str(restored), "-xf", str(archive)], check=True)
    other = Iodm(tmp_path, iodm.settings | {"IODM_WAREHOUSE": restored})
    other.ok("rebuild")
    assert contents(restored) == contents(warehouse)
    assert json.loads(other.ok("sync", "--json"))["sync_id"] == 3


def test_a_moved_warehouse_goes_on_where_it_was(iodm, tmp_path):
    iodm.ok("sync")
    before = contents(tmp_path / "warehouse")
    (tmp_path / "warehouse").rename(tmp_path / "elsewhere")
    moved = Iodm(tmp_path, iodm.settings | {"IODM_WAREHOUSE": tmp_path / "elsewhere"})
    assert contents(tmp_path / "elsewhere") == before
    assert json.loads(moved.ok("sync", "--json"))["sync_id"] == 2
