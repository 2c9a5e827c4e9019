"""`iodm report` and `iodm sql` as a user runs them: formats, windows, names, where the page goes, what a query may."""

import csv
import io
import json
from pathlib import Path

import pytest

from support.commands import FROZEN

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize("by", ["day", "type", "manufacturer", "model", "version"])
def test_reports_say_the_same_in_every_format(synced, by):
    table = synced.ok("report", "--by", by)
    rows = json.loads(synced.ok("report", "--by", by, "--format", "json"))
    lines = list(csv.DictReader(io.StringIO(synced.ok("report", "--by", by, "--format", "csv"))))
    assert len(rows) == len(lines) > 0
    assert sum(row["operations"] for row in rows) == sum(int(line["operations"]) for line in lines)
    assert "verdict" in table
    until = json.loads(synced.ok("report", "--by", by, "--until", "2000-01-01", "--format", "json"))
    assert until == []


@pytest.mark.parametrize("until", ["2026-03-02", "2026-03-01"])
@pytest.mark.parametrize(
    "command",
    [["report"], ["report", "--html", "page.html"], ["explain", "--mart", "success_overall"], ["backtest"]],
)
def test_a_window_that_ends_before_it_begins_is_refused(synced, command, until):
    line = synced.fails(2, *command, "--since", "2026-03-02", "--until", until)
    assert "--since 2026-03-02 00:00:00 is not before --until" in line
    assert not (synced.folder / "page.html").exists()


@pytest.mark.parametrize(
    ("arguments", "window"),
    [
        ([], ""),
        (["--since", "2026-03-02"], ", tasks created from 2026-03-02 (UTC)"),
        (["--until", "2026-03-02T06:30:00"], ", tasks created before 2026-03-02 06:30:00 (UTC)"),
        (
            ["--since", "2026-03-01", "--until", "2026-03-02"],
            ", tasks created from 2026-03-01 and before 2026-03-02 (UTC)",
        ),
    ],
)
def test_a_table_says_its_window_and_that_the_number_of_tasks_is_of_the_file(synced, arguments, window):
    shown = synced.ok("report", "--by", "month", *arguments).splitlines()[0]
    tasks = f"{FROZEN.tasks} upgrade tasks{' in the file' if window else ''}"
    assert f"by the month in which the task was created{window}: {tasks}, observed" in shown


@pytest.mark.parametrize("mart", ["snapshot", "data_quality", "lake_months", "rollouts_at_equal_age"])
def test_of_a_mart_that_is_no_report_it_is_said_how_to_see_it(synced, mart):
    query = f"from marts.{mart}"
    assert f'`iodm sql "{query}"`' in synced.fails(2, "report", "--mart", mart)
    synced.ok("sql", query)


def test_of_what_is_neither_a_mart_nor_a_report_only_the_reports_are_listed(synced):
    line = synced.fails(2, "report", "--mart", "nothing")
    assert "iodm" not in line
    assert "success_at_age" in line


def test_a_page_without_a_name_is_refused(synced):
    assert "--html" in synced.fails(2, "report", "--html", "")


def test_a_page_that_can_not_be_written_there_can_be_written_elsewhere(synced):
    line = synced.fails(4, "report", "--html", "/sys/page.html")
    assert "another folder" in line
    assert "IODM_WAREHOUSE" not in line


@pytest.mark.parametrize(
    "query",
    [
        "create table x as select 1",
        "delete from core.operations",
        "attach '/tmp/other.duckdb'",
        "copy (select 1) to '/tmp/iodm-escape.csv'",
        "select * from read_csv('/etc/passwd')",
        "select * from '/etc/passwd'",
        "set enable_external_access = true",
        "install httpfs",
        "selec 1",
    ],
)
def test_a_query_can_not_write_nor_read_other_files(synced, query):
    before = synced.served()
    assert "query" in synced.fails(2, "sql", query)
    assert synced.served() == before
    assert not Path("/tmp/iodm-escape.csv").exists()


@pytest.mark.parametrize(
    "command",
    [
        ["sql", "select '\udcff'"],
        ["report", "--device", "\udcff"],
        ["explain", "--mart", "success_by_model", "--where", "model = '\udcff'"],
        ["explain", "--record", "\udcff"],
    ],
)
def test_text_that_is_no_utf_8_is_refused_by_name(synced, command):
    assert "UTF-8" in synced.fails(2, *command)
