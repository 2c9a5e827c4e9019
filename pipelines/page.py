"""The report page: one HTML file that needs no network, made of the published file's marts.

What is shown is decided here, how it looks in `templates/report.html` and `page_figures`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import jinja2

from pipelines import charts
from pipelines.chart_parts import readable
from pipelines.hold import summary_of_hold
from pipelines.output import duration
from pipelines.page_figures import (
    Figure,
    Rows,
    age_in_words,
    figure_of,
    labelled,
    on_one_line,
    percent,
    rate_cells,
    words,
)
from pipelines.report import open_published, result_of, snapshot_of
from pipelines.warehouse import Warehouse, read_source, replace_file, storage_errors

SHOWN_GROUPS, SHOWN_ROLLOUTS, SHOWN_STALLED = 5, 10, 10
DAYS_BY_DAY = 31  # a longer time is shown by week
STILL_OPEN = 0.05  # a day of which more devices have not ended is not over


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
            "window": "".join(
                f" --{name} {end.isoformat().removesuffix('T00:00:00')}"
                for name, end in (("since", since), ("until", until))
                if end
            ),
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
    with storage_errors(f"write {file}", "Write it into another folder"):
        replace_file(file, page.html.encode())


@dataclass(frozen=True)
class _Window:
    """Rows of marts, of the tasks created in [since, until)."""

    connection: duckdb.DuckDBPyConnection
    since: datetime | None
    until: datetime | None

    def rows(self, mart: str, rest: str = "", *, is_windowed: bool = True) -> Rows:
        """The rows of a mart; `rest` is what follows in the query."""
        is_whole = not is_windowed or (self.since is None and self.until is None)
        ends = {} if is_whole else {"since": self.since, "until": self.until}
        relation = f"marts.{mart}" if is_whole else f"marts.{mart}_between($since, $until)"
        found = result_of(self.connection.execute(f"from {relation} {rest}", ends)).dicts()
        return [
            {name: readable(value) if isinstance(value, str) else value for name, value in row.items()} for row in found
        ]


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
    return figure_of(
        partial(charts.trend, shown, name, target),
        f"Success rate by {name.removeprefix('created_')} of creation, from {shown[0][name]} to {shown[-1][name]}. "
        f"It lies between {percent(min(row['success_rate'] for row in shown))} "
        f"and {percent(max(row['success_rate'] for row in shown))}.",
        {
            name.removeprefix("created_"): [str(row[name]) for row in shown],
            **rate_cells(shown),
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
        name: _group_figure(labelled(rows, models), name, target) for name, rows in (("worst", worst), ("best", best))
    }


def _group_figure(rows: Rows, name: str, target: float) -> Figure | None:
    if not rows:
        return None
    return figure_of(
        partial(charts.rates, rows, "label", target),
        f"Model and version pairs that do {name}: "
        + "; ".join(f"{on_one_line(row)} {percent(row['success_rate'])}, {words(row['verdict'])}" for row in rows)
        + ".",
        {"model and version": [on_one_line(row) for row in rows], **rate_cells(rows)},
    )


def _rollouts(window: _Window, models: Rows) -> dict[str, Any]:
    """The rollouts under way that began last, beside their peers at the same age."""
    every = window.rows("rollouts_at_equal_age", "order by all", is_windowed=False)
    known = [row for row in every if row["verdict"] != "too_few"] or [row for row in every if row["finished"]]
    newest = sorted(known, key=lambda row: row["started_at"], reverse=True)
    shown = labelled(newest[:SHOWN_ROLLOUTS], models)
    if not shown:
        return {"rollouts": None, "rollouts_under_way": len(every)}
    for row in shown:
        row["label"] += f", {age_in_words(row['age_hours'])}"
    figure = figure_of(
        partial(charts.equal_age, shown, "label"),
        "Success rates of rollouts under way, and in brackets of the other versions of the same model at the same age: "
        + "; ".join(f"{on_one_line(row)} {percent(row['success_rate'])} ({percent(row['peer_rate'])})" for row in shown)
        + ".",
        {
            "model, version, age": [on_one_line(row) for row in shown],
            **rate_cells(shown),
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
    figure = figure_of(
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
