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

FORMATS = ("table", "csv", "json")
_PERCENT = ("rate", "lower", "upper")


def show(result: Result, output_format: str) -> None:
    """Print rows in one of `FORMATS`."""
    if output_format == "json":
        rows = [dict(zip(result.columns, row, strict=True)) for row in result.rows]
        click.echo(json.dumps(rows, indent=2, default=str))
    elif output_format == "csv":
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(result.columns)
        writer.writerows(result.rows)
    else:
        _show_table(result)


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
