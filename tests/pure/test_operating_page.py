"""docs/operating.md names messages and commands that there are."""

import re
from pathlib import Path

import pytest

from pipelines.cli import cli
from pipelines.models import load

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "operating.md").read_text(encoding="utf-8")
SOURCES = "\n".join(file.read_text(encoding="utf-8") for file in (ROOT / "pipelines").rglob("*.py"))
ERRORS = re.search(r"## Errors\n(.*?)\n## ", PAGE, re.DOTALL)[1]


@pytest.mark.parametrize("row", [row for row in ERRORS.splitlines() if row.startswith("| `")])
def test_every_message_of_the_table_can_appear(row):
    for message in re.findall(r"`([^`]+)`", row.split("|")[1]):
        for part in re.split(r"…|:", message):
            words = re.sub(r"^(3 |can't )|(IODM_|/)$", "", part.strip())  # what the code puts there itself
            assert words in SOURCES


def test_every_command_and_report_that_it_names_exists():
    for command in re.findall(r"iodm ([a-z]+)", PAGE.replace("iodm dagster", "")):
        assert command in cli.commands, command
    for mart in re.findall(r"--mart (\w+)", PAGE):
        assert mart in load("marts")


def test_every_line_for_a_shell_names_the_program_where_it_is_installed_and_no_database_is_asked_as_root():
    lines = "\n".join(re.findall(r"^```sh\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)).splitlines()
    assert [line for line in lines if re.search(r"(?<!venv/bin/)\biodm [a-z]+", line.replace("iodm dagster", ""))] == []
    asked = [line for line in lines if re.search(r"\b(pg_dump|pg_restore|createdb|createuser)\b", line)]
    assert len(asked) == 5
    assert [line for line in asked if not re.search(r"runuser -u (postgres|iodm) -- (pg_|create)", line)] == []
