"""The generated documents in `docs/` are what the registry and the headers of `sql/` say now."""

import re
from pathlib import Path

import pytest

from pipelines.dictionary import dictionary
from pipelines.models import load
from pipelines.tables import TABLES

FILE = Path(__file__).parents[2] / "docs" / "data-dictionary.md"


@pytest.fixture(scope="module")
def fresh():
    return dictionary()


def test_the_data_dictionary_is_the_committed_one(fresh):
    assert fresh == FILE.read_text(encoding="utf-8"), "run `make docs`"


def test_the_data_dictionary_has_every_table_mart_macro_and_check(fresh):
    headings = {line.removeprefix("### ").partition("(")[0] for line in fresh.splitlines() if line[:3] == "###"}
    tables = {f"core.{table.name}" for table in TABLES} | {"core._lake_files"}
    marts = {f"marts.{name}" for name in load("marts")} | {"marts.data_quality"}
    assert headings == tables | marts | set(load("macros")) | {"target_success_rate"}
    assert set(re.findall(r"^\| \[(\w+)\]\(\.\./sql/checks/", fresh, re.MULTILINE)) == set(load("checks"))


def test_everything_in_the_data_dictionary_is_described(fresh):
    lines = fresh.splitlines()
    undescribed = [line for line in lines if line.startswith("| ") and line.endswith("|  |")]
    undescribed += [
        line for line, next_line in zip(lines, lines[2:], strict=False) if line[:3] == next_line[:3] == "###"
    ]
    assert undescribed == []


def test_the_links_of_the_data_dictionary_lead_to_files(fresh):
    targets = re.findall(r"\]\(([^)]+)\)", fresh)
    assert [target for target in targets if not (FILE.parent / target).exists()] == []
