"""Commands that look after a warehouse: whether all is well, made anew, one publication back, old responses dropped."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict

import click

from pipelines.cli_answers import existing_warehouse, open_line
from pipelines.errors import StorageError
from pipelines.progress import reporting
from pipelines.settings import load_settings


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def doctor(*, as_json: bool) -> int:
    """Look at settings, disk, lock, published file, TLS, login and quota; makes a login and one count probe."""
    from pipelines.doctor import diagnose  # noqa: PLC0415

    findings = []
    for finding in diagnose():
        findings.append(finding)
        if not as_json:
            click.echo(f"{finding.result:<5} {finding.item:<15} {finding.text}")
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in findings], indent=2))
    return next((finding.exit_code for finding in findings if finding.exit_code), 0)


@click.command()
def rebuild() -> None:
    """Make lake and published file again from the raw store, without a call to the platform."""
    from pipelines.run import refresh  # noqa: PLC0415

    settings = load_settings()
    warehouse = existing_warehouse(settings)
    with reporting() as reporter:
        publication = refresh(settings, reporter, from_scratch=True)
    click.echo(
        f"Rebuilt {publication.rows['operations']:,} tasks from {publication.syncs_applied:,} syncs, "
        f"published as number {publication.number}."
    )
    click.echo(f"Open it read-only: {open_line(warehouse)}")


@click.command()
@click.option("--release", is_flag=True, help="End it: publish all that was read meanwhile.")
def rollback(*, release: bool) -> None:
    """Serve the previous published file, and publish nothing until it is released; asked again, one further back."""
    from pipelines import run  # noqa: PLC0415

    settings = load_settings()
    if release:
        with reporting() as reporter:
            publication = run.release(settings, reporter)
        click.echo(f"Released: {publication.rows['operations']:,} tasks are served as number {publication.number}.")
        return
    hold = run.rollback(settings)
    click.echo(
        f"Publication {hold.to_publication} is served again. `iodm sync` goes on reading, but publishes nothing."
    )
    click.echo("To publish again: `iodm rollback --release`.")


@click.command()
@click.option(
    "--keep-days",
    type=click.IntRange(0, 100_000),
    required=True,
    help="Keep what is younger than so many days, by the platform's clock.",
)
@click.option("--yes", is_flag=True, help="Don't ask.")
def prune(*, keep_days: int, yes: bool) -> None:
    """Drop old raw responses; tasks, history and syncs stay, and `iodm rebuild` still makes them all."""
    from pipelines.extract.raw import newest_sync  # noqa: PLC0415
    from pipelines.hold import refuse_while_held  # noqa: PLC0415
    from pipelines.prune import plan  # noqa: PLC0415
    from pipelines.run import prune as run_prune  # noqa: PLC0415

    settings = load_settings()
    warehouse = existing_warehouse(settings)
    refuse_while_held(warehouse)
    if newest_sync(warehouse) is None:
        raise StorageError(
            f"there is no committed sync in {warehouse.raw}",
            advice="Run `iodm sync` first, or set IODM_WAREHOUSE to where the data is",
        )
    todo = plan(warehouse, keep_days)
    if not todo.folders:
        click.echo(
            f"Nothing to drop: no sync that is {keep_days} days old lies before the last whole reading, "
            "which the next sync looks back to."
        )
        return
    click.echo(f"This drops {todo.describe()}.", err=True)
    if not yes:
        if not sys.stdin.isatty():
            raise click.UsageError("There is no terminal to ask at: add --yes to go on.")
        click.confirm("Tasks, history and syncs stay; the responses can't be read again. Go on?", abort=True, err=True)
    with reporting() as reporter:
        freed = run_prune(settings, reporter, keep_days, up_to=todo.syncs[-1][1].sync_id if todo.syncs else 0)
    click.echo(f"Freed {freed / 1e6:,.1f} MB.")
