"""The command `iodm`: arguments in, exit codes out. What the commands do is in the modules that they call.

Data goes to stdout, progress and logs to stderr. Every error is one line that ends with the next thing to try; a
traceback only with `--debug`.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import sys
from dataclasses import asdict
from io import TextIOWrapper

import click
import msgspec

from pipelines.cli_answers import check, existing_warehouse, report, show_report, sql, status
from pipelines.cli_backtest import backtest
from pipelines.cli_explain import explain
from pipelines.errors import IodmError, StorageError
from pipelines.progress import reporting
from pipelines.settings import load_settings
from pipelines.warehouse import Warehouse, open_warehouse, storage_errors

UNEXPECTED = 70  # EX_SOFTWARE of sysexits.h: a fault of this program, not of what it was given
INTERRUPTED = 130  # what a shell says of a program that Ctrl-C ended
READER_LEFT = 141  # what a shell says of a program whose reader had enough, as in `iodm report | head -1`


log = logging.getLogger("iodm")


class _Commands(click.Group):
    """Loads the simulator only for those who ask for it: it takes as long to import as everything else."""

    def invoke(self, ctx: click.Context) -> int | None:
        """Run a command; where nobody reads on, click would end with 1, which is a failed check."""
        code = None
        try:
            code = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            code = code or READER_LEFT
        return code

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All commands, the simulator's among them."""
        return sorted([*super().list_commands(ctx), "simulate"])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """One command."""
        if cmd_name == "simulate":
            from simulator.cli import simulate  # noqa: PLC0415 - see above

            return simulate
        return super().get_command(ctx, cmd_name)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="iodm-warehouse")
@click.option("--debug", is_flag=True, help="Show tracebacks and every log line.")
def cli(*, debug: bool) -> None:
    """Every OTA upgrade task of an IoT platform, complete and fresh, in one DuckDB file.

    Settings come from IODM_* in the environment or from .env; see the README. New here? Try `iodm demo`.
    """
    logging.basicConfig(
        level=logging.DEBUG if debug else logging.WARNING,
        format="%(asctime)s %(levelname)s %(message)s",
        stream=sys.stderr,
    )
    log.setLevel(logging.DEBUG if debug else logging.INFO)
    logging.getLogger("urllib3").setLevel(logging.WARNING)


@cli.command()
def demo() -> None:
    """Start a simulated platform, sync it over some simulated days, print the report."""
    from pipelines.demo import run_demo  # noqa: PLC0415 - the simulator is loaded only where it is used

    with reporting() as reporter:
        settings = run_demo(load_settings(), reporter, lambda text: click.echo(text, err=True))
    warehouse = open_warehouse(settings)
    show_report(warehouse, "success_by_model", None, None, "table")
    click.echo("\nWhere to go next:")
    program = "iodm" if shutil.which("iodm") else sys.argv[0]
    for arguments in (
        "report --by version",
        "report --html upgrades.html",
        'sql "from marts.success_by_day"',
        "status",
    ):
        click.echo(f"  IODM_WAREHOUSE={settings.warehouse} {program} {arguments}")
    click.echo(f"  {_open_line(warehouse)}")


