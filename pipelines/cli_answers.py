"""Commands that only read the published file: reports, status, any query, checks. They need no lock and no platform."""

from __future__ import annotations

import json
import re
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from pipelines.models import load
from pipelines.settings import Settings, load_settings
from pipelines.warehouse import Warehouse

DIMENSIONS = ["day", "week", "month", "type", "manufacturer", "model", "version", "model_version", "policy", "group"]


def utf_8(_: click.Context, parameter: click.Parameter, text: str | None) -> str | None:
    """Text for a query, as it is; a usage error where it is no UTF-8, which has no place in one."""
    try:
        (text or "").encode()
    except UnicodeEncodeError:
        raise click.BadParameter("it is not UTF-8", param=parameter) from None
    return text


def format_option(function: Any) -> Any:  # noqa: ANN401 - click's own type for commands
    """`--format`, for commands that print rows."""
    return click.option(
        "--format",
        "output_format",
        type=click.Choice(["table", "csv", "json"]),
        default="table",
        show_default=True,
        help="How to print it.",
    )(function)


@click.command()
@click.option(
    "--by", type=click.Choice(DIMENSIONS), help="Success rates, grouped by this; by model, if nothing is said."
)
@click.option(
    "--mart", metavar="NAME", help="Any other report: failure_hotspots, stalled_operations, success_at_age, …"
)
@click.option("--device", "device_id", callback=utf_8, metavar="ID", help="The upgrade tasks that name this device.")
@click.option("--since", type=click.DateTime(), help="Only tasks created from then on (UTC).")
@click.option("--until", type=click.DateTime(), help="Only tasks created before then (UTC).")
@click.option(
    "--html",
    "html_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write all of it as a page into this file: headline, trend, worst and best, what is under way, what is stuck.",
)
@format_option
def report(
    *,
    by: str | None,
    mart: str | None,
    device_id: str | None,
    since: datetime | None,
    until: datetime | None,
    html_file: Path | None,
    output_format: str,
) -> None:
    """Success rates, with intervals and verdicts, and every other report of the published file."""
    if sum(option is not None for option in (by, mart, device_id, html_file)) > 1:
        raise click.UsageError("--by, --mart, --device and --html are four kinds of report: give one.")
    if device_id is not None and (since or until):
        raise click.UsageError("--device shows all the tasks of a device: --since and --until don't go with it.")
    refuse_empty_window(since, until)
    if html_file is not None and not html_file.name:
        raise click.UsageError("--html is the file to write: give its name.")
    if device_id is not None:
        from pipelines.output import show  # noqa: PLC0415
        from pipelines.report import device_history  # noqa: PLC0415

        show(device_history(existing_warehouse(), device_id), output_format)
        return
    if html_file is not None:
        from pipelines.page import make_page, write_page  # noqa: PLC0415 - what draws takes a second to load

        write_page(make_page(existing_warehouse(), since, until), html_file)
        click.echo(f"Wrote {html_file.absolute()}: open it in a browser; it needs no network.")
        return
    if mart is None:
        mart = f"success_by_{by or 'model'}"
    show_report(existing_warehouse(), mart, since, until, output_format)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def status(*, as_json: bool) -> None:
    """Can I trust today's numbers?"""
    from pipelines.output import status_lines  # noqa: PLC0415
    from pipelines.report import status as read_status  # noqa: PLC0415

    values = read_status(existing_warehouse())
    if as_json:
        click.echo(json.dumps(values, indent=2, default=str))
        return
    for name, text in status_lines(values).items():
        click.echo(f"{name:<18} {text}")


class _Query(click.Command):
    """Takes a query that begins with a comment for no option: such a one has a line break."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As of any command, the comment behind a blank."""
        return super().parse_args(
            ctx, [f" {text}" if text.startswith("--") and "\n" in text else text for text in args]
        )


@click.command(cls=_Query)
@click.argument("query", callback=utf_8)
@format_option
def sql(*, query: str, output_format: str) -> None:
    """Run one QUERY on the published file, read-only."""
    from pipelines.output import show  # noqa: PLC0415
    from pipelines.report import query as run_query  # noqa: PLC0415

    settings = load_settings()
    show(run_query(existing_warehouse(settings), query, settings.memory_limit), output_format)


@click.command()
@click.option("--strict", is_flag=True, help="Exit with 1 on warnings too.")
@format_option
def check(*, strict: bool, output_format: str) -> int:
    """Run the data checks of sql/checks on the published file."""
    from pipelines.output import show  # noqa: PLC0415
    from pipelines.report import Result  # noqa: PLC0415
    from pipelines.report import check as run_checks  # noqa: PLC0415

    results = run_checks(existing_warehouse())
    rows = [
        (
            "ok" if each.passed else each.severity,
            each.name,
            each.offending_rows,
            str(each.sample[0]) if each.sample else None,
        )
        for each in results
    ]
    show(Result(["result", "check", "offending_rows", "example"], rows), output_format)
    return int(any(not each.passed and (strict or each.severity == "error") for each in results))


def refuse_empty_window(since: datetime | None, until: datetime | None) -> None:
    """Refuse a window that nothing can lie in: most likely its ends are swapped.

    Raises:
        UsageError: it begins when it ends, or later.
    """
    if since and until and since >= until:
        raise click.UsageError(f"--since {since} is not before --until {until}: nothing lies between them.")


def show_report(
    warehouse: Warehouse, mart: str, since: datetime | None, until: datetime | None, output_format: str
) -> None:
    """Print a mart with a window; above a table, what it is of and how far to trust it."""
    from pipelines.output import show  # noqa: PLC0415
    from pipelines.report import rows_of  # noqa: PLC0415
    from pipelines.report import status as read_status  # noqa: PLC0415

    rows = rows_of(warehouse, mart, since, until, every_column=output_format != "table")
    if output_format != "table":
        show(rows, output_format)
        return
    values = read_status(warehouse)
    snapshot = values["snapshot"]
    title = re.split(r"[:.]( |$)", load("marts")[mart].description)[0]
    show_origin(title, snapshot, values["held"], window_in_words("tasks created", since, until))
    show(rows, output_format)
    if snapshot["operations_outside_rates"]:
        click.echo(
            f"{snapshot['operations_outside_rates']:,} tasks are outside the rates: their records are broken "
            '(`iodm sql "from core.quarantine"`).'
        )


def window_in_words(what: str, since: datetime | None, until: datetime | None) -> str:
    """What the rows are of, and when; nothing where that is all there is."""
    ends = [f"{word} {end}".removesuffix(" 00:00:00") for word, end in (("from", since), ("before", until)) if end]
    return f"{what} {' and '.join(ends)} (UTC)" if ends else ""


def show_origin(title: str, snapshot: dict[str, Any], held: dict[str, Any] | None, window: str) -> None:
    """Print what the rows below are, how much the whole file is made of, and how far to trust that."""
    if held:
        click.echo(held["message"])
    title, tasks = (f"{title}, {window}", "upgrade tasks in the file") if window else (title, "upgrade tasks")
    click.echo(
        f"{title}: {snapshot['operations']:,} {tasks}, observed {snapshot['observed_at']} UTC, "
        f"{snapshot['grade']}, target {100 * snapshot['target_success_rate']:.12g}%"
    )


def existing_warehouse(settings: Settings | None = None) -> Warehouse:
    """The warehouse of the settings; its folder is not made."""
    return Warehouse((settings or load_settings()).warehouse.absolute())


def open_line(warehouse: Warehouse) -> str:
    """How to open the served file in DuckDB's own shell."""
    return f"duckdb -readonly {warehouse.link}"
