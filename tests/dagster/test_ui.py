"""`python -m iodm_assets.ui` as a real process: what it serves, what it refuses, what it leaves behind."""

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from iodm_assets.definitions import defs
from iodm_assets.ui import end_left_runs
from pipelines.warehouse import Warehouse, writer_lock
from support.dagster_pages import Pages

COMMAND = [sys.executable, "-m", "iodm_assets.ui"]
REPOSITORY = Path(__file__).parent.parent.parent


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def ui(port: int, start_platform, tmp_path: Path) -> Iterator[Pages]:
    start_platform()
    with Pages(port, tmp_path / "log") as pages:
        yield pages


def children_of(group_of: str) -> list[str]:
    """Processes of this machine whose environment names the folder."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/environ"):
        try:
            if group_of.encode() in entry.read_bytes():
                found.append((entry.parent / "cmdline").read_text().replace("\0", " "))
        except (PermissionError, FileNotFoundError, ProcessLookupError):
            continue
    return found


@pytest.mark.e2e
def test_it_serves_a_running_schedule_syncs_and_leaves_no_process(ui, port, warehouse):
    data = ui.ask(
        "{ shouldShowNux repositoriesOrError { ... on RepositoryConnection { nodes { schedules { name scheduleState "
        "{ status } } } } } }",
    )
    [repository] = data["repositoriesOrError"]["nodes"]
    states = {each["name"]: each["scheduleState"]["status"] for each in repository["schedules"]}
    assert states == dict.fromkeys(
        ("sync_operations_schedule", "full_sync_schedule", "drop_old_runs_schedule"), "RUNNING"
    )
    assert not data["shouldShowNux"]
    assert ui.status_at_its_end(ui.launch()) == "SUCCESS"
    assert warehouse.served_file()
    home = warehouse.root / "dagster"
    assert (home / "dagster.yaml").read_text() == (REPOSITORY / "dagster.yaml").read_text()
    second = subprocess.run(COMMAND, capture_output=True, text=True, check=False)
    assert (second.returncode, second.stderr.count("\n")) == (4, 1)
    assert "already serves" in second.stderr
    ui.process.send_signal(signal.SIGINT)
    assert ui.process.wait(90) == 130
    if Path("/proc").is_dir():
        assert children_of(f"DAGSTER_HOME={home}") == []


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("IODM_BASE_URL", "http://platform.example:8743", "IODM_BASE_URL"),
        ("IODM_BASE_URL", "https://platform.example:8743", "IODM_APP_ID is not set"),
        ("IODM_MEMORY_LIMIT", "a lot", "IODM_MEMORY_LIMIT"),
    ],
)
def test_a_wrong_setting_is_one_line_and_exit_code_2_and_makes_no_file(warehouse, name, value, said):
    ended = subprocess.run(COMMAND, env={**os.environ, name: value}, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (2, "", 1)
    assert said in ended.stderr
    assert not warehouse.root.exists()


def test_a_port_that_is_taken_is_one_line_and_exit_code_2(warehouse):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        ended = subprocess.run([*COMMAND, f"--port={taken}"], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1)
    assert f"port {taken} is taken" in ended.stderr


@pytest.fixture(scope="module")
def crashed(tmp_path_factory) -> tuple[Path, str]:
    """Dagster's folder with a run that a crash left under way, and its id."""
    home = tmp_path_factory.mktemp("dagster")
    shutil.copy(REPOSITORY / "dagster.yaml", home)
    with dg.DagsterInstance.from_config(str(home)) as instance:
        job = defs.resolve_job_def("sync_operations")
        return home, instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED).run_id


@pytest.fixture
def left_run(crashed, tmp_path) -> str:
    """Such a run in the test's own warehouse."""
    home, run_id = crashed
    shutil.copytree(home, tmp_path / "dagster")
    return run_id


def status_of(home: Path, run_id: str) -> dg.DagsterRunStatus:
    with dg.DagsterInstance.from_config(str(home)) as instance:
        return instance.get_run_by_id(run_id).status


def test_a_run_that_a_crash_left_under_way_is_ended_at_the_next_start(left_run, tmp_path):
    end_left_runs(tmp_path / "dagster", Warehouse(tmp_path))
    assert status_of(tmp_path / "dagster", left_run) == dg.DagsterRunStatus.FAILURE


def test_a_run_that_outlived_dagster_is_left_to_end_itself(left_run, tmp_path):
    warehouse = Warehouse(tmp_path)
    with writer_lock(warehouse):
        end_left_runs(tmp_path / "dagster", warehouse)
    assert status_of(tmp_path / "dagster", left_run) == dg.DagsterRunStatus.STARTED
