"""Rows as CSV, which programs read back, and as a table, which people read."""

import csv
import io
import json
from datetime import date, datetime
from decimal import Decimal

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from pipelines.output import UNFOLDED, show, table_text
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


def test_a_table_shows_control_characters_and_csv_and_json_keep_them(capsys):
    text = "\x1b[31mred\x07\x7f\x9b0m 水\u00a0"
    result = Result([f"model{text}"], [(text,)])
    show(result, "table")
    shown = capsys.readouterr().out
    assert shown.count(r"\x1b[31mred\x07\x7f\x9b0m 水") == 2
    assert all(character.isprintable() or character in "\n\u00a0" for character in shown)
    show(result, "json")
    assert json.loads(capsys.readouterr().out) == result.dicts()
    show(result, "csv")
    assert list(csv.DictReader(io.StringIO(capsys.readouterr().out, newline=""))) == result.dicts()
    show(Result(["lines"], [("a\tb\nc\rd",)]), "table")
    assert capsys.readouterr().out.split()[-3:] == ["a", "b", r"c\x0dd"]


def test_numbers_keep_the_digits_that_count(capsys):
    values = {
        "mean": (81686.4, "81,686"),
        "mean_seconds": (float("nan"), "nan"),
        "upper_limit": (1.5, "1.5"),
        "success_rate": (0.98765, "98.8%"),
        "spread": (0.123456, "0.1235"),
        "duration_seconds": (3661.0, "1:01:01"),
        "wait_seconds": (1e15, "1,000,000,000,000,000"),
    }
    for name, (value, shown) in values.items():
        show(Result([name], [(value,)]), "table")
        assert capsys.readouterr().out.split()[-1] == shown


def test_at_a_terminal_texts_and_headers_fold_and_numbers_do_not():
    names = ["manufacturer_name", "model", "device_type", "operations", "finished", "success_rate", "clustered_lower"]
    row = ("Gastronic", "Lumen 4+", "StreetLight", 1846, 12633, 0.977, 0.973)
    shown = table_text(Result(names, [row] * 2), 80)
    assert max(map(len, shown.splitlines())) <= 80
    assert shown.count("1,846   12,633") == shown.count("97.7%") == 2
    shown = table_text(Result(["word", "number"], [("x" * 100, 12345678)]), 40)
    assert max(map(len, shown.splitlines())) <= 40
    assert shown.count("x") == 100
    assert "12,345,678" in shown


def test_a_table_that_can_not_fit_a_terminal_is_as_wide_as_through_a_pipe():
    names = [f"measure_{number}" for number in range(30)]
    result = Result(names, [tuple(range(1000, 1030))])
    assert table_text(result, 80) == table_text(result, UNFOLDED)
    assert all(f"{number:,}" in table_text(result, 80) for number in range(1000, 1030))


@given(
    st.lists(
        st.tuples(st.text("水ab ", max_size=30), st.integers(), st.dates(), st.text("xyz", max_size=9)), max_size=5
    ),
    st.integers(1, 100),
)
def test_at_any_width_a_table_has_every_character_and_every_number_in_one_piece(rows, width):
    result = Result(["name", "number_of_them", "created_date", "verdict"], rows)
    shown, unfolded = table_text(result, width), table_text(result, UNFOLDED)
    assert sorted("".join(shown.replace("─", "").split())) == sorted("".join(unfolded.replace("─", "").split()))
    assert all(f"{number:,}" in shown and str(day) in shown for _, number, day, _ in rows)
    assert shown == unfolded or max(map(cell_len, shown.splitlines())) <= width


def test_json_has_null_where_it_has_no_number(capsys):
    show(Result(["mean", "top"], [(float("nan"), float("inf")), (1.5, 2)]), "json")
    assert json.loads(capsys.readouterr().out) == [{"mean": None, "top": None}, {"mean": 1.5, "top": 2}]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({date(2026, 3, 1): 2, date(2026, 3, 2): 1}, {"2026-03-01": 2, "2026-03-02": 1}),
        ({1: True, False: None}, {"1": True, "false": None}),
        ([1.5, float("nan"), {"top": float("-inf")}], [1.5, None, {"top": None}]),
        ((1, Decimal("2.25")), [1, 2.25]),
        ([datetime.fromisoformat("2026-03-01T12:00:00")], ["2026-03-01 12:00:00"]),
    ],
)
def test_maps_lists_and_structs_are_valid_json_however_deep(capsys, value, expected):
    def refused(word):
        raise AssertionError(word)

    show(Result(["value"], [(value,)]), "json")
    assert json.loads(capsys.readouterr().out, parse_constant=refused) == [{"value": expected}]
    show(Result(["value"], [(value,)]), "csv")
    _, [cell] = csv.reader(capsys.readouterr().out.splitlines())
    assert json.loads(cell, parse_constant=refused) == expected


def test_decimals_are_numbers_in_json(capsys):
    show(Result(["mean"], [(Decimal("1.50"),)]), "json")
    assert json.loads(capsys.readouterr().out) == [{"mean": 1.5}]


def test_json_loses_no_column_of_two_with_the_same_name(capsys):
    with pytest.raises(click.UsageError, match="same name"):
        show(Result(["a", "a"], [(1, 2)]), "json")
    assert capsys.readouterr().out == ""
