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
