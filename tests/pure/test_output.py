"""Rows as CSV: what programs read back."""

import csv
import json

from pipelines.output import show
from pipelines.report import Result


def test_structs_and_lists_in_a_csv_cell_are_json(capsys):
    counters = {"total": 3, "model": "ÅM-7", "wait": None}
    show(Result(["operation_id", "at_1_hour", "fields"], [("a", counters, ["x", 'say "y"']), ("b", None, [])]), "csv")
    header, first, second = csv.reader(capsys.readouterr().out.splitlines())
    assert header == ["operation_id", "at_1_hour", "fields"]
    assert [json.loads(cell) for cell in first[1:]] == [counters, ["x", 'say "y"']]
    assert second == ["b", "", "[]"]
