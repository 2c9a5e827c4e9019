"""The figures of the report page: charts as SVG in two widths, their rows as text, short names. What is shown: `page`.

A chart takes the page's colours, so that the page decides about light, dark and paper. Every chart comes in two widths,
because a narrow screen would make the letters of a wide one too small.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import altair as alt
import markupsafe
import vl_convert

Rows = list[dict[str, Any]]
WIDE, NARROW = 720, 330

CONFIG: dict[str, Any] = {
    "background": None,
    "font": "Arial, Liberation Sans, sans-serif",  # as wide in a browser as where the chart was laid out
    "view": {"stroke": None},
    "axis": {
        "labelColor": "var(--ink)",
        "titleColor": "var(--soft)",
        "gridColor": "var(--line)",
        "domainColor": "var(--line)",
        "tickColor": "var(--line)",
        "titleFontWeight": "normal",
        "labelFontSize": 12,
        "titleFontSize": 12,
        "labelOverlap": "greedy",
        "labelSeparation": 10,
    },
    "legend": {"labelColor": "var(--ink)", "labelFontSize": 12},
}


@dataclass(frozen=True)
class Figure:
    """A chart in both widths, what it says in words, and its rows: heads, and cells as text."""

    wide: markupsafe.Markup
    narrow: markupsafe.Markup
    summary: str
    heads: list[str]
    cells: list[list[str]]


def figure_of(draw: Callable[..., alt.LayerChart], summary: str, columns: dict[str, list[str]]) -> Figure:
    """The figure that a function of a width draws; `columns` are the cells of its table by their heads."""
    wide, narrow = (_svg(draw(width=width), f"{summary[:40]}{width}", summary) for width in (WIDE, NARROW))
    return Figure(wide, narrow, summary, list(columns), [list(row) for row in zip(*columns.values(), strict=True)])


def _svg(chart: alt.LayerChart, name: str, summary: str) -> markupsafe.Markup:
    """The chart as SVG to stand in a page; ids get a name of their own, because all charts share the page's."""
    text: str = vl_convert.vegalite_to_svg(chart.to_dict(), config=CONFIG)
    prefix = re.sub(r"\W+", "-", name)
    text = re.sub(r'(id="|url\(#)', rf"\g<1>{prefix}-", text)
    opening = f'<svg role="img" aria-label="{markupsafe.escape(summary)}"'
    return markupsafe.Markup(text.replace("<svg", opening, 1))  # noqa: S704 - drawn by ourselves, texts are escaped there


def labelled(rows: Rows, models: Rows) -> Rows:
    """Rows with two lines of text: the model, with as much as tells it from the other models, and the version.

    No two have the same text: it is a row's place in a chart.
    """
    labels = [f"{_model_name(row, models)}\n{_name(row['file_version'], '(no version)')}" for row in rows]
    repeats = [labels[:place].count(label) for place, label in enumerate(labels)]
    return [
        row | {"label": f"{label} ({repeat + 1})" if repeat else label}
        for row, label, repeat in zip(rows, labels, repeats, strict=True)
    ]


def _model_name(row: dict[str, Any], models: Rows) -> str:
    for names in (("model",), ("model", "device_type"), ("manufacturer_name", "model")):
        if sum(all(row[name] == other[name] for name in names) for other in models) == 1:
            return " ".join(_name(row[name], "?") for name in names)
    return " ".join(_name(row[name], "?") for name in ("manufacturer_name", "model", "device_type"))


def _name(text: str | None, missing: str) -> str:
    return missing if text is None else text or '""'


def on_one_line(row: dict[str, Any]) -> str:
    """The label on one line."""
    return str(row["label"]).replace("\n", " ")


def rate_cells(rows: Rows) -> dict[str, list[str]]:
    """Columns of a table that every list of rates has."""
    return {
        "rate": [percent(row["success_rate"]) for row in rows],
        "95 % interval": [f"{percent(row['clustered_lower'])} to {percent(row['clustered_upper'])}" for row in rows],
        "finished": [f"{row['finished']:,}" for row in rows],
        "verdict": [words(row["verdict"]) for row in rows],
    }


def percent(rate: float | None) -> str:
    """A share with one decimal; only what is whole or nothing is called so."""
    if rate is None:
        return "-"
    text = f"{rate:.1%}"
    if text == "100.0%" and rate < 1:
        return ">99.9%"
    return "<0.1%" if text == "0.0%" and rate > 0 else text


def words(name: str) -> str:
    """A name of the marts as text."""
    return name.replace("_", " ")


def age_in_words(hours: int) -> str:
    """An age of `success_at_age`."""
    return f"{hours} h" if hours < 24 else f"{hours // 24} d"
