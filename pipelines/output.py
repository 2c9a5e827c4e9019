"""Rows for people and programs: a table for the terminal, CSV, JSON. On stdout, where nothing else goes."""

from __future__ import annotations

import csv
import json
import sys
from datetime import datetime
from typing import Any

import click
from rich import box
from rich.console import Console
from rich.table import Table

from pipelines.report import Result

_PERCENT = ("rate", "lower", "upper")


def show(result: Result, output_format: str) -> None:
    """Print rows as `table`, `csv` or `json`."""
    if output_format == "json":
        rows = [dict(zip(result.columns, row, strict=True)) for row in result.rows]
        click.echo(json.dumps(rows, indent=2, default=str))
    elif output_format == "csv":
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(result.columns)
        writer.writerows(result.rows)
    else:
        _show_table(result)


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
    return {
        "file": values["file"],
        "published": f"{snapshot['published_at']:%Y-%m-%d %H:%M:%S} UTC, number {snapshot['publication']}",
        "observed": f"{snapshot['observed_at']} UTC, {_duration(values['age_seconds'])} ago, "
        f"by sync {snapshot['sync_id']} ({snapshot['mode']})",
        "grade": f"{snapshot['grade']}: {living:,} tasks known, {_count(snapshot['total_after'])} there",
        "last proven": proven,
        "outside the rates": f"{snapshot['operations_outside_rates']:,} tasks known only by a broken record",
        "rows": ", ".join(f"{name} {count:,}" for name, count in values["rows"].items()),
        "checks": f"{values['checks_passed']} passed" + (f"; failed: {checks}" if checks else ""),
    }


def _duration(seconds: int) -> str:
    for unit, size in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} seconds"


def _count(value: int | None) -> str:
    return "an unknown number" if value is None else f"{value:,}"


def _show_table(result: Result) -> None:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for index, name in enumerate(result.columns):
        is_number = any(isinstance(row[index], int | float) for row in result.rows)
        table.add_column(name.replace("_", " "), justify="right" if is_number else "left", overflow="fold")
    for row in result.rows:
        table.add_row(*(_cell(name, value) for name, value in zip(result.columns, row, strict=True)))
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 10_000)  # a pipe has no width to fold to
    console.print(table)


def _cell(name: str, value: Any) -> str:  # noqa: ANN401 - whatever a query selects
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.1%}" if name.endswith(_PERCENT) or name.startswith("rate_") else f"{value:,.4g}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    return str(value)
