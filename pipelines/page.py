"""The report page: one HTML file that needs no network, made of the published file's marts.

What is shown is decided here, how it looks in `templates/report.html`. Every chart comes in two widths, because a
narrow screen would make the letters of a wide one too small, and with the rows it was drawn from.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import altair as alt
import duckdb
import jinja2
import markupsafe
import vl_convert

from pipelines import charts
from pipelines.hold import summary_of_hold
from pipelines.output import duration
from pipelines.report import open_published, result_of, snapshot_of
from pipelines.warehouse import Warehouse, read_source, replace_file, storage_errors

WIDE, NARROW = 720, 330
SHOWN_GROUPS, SHOWN_ROLLOUTS, SHOWN_STALLED = 5, 10, 10
DAYS_BY_DAY = 31  # a longer time is shown by week
STILL_OPEN = 0.05  # a day of which more devices have not ended is not over

# The page decides about light and dark: a chart takes its colours from there.
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

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Figure:
    """A chart in both widths, what it says in words, and its rows: heads, and cells as text."""

    wide: markupsafe.Markup
    narrow: markupsafe.Markup
    summary: str
    heads: list[str]
    cells: list[list[str]]


@dataclass(frozen=True)
class Page:
    """The page's text, and the numbers that it begins with: rate, its interval, grade, and when that was observed."""

    html: str
    headline: dict[str, Any]
    snapshot: dict[str, Any]


def make_page(
    warehouse: Warehouse, since: datetime | None = None, until: datetime | None = None, now: datetime | None = None
) -> Page:
    """Make the page of what is served, of the tasks created in [since, until), UTC.

    Raises:
        StorageError: nothing is published.
    """
    now = (now or datetime.now(UTC)).replace(tzinfo=None)
    with open_published(warehouse) as connection:
        window = _Window(connection, since, until)
        snapshot = snapshot_of(connection, warehouse)
        target = snapshot["target_success_rate"]
        [overall] = window.rows("success_overall")
        models = window.rows("success_by_model", is_windowed=False)
        content = {
            "source": read_source(warehouse),
            "since": since,
            "until": until,
            "made_at": now,
            "age": duration(max(0, round((now - snapshot["observed_at"]).total_seconds()))),
            "held": summary_of_hold(warehouse),
            "snapshot": snapshot,
            "overall": overall,
            "trend": _trend(window, target),
            "weeks": _last_weeks(window),
            **_extremes(window, models, target),
            "hotspots": len(window.rows("failure_hotspots")),
            **_rollouts(window, models),
            **_stalled(window),
            "checks": window.rows("data_quality", is_windowed=False),
        }
    return Page(_template().render(content), overall, snapshot)


def write_page(page: Page, file: Path) -> None:
    """Write it whole or not at all.

    Raises:
        StorageError: the folder is not there, or the disk failed.
    """
    with storage_errors(f"write {file}"):
        replace_file(file, page.html.encode())


@dataclass(frozen=True)
class _Window:
    """Rows of marts, of the tasks created in [since, until)."""

    connection: duckdb.DuckDBPyConnection
    since: datetime | None
    until: datetime | None

    def rows(self, mart: str, rest: str = "", *, is_windowed: bool = True) -> Rows:
        """The rows of a mart; `rest` is what follows in the query."""
        if not is_windowed or (self.since is None and self.until is None):
            return result_of(self.connection.execute(f"from marts.{mart} {rest}")).dicts()
        ends = {"since": self.since, "until": self.until}
        return result_of(self.connection.execute(f"from marts.{mart}_between($since, $until) {rest}", ends)).dicts()


def _trend(window: _Window, target: float) -> Figure | None:
    """Rates by day, or by week where that were too many days."""
    days = window.rows("success_by_day", "order by created_date")
    name = "created_date"
    if days and days[-1][name] - days[0][name] > timedelta(days=DAYS_BY_DAY):
        name = "created_week"
        days = window.rows("success_by_week", "order by created_week")
    shown = [
        row | {"is_under_way": row["wait"] + row["processing"] > STILL_OPEN * row["total"]}
        for row in days
        if row["finished"]
    ]
    if not shown:
        return None
    return _figure(
        partial(charts.trend, shown, name, target),
        f"Success rate by {name.removeprefix('created_')} of creation, from {shown[0][name]} to {shown[-1][name]}. "
        f"It lies between {percent(min(row['success_rate'] for row in shown))} "
        f"and {percent(max(row['success_rate'] for row in shown))}.",
        {
            name.removeprefix("created_"): [str(row[name]) for row in shown],
            **_rate_cells(shown),
            "still open": [f"{row['wait'] + row['processing']:,}" for row in shown],
        },
    )


def _last_weeks(window: _Window) -> list[str]:
    """What the control chart says of the last whole week of each type."""
    whole = window.rows(
        "weekly_control_chart",
        "where not is_under_way qualify row_number() over (partition by operation_type order by created_week desc) = 1 "
        "order by operation_type",
    )
    return [_week_in_words(row) for row in whole]


def _week_in_words(row: dict[str, Any]) -> str:
    what = f"{(row['operation_type'] or 'upgrade of unknown type').replace('_', ' ')}s"
    text = f"{what} of the week from {row['created_week']}: {percent(row['success_rate'])}"
    if row["lower_limit"] is None:
        return f"{text}; there are too few weeks to tell what is usual"
    place = "outside" if row["is_outside"] else "within"
    return f"{text}, {place} what is usual ({percent(row['lower_limit'])} to {percent(row['upper_limit'])})"


