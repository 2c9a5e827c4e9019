"""The command `simulate`: every dial as an option, a ready line for programs, a short text for people."""

import signal
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args, get_type_hints

import click
import msgspec

from simulator import faults, state
from simulator.dials import Dials
from simulator.platform import Platform
from simulator.server import Address, Ready, serve

_HINTS = get_type_hints(Dials, include_extras=True)
_SERVE = "Serving"


class _GroupedOption(click.Option):
    """An option that knows under which heading it is shown."""

    def __init__(self, names: Sequence[str], group: str = _SERVE, **arguments: Any) -> None:  # noqa: ANN401 - passed on
        super().__init__(names, **arguments)
        self.group = group


class _GroupedCommand(click.Command):
    """A command whose help has a heading for each group of options."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, group by group."""
        groups: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record:
                groups.setdefault(getattr(parameter, "group", _SERVE), []).append(record)
        for group, records in groups.items():
            with formatter.section(group):
                formatter.write_dl(records, col_max=32)


def _with_dials(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add an option for every field of `Dials`."""
    for dial in reversed(fields(Dials)):
        hint, about = get_args(_HINTS[dial.name])
        name = dial.name.replace("_", "-")
        choices = [value for value in get_args(hint) if isinstance(value, str)]
        is_flag = hint is bool
        declaration = f"--{name}/--no-{name}" if is_flag else f"--{name}"
        command = click.option(
            declaration,
            dial.name,
            cls=_GroupedOption,
            group=about.group,
            help=about.text,
            type=click.Choice(choices) if choices else hint,
            default=dial.default,
            show_default=dial.default != "",
        )(command)
    return command


def _option(*names: str, **arguments: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:  # noqa: ANN401
    return click.option(*names, cls=_GroupedOption, **arguments)


@click.command("simulate", cls=_GroupedCommand, context_settings={"show_default": True, "max_content_width": 120})
@_option("--host", default="127.0.0.1", help="Address to listen at.")
@_option("--port", type=click.IntRange(0, 65535), default=8743, help="Port to listen at (0: any free one).")
@_option("--tls", is_flag=True, help="Serve https, with a certificate made at the start.")
@_option(
    "--tls-folder", type=click.Path(path_type=Path), help="Where the certificates go. Default: a temporary folder."
)
@_option(
    "--certificate-name",
    default="",
    show_default=False,
    help="The only host name in the certificate. Default: the local addresses.",
)
@_option("--client-certificate", is_flag=True, help="Require a client certificate, and make one.")
@_option("--faults", "faults_file", type=click.Path(exists=True, path_type=Path), help="Fault plan, a JSON file.")
@_option(
    "--state",
    "state_file",
    type=click.Path(path_type=Path),
    help="File in which simulated time and interventions outlive a restart.",
)
@_option(
    "--prerender",
    is_flag=True,
    help="Render all tasks before the ready line: pages come faster, at 1 kB of memory a task.",
)
@_option("--until-stdin-closes", is_flag=True, hidden=True)
@_with_dials
def simulate(
    *,
    host: str,
    port: int,
    tls: bool,
    tls_folder: Path | None,
    certificate_name: str,
    client_certificate: bool,
    faults_file: Path | None,
    state_file: Path | None,
    prerender: bool,
    until_stdin_closes: bool,
    **values: Any,  # noqa: ANN401 - one for each dial, typed by click
) -> None:
    """Serve a simulated IoT platform: the documented API over a seeded fleet of upgrade tasks.

    Ctrl-C ends it. Without a terminal it prints one JSON line on standard output once it is ready.
    """
    try:
        dials = Dials(**values)
        plan = faults.parse_plan(faults_file.read_bytes()) if faults_file else []
        saved = state.load(state_file, dials) if state_file else None
        platform = Platform(dials, plan, state=saved)
    except (msgspec.DecodeError, ValueError) as error:
        raise click.UsageError(str(error)) from error
    if prerender:
        platform.prerender()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # so that what is open gets closed
    with tempfile.TemporaryDirectory(prefix="simulator-") as folder:
        address = Address(
            host=host,
            port=port,
            tls=tls,
            tls_folder=tls_folder or Path(folder),
            certificate_name=certificate_name,
            client_certificate=client_certificate,
        )
        try:
            serve(platform, address, _announce, state_file=state_file, until_stdin_closes=until_stdin_closes)
        except OSError as error:
            raise click.UsageError(f"can't serve at {host}:{port}: {error}; try --port 0") from error
        except KeyboardInterrupt:
            click.echo("Stopped.", err=True)


def _announce(ready: Ready) -> None:
    if not sys.stdout.isatty():
        click.echo(msgspec.json.encode(ready).decode())
        sys.stdout.flush()
    if sys.stderr.isatty():
        click.echo(f"Simulated IoT platform at {ready.base_url}, application {ready.app_id}. To use it:\n", err=True)
        for name, value in ready.settings().items():
            click.echo(f"  export {name}={value}", err=True)
        click.echo("\nCtrl-C ends it.", err=True)
