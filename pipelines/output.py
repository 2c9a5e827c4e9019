"""Rows for people and programs: a table for the terminal, CSV, JSON. On stdout, where nothing else goes."""

from __future__ import annotations

import csv
import json
import math
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import click
from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipelines.report import Result

if TYPE_CHECKING:  # who only prints a report need not load what makes calls
    from pipelines.extract.forecast import Forecast
    from pipelines.platform.quota import Quota

UNFOLDED = 10_000  # no terminal is so wide
NARROWEST = 6  # folded to less than this, a text can't be read
LARGE = 1_000  # from here on a number is shown without decimals
_NUMBERS = (int, float, Decimal)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_PERCENT = ("rate", "lower", "upper", "share", "limit", "centre")


def show(result: Result, output_format: str) -> None:
    """Print rows as `table`, `csv` or `json`.

    Raises:
        UsageError: JSON keeps one column of a name, and there are two.
    """
    if output_format == "json":
        if len(set(result.columns)) < len(result.columns):
            raise click.UsageError("Two columns have the same name, and JSON keeps one: rename it with `as`.")
        rows = [{name: _as_json(value) for name, value in row.items()} for row in result.dicts()]
        click.echo(json.dumps(rows, indent=2, default=str))
    elif output_format == "csv":
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(result.columns)
        writer.writerows([_as_text(value) for value in row] for row in result.rows)
    else:
        _show_table(result)


