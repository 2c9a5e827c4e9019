"""What the charts are made of: colours with shapes, rows as JSON, axes, legends, tooltips. No chart, no I/O.

Ink, grid and background are not set here: they come from the page's config or theme. The colours can be told from
white and from a dark page (3 : 1 and more), and each comes with a shape of its own, because colour alone says nothing
to many.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any, Literal, NamedTuple, TypeAlias

import altair as alt
import pandas as pd

Rows: TypeAlias = Sequence[Mapping[str, Any]] | pd.DataFrame
Table: TypeAlias = list[dict[str, Any]]
Width: TypeAlias = int | Literal["container"]


class Look(NamedTuple):
    """How a kind of point is told from the others."""

    colour: str
    shape: str
    is_hollow: bool = False


GREEN, AMBER, RED, BLUE, NEUTRAL = "#16966a", "#b07d10", "#dc4c4c", "#3f7fd0", "#858b94"
SERIES = (BLUE, "#d2691e", GREEN, "#b65fb8", AMBER, "#1591a3", RED)
SHAPES = ("circle", "square", "triangle-up", "diamond", "triangle-down", "cross")
VERDICTS = {
    "ok": Look(GREEN, "circle"),
    "watch": Look(AMBER, "diamond"),
    "bad": Look(RED, "triangle-down"),
    "too_few": Look(NEUTRAL, "cross"),
}
ROW_HEIGHT, LINE_HEIGHT = 24, 13
_NO_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
RATE_TIPS = ("success_rate", "clustered_lower", "clustered_upper", "finished", "operations_finished", "verdict")


def series_looks(names: Iterable[str]) -> dict[str, Look]:
    """A look for each of up to 42 series: colours and shapes repeat, but not together."""
    return {
        name: Look(SERIES[index % len(SERIES)], SHAPES[index % len(SHAPES)], is_hollow=True)
        for index, name in enumerate(dict.fromkeys(names))
    }


def with_hollow(looks: Mapping[str, Look]) -> dict[str, Look]:
    """The same looks, and each again as a hollow one of what is still under way."""
    return {**looks, **{under_way(name): look._replace(is_hollow=True) for name, look in looks.items()}}


def under_way(name: str) -> str:
    """The kind of a point whose time is not over."""
    return f"{name}, under way"


def table_of(rows: Rows, *, label: str | None = None, day: str | None = None) -> Table:
    """Rows as JSON has them, what is missing as null; a label that is missing is said in words.

    A column `day` holds days alone, also where pandas made instants of them: a browser takes an instant without a zone
    for local time, but a day for UTC.
    """
    records: Iterable[Mapping[Any, Any]] = rows.to_dict("records") if isinstance(rows, pd.DataFrame) else rows
    table = [{str(name): _plain(value) for name, value in row.items()} for row in records]
    for row in table:
        if label is not None:
            row[label] = "(none)" if row[label] is None else str(row[label])
        if day is not None:
            row[day] = str(row[day])[:10]
    return table


def readable(text: str) -> str:
    """The text with a sign in the place of what SVG can't hold: a control character ends the process that draws."""
    return _NO_XML.sub("\ufffd", text)


def _plain(value: object) -> object:
    if isinstance(value, str):
        return readable(value)
    if value is None or value is pd.NaT or value is pd.NA:
        return None
    if isinstance(value, date):  # instants, and those of pandas, are dates too
        return value.isoformat()
    if isinstance(value, Decimal):
        return float(value)
    plain = value.item() if hasattr(value, "item") else value
    return None if isinstance(plain, float) and not math.isfinite(plain) else plain


def drawn(table: Table) -> alt.Chart:
    """A chart of these rows, without a mark so far."""
    return alt.Chart(alt.InlineData(values=table))


def layered(
    layers: Iterable[alt.Chart], width: Width, description: str, height: int | alt.Step | None = None
) -> alt.LayerChart:
    """The layers as one picture; a row for each label where no height is given."""
    return alt.LayerChart(
        layer=list(layers),
        width=width,
        height=height or alt.Step(ROW_HEIGHT),
        autosize=alt.AutoSizeParams(type="fit-x", contains="padding"),
        description=description,
    )


def rows_of_lines(table: Table, label: str) -> alt.Step:
    """The height of rows whose labels may have several lines."""
    return alt.Step(ROW_HEIGHT + LINE_HEIGHT * max((row[label].count("\n") for row in table), default=0))


def looks_of(table: Table, column: str, looks: Mapping[str, Look], columns: int = 3) -> dict[str, Any]:
    """Colour, shape and filling by a column, with one legend of those looks that occur."""
    present = {row[column] for row in table}
    shown = {name: look for name, look in looks.items() if name in present}
    key = legend(columns) if shown else None

    def scale(values: Iterable[str]) -> alt.Scale:
        return alt.Scale(domain=list(shown), range=list(values))

    colours = [look.colour for look in shown.values()]
    fills = ["transparent" if look.is_hollow else look.colour for look in shown.values()]
    shapes = [look.shape for look in shown.values()]
    return {
        "stroke": alt.Stroke(column, type="nominal", scale=scale(colours), legend=key),
        "fill": alt.Fill(column, type="nominal", scale=scale(fills), legend=key),
        "shape": alt.Shape(column, type="nominal", scale=scale(shapes), legend=key),
    }


