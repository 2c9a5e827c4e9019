"""Rows as CSV, which programs read back, and as a table, which people read."""

import csv
import json

import click
import pytest

from pipelines.output import show
from pipelines.report import Result


def test_structs_and_lists_in_a_csv_cell_are_json(capsys):
    counters = {"total": 3, "model": "ÅM-7", "wait": None}
    show(Result(["operation_id", "at_1_hour", "fields"], [("a", counters, ["x", 'say "y"']), ("b", None, [])]), "csv")
    header, first, second = csv.reader(capsys.readouterr().out.splitlines())
    assert header == ["operation_id", "at_1_hour", "fields"]
    assert [json.loads(cell) for cell in first[1:]] == [counters, ["x", 'say "y"']]
    assert second == ["b", "", "[]"]


def test_a_table_shows_texts_as_they_are(capsys):
    texts = ["Lumen [old] 4", "site:car:1", '{"wait":[null]}', "[/]", "[/foo]"]
    show(Result(["[model]"], [(text,) for text in texts]), "table")
    header, _, *cells = [line.strip() for line in capsys.readouterr().out.splitlines() if line.strip()]
    assert header == "[model]"
    assert cells == texts


def test_numbers_keep_the_digits_that_count(capsys):
    values = {
        "mean": (81686.4, "81,686"),
        "mean_seconds": (float("nan"), "nan"),
        "upper_limit": (1.5, "1.5"),
        "success_rate": (0.98765, "98.8%"),
        "spread": (0.123456, "0.1235"),
        "duration_seconds": (3661.0, "1:01:01"),
    }
    for name, (value, shown) in values.items():
        show(Result([name], [(value,)]), "table")
        assert capsys.readouterr().out.split()[-1] == shown


def test_json_has_null_where_it_has_no_number(capsys):
    show(Result(["mean", "top"], [(float("nan"), float("inf")), (1.5, 2)]), "json")
    assert json.loads(capsys.readouterr().out) == [{"mean": None, "top": None}, {"mean": 1.5, "top": 2}]


def test_json_loses_no_column_of_two_with_the_same_name(capsys):
    with pytest.raises(click.UsageError, match="same name"):
        show(Result(["a", "a"], [(1, 2)]), "json")
    assert capsys.readouterr().out == ""
