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
from io import TextIOWrapper

import click
import msgspec

from pipelines.cli_answers import check, open_line, report, show_report, sql, status
from pipelines.cli_backtest import backtest
from pipelines.cli_explain import explain
from pipelines.cli_upkeep import doctor, prune, rebuild, rollback
from pipelines.errors import IodmError
from pipelines.progress import reporting
from pipelines.settings import load_settings
from pipelines.warehouse import open_warehouse, storage_errors

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
    click.echo(f"  {open_line(warehouse)}")


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
        click.echo(f"Open it read-only: {open_line(warehouse)}")
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


for command in (report, status, sql, check, explain, backtest, doctor, rebuild, rollback, prune):
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