def _as_json(value: Any) -> Any:  # noqa: ANN401 - whatever a query gives
    """What JSON has words for, however deep: decimals are numbers, keys are texts, what is no finite number is null."""
    if isinstance(value, dict):
        return {key if isinstance(key, int | float) else str(key): _as_json(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_as_json(each) for each in value]
    if isinstance(value, Decimal):
        return float(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _as_text(value: Any) -> Any:  # noqa: ANN401 - whatever a query gives
    """A struct, map or list as JSON, for a CSV cell; anything else as it is."""
    if isinstance(value, dict | list | tuple):
        return json.dumps(_as_json(value), default=str, ensure_ascii=False)
    return value


def plan_lines(forecast: Forecast, quota: Quota) -> list[str]:
    """The plan of the next sync in words, with calls, minutes and the share of the quota."""
    full = ["`iodm sync --full`: the platform does not say how many tasks there are"]
    if forecast.full_calls is not None and forecast.full_max_calls is not None:
        full = [f"`iodm sync --full`: {_cost(forecast.full_calls, quota)}; at most {forecast.full_max_calls:,} calls"]
    if forecast.goes_on_from_row:
        full.append(f"  it goes on from row {forecast.goes_on_from_row:,}, where an interrupted one stopped")
    if forecast.mode == "full":
        return ["The next sync reads everything; later ones only what changed.", *full]
    expected, most = forecast.plan.expected_calls, forecast.plan.max_calls
    return [
        f"`iodm sync`: {_cost(expected, quota)}; at most {most:,} calls",
        *(f"  {line}" for line in forecast.plan.lines()),
        *full,
    ]


def _cost(calls: int, quota: Quota) -> str:
    minutes = quota.seconds_for(calls) / 60
    share = calls / (60 * quota.calls_per_minute)
    return (
        f"about {calls:,} calls, {f'{minutes:,.0f} min' if minutes >= 1 else 'less than a minute'} at "
        f"{quota.calls_per_minute:,} calls a minute, {share:.1%} of an hour's quota"
    )


def status_lines(values: dict[str, Any]) -> dict[str, str]:
    """What `report.status` returns, in words: a line per question."""
    snapshot = values["snapshot"]
    living = snapshot["operations"] - snapshot["operations_removed"] + snapshot["operations_outside_rates"]
    proven = (
        f"sync {snapshot['last_proven_sync_id']} at {snapshot['last_proven_at']} UTC"
        if snapshot["last_proven_sync_id"]
        else "never"
    )
    checks = ", ".join(
        f"{check['check_name']} ({check['severity']}, {check['offending_rows']:,} rows)"
        for check in values["checks_failed"]
    )
    held = {"HELD": values["held"]["message"].removeprefix("HELD ")} if values["held"] else {}
    return held | {
        "file": values["file"],
        "published": f"{snapshot['published_at']:%Y-%m-%d %H:%M:%S} UTC, number {snapshot['publication']}",
        "observed": f"{snapshot['observed_at']} UTC, {duration(values['age_seconds'])} ago, "
        f"by sync {snapshot['sync_id']} ({snapshot['mode']})",
        "grade": f"{snapshot['grade']}: {_compare(living, snapshot['total_after'])}",
        "evidence": values["grade_evidence"] or "not kept",
        "last proven": proven,
        "ended tasks read": f"{snapshot['last_full_at'] or 'never'} UTC: a retry that failed again since may not show",
        "outside the rates": f"{snapshot['operations_outside_rates']:,} tasks known only by a broken record",
        "rows": ", ".join(f"{name} {count:,}" for name, count in values["rows"].items()),
        "checks": f"{values['checks_passed']} passed" + (f"; failed: {checks}" if checks else ""),
    }


def duration(seconds: int) -> str:
    """A length of time in its largest unit of which there are two at least."""
    for unit, size in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} seconds"


def _compare(known: int, there: int | None) -> str:
    """What a reader concludes from the two numbers."""
    if there is None:
        return f"{known:,} tasks known; the platform does not say how many there are"
    difference = there - known
    if difference == 0:
        return f"{known:,} tasks known, as many there"
    return f"{known:,} tasks known, {abs(difference):,} {'more' if difference > 0 else 'fewer'} there than here"


def _show_table(result: Result) -> None:
    width = Console().width if sys.stdout.isatty() else UNFOLDED  # a pipe has no width to fold to
    click.echo(table_text(result, width), nl=False)  # rich would exit where nobody reads on
    if not result.rows:
        click.echo("No rows.", err=True)


def table_text(result: Result, width: int) -> str:
    """Rows as a table of at most this width, in which texts fold and numbers do not; where they don't fit, unfolded."""
    columns = [
        _Column(
            visible(name.replace("_", " ")),
            [_cell(name, row[index]) for row in result.rows],
            is_number=any(isinstance(row[index], _NUMBERS) for row in result.rows),
            is_whole=any(isinstance(row[index], (*_NUMBERS, date)) for row in result.rows),
        )
        for index, name in enumerate(result.columns)
    ]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    widths = _folded(columns, width)
    if widths:
        table.padding = 0
    fixed: Sequence[int | None] = widths or [None] * len(columns)
    for column, column_width in zip(columns, fixed, strict=True):
        header = Text(column.header)  # as it is: rich would read `[old]` and `:car:` as orders
        table.add_column(header, justify="right" if column.is_number else "left", overflow="fold", width=column_width)
    for cells in zip(*(column.cells for column in columns), strict=True):
        table.add_row(*map(Text, cells))
    console = Console(highlight=False, width=width if widths else UNFOLDED)
    with console.capture() as text:
        console.print(table)
    return text.get()


@dataclass(frozen=True)
class _Column:
    header: str
    cells: list[str]
    is_number: bool
    is_whole: bool

    def folded_to(self, narrow: int) -> int:
        """Its width where words of the header, and texts, fold to so many characters."""
        cells = _length(self.cells)
        return max(cells if self.is_whole else min(cells, narrow), min(_length(self.header.split()), narrow), 1)


def _folded(columns: list[_Column], width: int) -> list[int] | None:
    """The widths of columns that are folded as little as need be; None where nothing need be, or nothing helps."""
    unfolded = sum(max(_length(column.cells), _length([column.header])) for column in columns)
    if unfolded + 3 * len(columns) <= width:  # two blanks and a separator
        return None
    for narrow in range(width, NARROWEST - 1, -1):
        widths = [column.folded_to(narrow) for column in columns]
        if sum(widths) + len(columns) < width:  # a separator each, and one more
            return widths
    return None


def _length(texts: list[str]) -> int:
    return max((cell_len(line) for text in texts for line in text.splitlines()), default=0)


def _cell(name: str, value: Any) -> str:  # noqa: ANN401 - whatever a query selects
    if value is None:
        return "-"
    if isinstance(value, float):
        return _float(name, value)
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    return visible(str(value))


def visible(text: str) -> str:
    r"""Text for a terminal, which would obey control characters: all but tabs and line breaks as in `\x1b`."""
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


def _float(name: str, value: float) -> str:
    if not math.isfinite(value):
        return str(value)
    if name.endswith("_seconds") and abs(value) <= timedelta.max.days * 86_400:
        return str(timedelta(seconds=round(value)))
    if abs(value) <= 1 and (name.endswith(_PERCENT) or name.startswith(("rate_", "share_"))):
        return f"{value:.1%}"
    return f"{value:,.0f}" if abs(value) >= LARGE else f"{value:,.4g}"
