"""docs/cookbook.md: every query runs on a published file and gives the answer that is printed below it.

`python tests/sql/test_cookbook.py` writes the answers anew.
"""

import re
import tempfile
from pathlib import Path

from pipelines.models import load
from support.cookbook import COOKBOOK, answer, committed, sync_the_fleet, write_answers

QUESTIONS = 16


def test_the_answers_in_the_cookbook_are_those_of_a_fresh_run(tmp_path):
    warehouse = sync_the_fleet(tmp_path)
    entries = committed()
    fresh = {question: answer(warehouse, sql) for question, (sql, _) in entries.items()}
    assert {question: text for question, (_, text) in entries.items()} == fresh, "if the change is wanted: `make docs`"


def test_the_cookbook_has_sixteen_numbered_questions_with_a_query_an_answer_and_how_to_read_it():
    headings = re.findall(r"^## (.+)$", COOKBOOK.read_text("utf-8"), re.MULTILINE)
    assert list(committed()) == headings
    assert [heading.partition(".")[0] for heading in headings] == [str(number + 1) for number in range(QUESTIONS)]
    for section in COOKBOOK.read_text("utf-8").split("\n## ")[1:]:
        assert len(section.rpartition("```\n")[2].split()) > 10, section
    assert [question for question, (_, text) in committed().items() if len(text.splitlines()) < 3] == []


def test_the_cookbook_speaks_of_every_mart_beside_the_plain_roll_ups():
    plain = {f"success_by_{name}" for name in ("day", "week", "month", "type", "manufacturer", "model", "version")}
    named = set(re.findall(r"marts\.(\w+?)(?:_between)?\b", COOKBOOK.read_text("utf-8")))
    assert named >= load("marts").keys() - plain
    assert named <= load("marts").keys() | {"data_quality"}


def test_the_cookbook_fits_on_a_page_and_asks_nothing_of_the_clock():
    lines = COOKBOOK.read_text("utf-8").splitlines()
    assert [line for line in lines if len(line) > 120] == []
    clocks = re.compile(r"\bnow\(|current_|today\(|get_current|published_at")
    assert [question for question, (sql, _) in committed().items() if clocks.search(sql)] == []


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        write_answers(sync_the_fleet(Path(folder)))