def legend(columns: int, orient: Literal["bottom", "top"] = "bottom") -> alt.Legend:
    """A legend without a title that fits a narrow screen."""
    return alt.Legend(
        title=None,
        orient=orient,
        columns=columns,
        symbolLimit=0,
        labelLimit=300 // columns,
        labelExpr="replace(datum.label, '_', ' ')",
    )


def share_axis(values: Iterable[float | None], title: str = "success rate") -> dict[str, Any]:
    """An axis up to 100 % that begins at a multiple of 5 % below the lowest value."""
    return {
        "scale": alt.Scale(domain=[_lowest(values), 1], nice=False),
        "axis": alt.Axis(format=".0%", tickCount=5),
        "title": title,
    }


def _lowest(values: Iterable[float | None]) -> float:
    """Where an axis of shares begins."""
    known = [value for value in values if value is not None]
    return max(0.0, math.floor((min(known, default=0.0) - 0.005) * 20) / 20)


def trusted_ends(table: Table) -> list[float | None]:
    """What an axis of rates must show: every rate, and the intervals that say something."""
    ends = [row["clustered_lower"] for row in table if row["verdict"] != "too_few"]
    return [row["success_rate"] for row in table] + ends


def label_axis(table: Table, label: str, width: Width) -> alt.Y:
    """The texts of the rows, in their order; one may have two lines, and a narrow picture shortens the long ones."""
    wide = alt.ExprRef("containerSize()[0] > 600 ? 300 : 150")
    axis = alt.Axis(
        title=None,
        labelExpr="split(datum.label, '\\n')",
        labelOffset=(ROW_HEIGHT - rows_of_lines(table, label).step) / 2,  # the first line has the row's middle
        labelLimit=wide if width == "container" else 300 if width > 600 else 150,
        ticks=False,
        domain=False,
        grid=False,
    )
    return alt.Y(label, type="nominal", sort=[row[label] for row in table], axis=axis)


def time_axis(table: Table, name: str) -> alt.X:
    """Days in UTC, whatever the reader's zone, with at most eight labels."""
    days = [date.fromisoformat(day) for day in sorted({row[name] for row in table})]
    labelled = days[:: max(1, math.ceil(len(days) / 8))]
    values = [alt.DateTime(year=day.year, month=day.month, date=day.day, utc=True) for day in labelled]
    form = "%d %b %y" if len({day.year for day in days}) > 1 else "%d %b"
    axis = alt.Axis(values=values, format=form, labelOverlap="greedy", labelSeparation=8, grid=False)
    title = "week of creation, UTC" if name.endswith("week") else "day of creation, UTC"
    return alt.X(name, type="temporal", scale=alt.Scale(type="utc", padding=14), axis=axis, title=title)


def in_hours(chart: alt.Chart, *names: str) -> alt.Chart:
    """Adds `…_hours` beside each column of seconds."""
    for name in names:
        calculation = f"isValid(datum.{name}) ? datum.{name} / 3600 : null"
        chart = chart.transform_calculate(name.replace("_seconds", "_hours"), calculate=calculation)
    return chart


def line_at(value: float, axis: alt.X | alt.Y) -> alt.Chart:
    """A dashed line across the picture at the target; `axis` is that of the column `target`."""
    tip = alt.Tooltip("target", type="quantitative", format=".1%")
    rule: alt.Chart = drawn([{"target": value}]).mark_rule(color=NEUTRAL, strokeDash=[6, 4], strokeWidth=1.5)
    encoded: alt.Chart = rule.encode(axis, tooltip=tip)
    return encoded


def ranges(base: alt.Chart, stroke: alt.Stroke, axis: dict[str, Any], tips: list[alt.Tooltip]) -> list[alt.Chart]:
    """The clustered interval of each row; an arrow where it goes on beyond the picture."""
    lowest = axis["scale"].domain[0]
    rules = base.mark_rule(strokeWidth=2, clip=True).encode(
        x=alt.X("clustered_lower:Q", **axis), x2="clustered_upper", stroke=stroke, tooltip=tips
    )
    arrows = (
        base.transform_filter(f"isValid(datum.clustered_lower) && datum.clustered_lower < {lowest}")
        .mark_point(shape="triangle-left", size=60, filled=True, color=NEUTRAL, opacity=1)
        .encode(x=alt.value(6))
    )
    return [rules, arrows]


def tips_of(table: Table, *names: str) -> list[alt.Tooltip]:
    """What a pointer shows of a row: those of the columns that there are, days, shares, hours and counts as such."""
    there = {name for row in table[:1] for name in row}
    return [_tip(table, name) for name in names if name in there or name.replace("_hours", "_seconds") in there]


def _tip(table: Table, name: str) -> alt.Tooltip:
    title = name.replace("_", " ")
    if name in ("created_date", "created_week"):
        return alt.Tooltip(name, type="temporal", timeUnit="utcyearmonthdate", format="%Y-%m-%d", title=title)
    if any(isinstance(row.get(name), str) for row in table):
        return alt.Tooltip(name, type="nominal", title=title)
    if name.endswith("_hours"):
        return alt.Tooltip(name, type="quantitative", format=".1f", title=title)
    is_share = name == "centre" or name.startswith("share_") or name.endswith(("_rate", "_lower", "_upper", "_limit"))
    return alt.Tooltip(name, type="quantitative", format=".1%" if is_share else ",", title=title)