@cli.command()
@click.option("--full", is_flag=True, help="Read the whole list, not just what changed; a first sync always does.")
@click.option(
    "--accept-removals",
    is_flag=True,
    help="With --full: mark tasks that are gone as removed, however many they are.",
)
@click.option(
    "--strict",
    is_flag=True,
    help="Exit with 1 on warnings, quarantined records or an unproven grade; publishes all the same.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
def sync(*, full: bool, accept_removals: bool, strict: bool, as_json: bool) -> int:
    """Read what changed on the platform since the last sync, and publish the result."""
    from pipelines.hold import summary_of_hold  # noqa: PLC0415
    from pipelines.run import sync as run_sync  # noqa: PLC0415 - keeps `iodm report` quick

    if accept_removals and not full:
        raise click.UsageError("--accept-removals goes with --full: only a full sync looks for all of them.")
    settings = load_settings()
    with reporting() as reporter:
        extraction, publication = run_sync(
            settings,
            reporter,
            is_full=full,
            accept_removals=accept_removals,
            announce=lambda text: click.echo(text, err=True),
        )
    manifest = extraction.manifest
    warehouse = open_warehouse(settings)
    warnings = [check for check in publication.checks if not check.passed] if publication else []
    summary = {**msgspec.to_builtins(manifest), "waited_seconds": round(extraction.waited_seconds, 1)}
    summary |= {"publication": publication.number if publication else None, "held": summary_of_hold(warehouse)}
    if publication:
        summary |= {
            "file": str(publication.file),
            "rows": publication.rows,
            "changed_months": publication.changed_months,
        }
    summary |= {"warnings": {check.name: check.offending_rows for check in warnings}}
    if as_json:
        click.echo(json.dumps(summary, indent=2))
    else:
        click.echo(
            f"Sync {manifest.sync_id} ({manifest.mode}): {manifest.grade} ({manifest.grade_evidence}); "
            f"{manifest.api_calls:,} calls, {manifest.records:,} records."
        )
        click.echo(
            f"Published {publication.rows['operations']:,} tasks with "
            f"{publication.rows['operation_targets']:,} targets as number {publication.number}."
            if publication
            else "Nothing was published: the responses are kept for later."
        )
        click.echo(f"Open it read-only: {_open_line(warehouse)}")
    if summary["held"]:
        click.echo(f"{summary['held']['message']}.", err=True)
    _say_warnings(manifest.grade, manifest.quarantined, {check.name: check.offending_rows for check in warnings})
    return int(strict and bool(warnings or manifest.quarantined or manifest.grade == "unproven"))


@cli.command()
def plan() -> None:
    """How many calls and minutes the next sync will need; makes six count probes."""
    from pipelines.output import plan_lines  # noqa: PLC0415
    from pipelines.run import plan as run_plan  # noqa: PLC0415 - keeps `iodm report` quick

    for line in plan_lines(*run_plan(load_settings())):
        click.echo(line)


@cli.command()
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


@cli.command()
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
    click.echo(f"Open it read-only: {_open_line(warehouse)}")


@cli.command()
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


@cli.command()
@click.option(
    "--keep-days",
    type=click.IntRange(min=0),
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


def _open_line(warehouse: Warehouse) -> str:
    return f"duckdb -readonly {warehouse.link}"


def _say_warnings(grade: str, quarantined: int, warnings: dict[str, int]) -> None:
    if grade == "unproven":
        click.echo(
            "UNPROVEN: the tasks met are not as many as the platform says there are. The next sync tries again.",
            err=True,
        )
    if quarantined:
        click.echo(
            f'{quarantined:,} records are not tasks and were set aside: `iodm sql "from core.quarantine"`.', err=True
        )
    for name, rows in warnings.items():
        click.echo(f"Warning: check {name} found {rows:,} rows.", err=True)


for command in (report, status, sql, check, explain, backtest):
    cli.add_command(command)


def main() -> None:
    """Run the command line and exit with the code of what happened."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a terminal without UTF-8 shows what it can
    elif sys.stdout is None:  # closed, as in `iodm sync >&-`
        sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115
    code = _run([argument for argument in sys.argv[1:] if argument != "--debug"], is_debugging="--debug" in sys.argv)
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python would try again, and complain
    sys.exit(code)


def _run(arguments: list[str], *, is_debugging: bool) -> int:
    try:
        with storage_errors(
            "write what this prints", "Send it elsewhere"
        ):  # the warehouse's files have errors of their own
            code = cli.main(["--debug"] * is_debugging + arguments, prog_name="iodm", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("Interrupted; what was published is still served.", err=True)
        return INTERRUPTED
    except IodmError as error:
        if is_debugging:
            raise
        click.echo(f"Error: {error}.", err=True)
        return error.exit_code
    except Exception as error:  # what no one foresaw; a traceback is for those who ask for it
        if is_debugging:
            raise
        click.echo(
            f"Error: unexpected {type(error).__name__}: {error}. Run it again with --debug, and report it.", err=True
        )
        return UNEXPECTED
    return code or 0
