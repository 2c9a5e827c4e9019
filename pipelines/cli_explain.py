"""The command `iodm explain`: where a number of a report, or a task, comes from, for people and for programs."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from pipelines.cli_answers import existing_warehouse, format_option, refuse_empty_window, utf_8
from pipelines.settings import load_settings

if TYPE_CHECKING:  # who only asks for help need not load it
    from pipelines.explain import Explanation, TaskHistory
    from pipelines.report import Result

SHOWN_TASKS = 20
_WIDE = ("record", "request", "total_is_derived", "timeout_in_fail", "fail_as_received", "removed_at", "created_at")


@click.command()
@click.option("--mart", metavar="NAME", help="A report whose rows are made of tasks, such as success_by_version.")
@click.option("--where", callback=utf_8, metavar="SQL", help="Which of its rows; all of them, if nothing is said.")
@click.option(
    "--record",
    "operation_id",
    callback=utf_8,
    metavar="OPERATION_ID",
    help="Instead: one task, and all that syncs met of it.",
)
@click.option("--since", type=click.DateTime(), help="Only tasks created from then on (UTC).")
@click.option("--until", type=click.DateTime(), help="Only tasks created before then (UTC).")
@format_option
def explain(
    *,
    mart: str | None,
    where: str | None,
    operation_id: str | None,
    since: datetime | None,
    until: datetime | None,
    output_format: str,
) -> None:
    """Where a number comes from: the tasks behind it, their records as received, the responses that brought them."""
    from pipelines.explain import explain as explain_rows  # noqa: PLC0415
    from pipelines.explain import explain_record  # noqa: PLC0415

    if (mart is None) == (operation_id is None):
        raise click.UsageError("Say what to explain: --mart NAME, with --where, or --record OPERATION_ID.")
    if operation_id is not None:
        if where or since or until:
            raise click.UsageError("--record shows one task: --where, --since and --until don't go with it.")
        _show_history(explain_record(existing_warehouse(), operation_id), output_format)
        return
    refuse_empty_window(since, until)
    limit = SHOWN_TASKS if output_format == "table" else None
    settings = load_settings()
    explanation = explain_rows(
        existing_warehouse(settings),
        mart or "",
        where or "true",
        since=since,
        until=until,
        limit=limit,
        memory_limit=settings.memory_limit,
    )
    _show_explanation(explanation, output_format)


def _show_explanation(explanation: Explanation, output_format: str) -> None:
    from pipelines.output import show  # noqa: PLC0415

    if output_format == "csv":
        show(explanation.tasks, "csv")
        return
    if output_format == "json":
        _print_json(
            snapshot=explanation.snapshot,
            query=explanation.query,
            file=f"sql/marts/{explanation.model.path.name}",
            sql=explanation.model.sql,
            rows=explanation.rows.dicts(),
            sums=explanation.sums,
            tasks=[_with_record(row) for row in explanation.tasks.dicts()],
        )
        return
    sums = explanation.sums
    _say_snapshot(explanation.snapshot)
    click.echo(f"Query: {explanation.query}")
    show(explanation.rows, "table")
    received = (sums["success_received"], sums["finished_received"])
    missing = sums["operations"] - sums["records"]
    are_same = "the same" if received == (sums["success"], sums["finished"]) else "NOT the same"
    click.echo(
        f"Behind it: {sums['operations']:,} tasks, {sums['success']:,} successes among {sums['finished']:,} finished "
        f"devices. Their records as received, from {sums['responses']:,} responses, add up to {received[0]:,} among "
        f"{received[1]:,}: {f'the records of {missing:,} tasks are not kept' if missing else are_same}."
    )
    show(_without(explanation.tasks, _WIDE), "table")
    if sums["operations"] > SHOWN_TASKS:
        click.echo(
            f"{sums['operations'] - SHOWN_TASKS:,} more tasks: `--format csv` or `json` lists all, with records."
        )
    click.echo(f"\nMade by sql/marts/{explanation.model.path.name}:\n\n{explanation.model.sql}")


def _show_history(history: TaskHistory, output_format: str) -> None:
    from pipelines.output import show  # noqa: PLC0415

    if output_format == "csv":
        show(history.states, "csv")
        return
    if output_format == "json":
        _print_json(
            snapshot=history.snapshot,
            task=history.task,
            record=history.record and _with_record(history.record),
            set_aside=history.set_aside and _with_record(history.set_aside),
            states=[_with_record(row) for row in history.states.dicts()],
        )
        return
    _say_snapshot(history.snapshot)
    _show_values("Task", history.task)
    _show_values("Its record, as received", history.record)
    _show_values("A record that is set aside", history.set_aside)
    if history.states.rows:
        click.echo("\nStates that syncs met:")
        show(_without(history.states, ("record",)), "table")


def _show_values(title: str, values: dict[str, Any] | None) -> None:
    from pipelines.output import visible  # noqa: PLC0415

    if values is None:
        return
    click.echo(f"\n{title}:")
    for name, value in values.items():
        if name == "record":
            click.echo(visible(json.dumps(_parsed(value), indent=2, ensure_ascii=False)))
        elif value is not None:
            click.echo(f"  {name:<20} {visible(str(value))}")


def _say_snapshot(snapshot: dict[str, Any]) -> None:
    click.echo(
        f"Publication {snapshot['publication']} of {snapshot['published_at']:%Y-%m-%d %H:%M:%S} UTC, with what sync "
        f"{snapshot['sync_id']} observed at {snapshot['observed_at']} UTC.\n"
        f"Grade: {snapshot['grade']} ({snapshot['grade_evidence'] or 'its evidence is not kept'})."
    )


def _with_record(row: dict[str, Any]) -> dict[str, Any]:
    return row | {"record": _parsed(row["record"])}


def _parsed(record: str | None) -> object:
    """A record as JSON; one that is none stays text."""
    try:
        return json.loads(record) if record is not None else None
    except ValueError:
        return record


def _without(result: Result, names: tuple[str, ...]) -> Result:
    kept = [index for index, name in enumerate(result.columns) if name not in names]
    return replace(
        result,
        columns=[result.columns[index] for index in kept],
        rows=[tuple(row[index] for index in kept) for row in result.rows],
    )


def _print_json(**values: object) -> None:
    click.echo(json.dumps(values, indent=2, default=str, ensure_ascii=False))
