"""The command `iodm backtest`: what abort rules would have done to past rollouts, for people and for programs."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from pipelines.cli_answers import existing_warehouse, format_option, refuse_empty_window, show_origin, window_in_words
from pipelines.settings import load_settings

if TYPE_CHECKING:  # who only asks for help need not load it
    from pipelines.backtest import Backtest

SHOWN_STOPS = 20


@click.command()
@click.option(
    "--rule",
    "texts",
    multiple=True,
    metavar="RULE",
    help='"failure_rate > 0.1 after 50 finished" (or failure_rate_of_total; > or >=; 0.1 or 10%), "hawkbit 10%" or '
    '"aws 10% after 50"; several can be given. These three, if nothing is said.',
)
@click.option(
    "--by",
    type=click.Choice(["model_version", "task"]),
    default="model_version",
    show_default=True,
    help="What a rollout is: all tasks that install a version on a model, or each task by itself.",
)
@click.option("--since", type=click.DateTime(), help="Only rollouts that began then or later (UTC).")
@click.option("--until", type=click.DateTime(), help="Only rollouts that began before then (UTC).")
@format_option
def backtest(
    *, texts: tuple[str, ...], by: str, since: datetime | None, until: datetime | None, output_format: str
) -> None:
    """Try abort rules on past rollouts: which would have been stopped, when, and how many devices spared.

    csv has a row per rule; json also has every rollout that would have been stopped or can't be judged.
    """
    from pipelines.backtest import backtest as try_rules  # noqa: PLC0415
    from pipelines.hold import summary_of_hold  # noqa: PLC0415
    from pipelines.output import show  # noqa: PLC0415
    from pipelines.rules import DEFAULT_RULES, parse_rule  # noqa: PLC0415

    refuse_empty_window(since, until)
    rules = [parse_rule(text) for text in dict.fromkeys(texts or DEFAULT_RULES)]
    settings = load_settings()
    warehouse = existing_warehouse(settings)
    with try_rules(
        warehouse,
        settings.memory_limit,
        rules,
        by_task=by == "task",
        since=since,
        until=until,
        announce=lambda text: click.echo(text, err=True),
    ) as found:
        if output_format == "csv":
            show(found.summary(), "csv")
        elif output_format == "json":
            _print_json({"by": by, "since": since, "until": until}, found)
        else:
            what = "a task each" if by == "task" else "a version on a model each"
            title, window = f"Abort rules tried on past rollouts, {what}", window_in_words("begun", since, until)
            show_origin(title, found.snapshot, summary_of_hold(warehouse), window)
            _show_tables(found)


def _print_json(question: dict[str, Any], found: Backtest) -> None:
    """Row by row: of a large warehouse there may be a million."""
    head = {
        "snapshot": found.snapshot,
        **question,
        "rules": [asdict(rule) | {"means": rule.means} for rule in found.rules],
        "summary": found.summary().dicts(),
    }
    click.echo(_as_json(head, indent=2).removesuffix("\n}"), nl=False)
    for name, rows in (("stopped", found.stopped()), ("left_out", found.left_out())):
        click.echo(f',\n  "{name}": [', nl=False)
        for number, row in enumerate(rows):
            click.echo(f"{',' if number else ''}\n    {_as_json(row)}", nl=False)
        click.echo("\n  ]", nl=False)
    click.echo("\n}")


def _as_json(value: dict[str, Any], indent: int | None = None) -> str:
    return json.dumps(value, indent=indent, default=str, ensure_ascii=False)


def _show_tables(found: Backtest) -> None:
    from pipelines.output import show  # noqa: PLC0415
    from pipelines.report import Result  # noqa: PLC0415

    summary = found.summary()
    show(summary, "table")
    numbers = summary.dicts()
    stopped = list(found.stopped(SHOWN_STOPS))
    for rule, row in zip(found.rules, numbers, strict=True):
        means = "" if rule.means == rule.text else f" ({rule.means})"
        click.echo(f"Stopped by {rule.text}{means}: {row['stopped']:,}")
        stops = [stop for stop in stopped if stop["rule"] == rule.text]
        if stops:
            names = list(stops[0])[1:]
            show(Result(names, [tuple(stop[name] for name in names) for stop in stops]), "table")
        if row["stopped"] > len(stops):
            click.echo(f"{row['stopped'] - len(stops):,} more, which spare less: `--format json` has them all.")
    if left_out := numbers[0]["left_out"]:
        click.echo(
            f"{left_out:,} of {numbers[0]['rollouts']:,} rollouts are left out: at some time of their course no sync "
            "looked within an hour, or within 10 % of their age, so that nobody knows when they stood how. What began "
            "before the first sync stays left out; to judge new ones, sync more often than every 2 hours."
        )
