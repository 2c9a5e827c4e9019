"""Questions to the published file: what is wrong with one is said of it, and of nothing else."""

import shlex
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from pipelines.cli import cli
from pipelines.errors import SettingsError, StorageError
from pipelines.models import load
from pipelines.report import query
from support.records import Store, record
from support.reports import only_reports


@pytest.fixture(scope="module")
def one_task(tmp_path_factory):
    """A published task, for tests that only ask."""
    store = Store(tmp_path_factory.mktemp("one_task"))
    store.apply([record("a")])
    return store


@pytest.fixture
def ask(one_task, monkeypatch):
    """Runs a command on that task, and gives what it prints."""
    monkeypatch.setenv("IODM_WAREHOUSE", str(one_task.warehouse.root))

    def run(*arguments):
        done = CliRunner().invoke(cli, arguments, catch_exceptions=False, standalone_mode=False)
        assert not done.exit_code
        return done.stdout

    return run


@pytest.mark.parametrize(
    "sql",
    [
        "select cast(if(number > 90000, 'x', '1') as integer) from range(100000) as numbers(number)",
        "selec 1",
        "select * from read_csv('/etc/passwd')",
        "commit",
    ],
)
def test_an_error_of_a_query_is_told_as_one_also_after_its_first_rows(one_task, sql):
    with pytest.raises(SettingsError, match="the query failed: ") as caught:
        query(one_task.warehouse, sql)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("sql", ["", "-- nothing"])
def test_no_query_is_said_to_be_none(one_task, sql):
    with pytest.raises(SettingsError, match="there is no query"):
        query(one_task.warehouse, sql)


@pytest.mark.parametrize("options", [[], ["--format", "json"], ["--format=csv"]])
@pytest.mark.parametrize("check", ["statuses_are_known", "counters_add_up"])
def test_a_query_may_begin_with_a_comment(ask, options, check):
    query = load("checks")[check].sql
    assert query.startswith("-- ")
    without_comments = "\n".join(line for line in query.splitlines() if not line.startswith("--"))
    expected = ask("sql", without_comments, *options)
    assert ask("sql", query, *options) == ask("sql", *options, query) == ask("sql", *options, "--", query) == expected


@pytest.mark.parametrize(
    "arguments",
    [
        ["--fromat", "json", "select 1"],
        ["select 1", "--fromat", "json"],
        ["--fromat=json", "-- all of it\nselect 1"],
        ["--fromat"],
    ],
)
def test_a_misspelt_option_is_no_query(ask, arguments):
    with pytest.raises(click.NoSuchOption, match="--fromat"):
        ask("sql", *arguments)


def test_a_block_that_is_damaged_is_no_fault_of_the_query(one_task, tmp_path):
    store = one_task.copied(tmp_path)
    file = store.warehouse.served_file()
    file.chmod(0o644)
    content = bytearray(file.read_bytes())
    block = store.row("select min(block_id) as id from pragma_storage_info('core.operations') where block_id >= 0")[
        "id"
    ]
    place = 3 * 4_096 + block * 262_144 + 100  # behind three headers
    content[place : place + 4] = b"xxxx"
    file.write_bytes(content)
    with pytest.raises(StorageError, match="can't be read"):
        query(store.warehouse, "from core.operations")


def test_a_query_has_the_memory_of_the_settings_and_spills_beside_nothing_that_is_served(one_task, ask, monkeypatch):
    monkeypatch.setenv("IODM_MEMORY_LIMIT", "64MiB")
    sql = "select current_setting('memory_limit') as memory, current_setting('temp_directory') as folder"
    _, answer = ask("sql", sql, "--format", "csv").splitlines()
    memory, folder = answer.split(",")
    assert memory == "64.0 MiB"
    assert not Path(folder).is_relative_to(one_task.warehouse.root)


def test_a_query_that_needs_more_memory_names_the_setting(ask, monkeypatch):
    monkeypatch.setenv("IODM_MEMORY_LIMIT", "20MB")
    with pytest.raises(StorageError, match="out of memory") as caught:
        ask("sql", "select len(list(number order by hash(number))) from range(10_000_000) as numbers(number)")
    assert "IODM_MEMORY_LIMIT" in caught.value.advice
    assert caught.value.exit_code == 4


@pytest.mark.parametrize(("target", "shown"), [(0.95, "95%"), (0.995, "99.5%"), (0.975, "97.5%"), (0.07, "7%")])
def test_a_report_says_its_target_as_it_was_set(tmp_path, monkeypatch, target, shown):
    store = Store(tmp_path, target_success_rate=target)
    with only_reports("snapshot", "success_by_day"):
        store.apply([record("a")])
    monkeypatch.setenv("IODM_WAREHOUSE", str(store.warehouse.root))
    done = CliRunner().invoke(cli, ["report", "--by", "day"], catch_exceptions=False)
    assert f", target {shown}\n" in done.stdout


@pytest.mark.parametrize("mart", ["", "nothing"])
def test_a_report_that_there_is_not_is_refused(ask, mart):
    with pytest.raises(SettingsError, match=f"there is no report '{mart}'") as caught:
        ask("report", "--mart", mart)
    assert caught.value.advice.startswith("Reports are ")


def test_of_every_mart_that_is_no_report_it_is_said_how_to_see_it(ask):
    others = [name for name, model in load("marts").items() if not model.has_window]
    assert {"snapshot", "rollouts", "rollout_courses", "device_history"} <= set(others)
    for mart in [*others, "data_quality"]:
        with pytest.raises(SettingsError, match=f"there is no report '{mart}'") as caught:
            ask("report", "--mart", mart)
        command = caught.value.advice.split("`")[1]
        arguments = shlex.split(command.replace(" ID", " a-device"))
        assert arguments.pop(0) == "iodm"
        ask(*arguments)


def test_a_task_that_is_explained_has_no_control_character(tmp_path, monkeypatch):
    store = Store(tmp_path)
    with only_reports("snapshot"):
        store.apply([record("a", targets={"model": "\x1b[2J\x9b2J"})])
    monkeypatch.setenv("IODM_WAREHOUSE", str(store.warehouse.root))
    done = CliRunner().invoke(cli, ["explain", "--record", "a"], catch_exceptions=False)
    assert r"\x1b[2J\x9b2J" in done.stdout  # as a value
    assert r"\u001b[2J\x9b2J" in done.stdout  # in its record
    assert all(character.isprintable() or character == "\n" for character in done.stdout)