def _extremes(window: _Window, models: Rows, target: float) -> dict[str, Figure | None]:
    """The pairs of model and version that surely do worst, and those that surely do best."""
    known = window.rows("success_by_model_version", "where verdict <> 'too_few'")
    worst = sorted(known, key=lambda row: (row["clustered_upper"], row["success_rate"]))
    worst = worst[: min(SHOWN_GROUPS, -(-len(known) // 2))]
    others = [row for row in known if row not in worst]
    best = sorted(others, key=lambda row: (-row["clustered_lower"], -row["success_rate"]))[:SHOWN_GROUPS]
    return {
        name: _group_figure(_labelled(rows, models), name, target) for name, rows in (("worst", worst), ("best", best))
    }


def _group_figure(rows: Rows, name: str, target: float) -> Figure | None:
    if not rows:
        return None
    return _figure(
        partial(charts.rates, rows, "label", target),
        f"Model and version pairs that do {name}: "
        + "; ".join(f"{_line(row)} {percent(row['success_rate'])}, {words(row['verdict'])}" for row in rows)
        + ".",
        {"model and version": [_line(row) for row in rows], **_rate_cells(rows)},
    )


def _rollouts(window: _Window, models: Rows) -> dict[str, Any]:
    """The rollouts under way that began last, beside their peers at the same age."""
    every = window.rows("rollouts_at_equal_age", "order by all", is_windowed=False)
    known = [row for row in every if row["verdict"] != "too_few"] or [row for row in every if row["finished"]]
    newest = sorted(known, key=lambda row: row["started_at"], reverse=True)
    shown = _labelled(newest[:SHOWN_ROLLOUTS], models)
    if not shown:
        return {"rollouts": None, "rollouts_under_way": len(every)}
    for row in shown:
        row["label"] += f", {age_in_words(row['age_hours'])}"
    figure = _figure(
        partial(charts.equal_age, shown, "label"),
        "Success rates of rollouts under way, and in brackets of the other versions of the same model at the same age: "
        + "; ".join(f"{_line(row)} {percent(row['success_rate'])} ({percent(row['peer_rate'])})" for row in shown)
        + ".",
        {
            "model, version, age": [_line(row) for row in shown],
            **_rate_cells(shown),
            "others": [percent(row["peer_rate"]) for row in shown],
            "devices left": [f"{row['devices_left']:,}" for row in shown],
        },
    )
    return {"rollouts": figure, "rollouts_under_way": len(every)}


def _stalled(window: _Window) -> dict[str, Any]:
    every = window.rows("stalled_operations", "order by unchanged_seconds desc, operation_id")
    shown = [row | {"label": row["operation_id"]} for row in every[:SHOWN_STALLED]]
    left = sum(row["devices_left"] or 0 for row in every)
    if not shown:
        return {"stalled": None, "stalled_tasks": 0, "stalled_devices": 0}
    figure = _figure(
        partial(charts.stalled, shown, "label"),
        "Hours without a change: "
        + "; ".join(f"{row['label']} {row['unchanged_seconds'] / 3600:,.1f}" for row in shown)
        + ".",
        {
            "task": [row["label"] for row in shown],
            "model": [str(row["model"] or "?") for row in shown],
            "version": [str(row["file_version"] or "?") for row in shown],
            "still for": [duration(round(row["unchanged_seconds"])) for row in shown],
            "usual at most": [duration(round(row["usual_seconds"])) for row in shown],
            "devices left": [f"{row['devices_left'] or 0:,}" for row in shown],
        },
    )
    return {"stalled": figure, "stalled_tasks": len(every), "stalled_devices": left}


def _line(row: dict[str, Any]) -> str:
    """The label on one line."""
    return str(row["label"]).replace("\n", " ")


def _rate_cells(rows: Rows) -> dict[str, list[str]]:
    return {
        "rate": [percent(row["success_rate"]) for row in rows],
        "95 % interval": [f"{percent(row['clustered_lower'])} to {percent(row['clustered_upper'])}" for row in rows],
        "finished": [f"{row['finished']:,}" for row in rows],
        "verdict": [words(row["verdict"]) for row in rows],
    }


def _labelled(rows: Rows, models: Rows) -> Rows:
    """Rows with two lines of text: the model, with as much as tells it from the other models, and the version."""
    return [row | {"label": f"{_model_name(row, models)}\n{row['file_version'] or '(no version)'}"} for row in rows]


def _model_name(row: dict[str, Any], models: Rows) -> str:
    for names in (("model",), ("model", "device_type"), ("manufacturer_name", "model")):
        if sum(all(row[name] == other[name] for name in names) for other in models) == 1:
            return " ".join(str(row[name] or "?") for name in names)
    return " ".join(str(row[name] or "?") for name in ("manufacturer_name", "model", "device_type"))


def _figure(draw: Callable[..., alt.LayerChart], summary: str, columns: dict[str, list[str]]) -> Figure:
    wide, narrow = (_svg(draw(width=width), f"{summary[:40]}{width}", summary) for width in (WIDE, NARROW))
    return Figure(wide, narrow, summary, list(columns), [list(row) for row in zip(*columns.values(), strict=True)])


def _svg(chart: alt.LayerChart, name: str, summary: str) -> markupsafe.Markup:
    """The chart as SVG to stand in a page; ids get a name of their own, because all charts share the page's."""
    text: str = vl_convert.vegalite_to_svg(chart.to_dict(), config=CONFIG)
    prefix = re.sub(r"\W+", "-", name)
    text = re.sub(r'(id="|url\(#)', rf"\g<1>{prefix}-", text)
    opening = f'<svg role="img" aria-label="{markupsafe.escape(summary)}"'
    return markupsafe.Markup(text.replace("<svg", opening, 1))  # noqa: S704 - drawn by ourselves, texts are escaped there


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


def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("pipelines"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": percent, "words": words}
    return environment.get_template("report.html")
