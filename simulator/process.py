"""The simulator as a child process, for tests that want real HTTP, real latency and a real neighbour."""

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import fields
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from simulator.dials import Dials
from simulator.faults import Fault
from simulator.remote import RemoteControl
from simulator.server import Ready

_PATIENCE_SECONDS = 10.0


class SimulatorProcess(RemoteControl):
    """Starts `python -m simulator` at a free port, and always ends it.

        with SimulatorProcess(Dials(tasks=500, throttle=0)) as simulator:
            requests.get(simulator.base_url + ...)

    Inside the block it has the fields of `Ready` (`base_url`, `app_id`, `secret`, `ca_file`, ...) and the calls of
    `RemoteControl`. The child also ends when its parent dies, because its standard input closes then.

    Args:
        dials: How it behaves.
        faults: The fault plan from the first call on.
        prerender, tls, certificate_name, client_certificate, tls_folder, state_file, port: as on the command line.
    """

    def __init__(
        self,
        dials: Dials | None = None,
        faults: Sequence[Fault] = (),
        *,
        prerender: bool = False,
        tls: bool = False,
        certificate_name: str = "",
        client_certificate: bool = False,
        tls_folder: Path | None = None,
        state_file: Path | None = None,
        port: int = 0,
    ) -> None:
        self._faults = tuple(faults)
        flags = {"--prerender": prerender, "--tls": tls, "--client-certificate": client_certificate}
        paths = {"--tls-folder": tls_folder, "--state": state_file}
        values = {name: path.absolute() for name, path in paths.items() if path}
        self._arguments = [
            *_dial_arguments(dials or Dials()),
            f"--port={port}",
            *(flag for flag, is_set in flags.items() if is_set),
            f"--certificate-name={certificate_name}",
            *(f"{name}={value}" for name, value in values.items()),
        ]

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            errors = stack.enter_context(tempfile.TemporaryFile())
            self._child = subprocess.Popen(  # noqa: S603 - our own program
                [sys.executable, "-m", "simulator", "--until-stdin-closes", *self._arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                cwd=Path(__file__).parent.parent,
            )
            stack.callback(self._end_child)
            line = self._child.stdout.readline() if self._child.stdout else b""
            if not line:
                self._child.wait()
                errors.seek(0)
                raise RuntimeError(f"the simulator did not start: {errors.read().decode()}")
            self.ready = msgspec.json.decode(line, type=Ready)
            super().__init__(self.ready)
            stack.callback(self.close)
            if self._faults:
                self.set_faults(self._faults)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def _end_child(self) -> None:
        """Politely, then by force."""
        if self._child.stdin:
            self._child.stdin.close()
        try:
            self._child.wait(_PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
        if self._child.stdout:
            self._child.stdout.close()

    def kill(self) -> None:
        """End the child at once, as a crash would."""
        self._child.kill()
        self._child.wait()

    @property
    def base_url(self) -> str:
        """Where it serves."""
        return self.ready.base_url

    @property
    def app_id(self) -> str:
        """What a client logs in with."""
        return self.ready.app_id

    @property
    def secret(self) -> str:
        """What a client logs in with."""
        return self.ready.secret

    @property
    def ca_file(self) -> str | None:
        """What a client verifies the server with; None on http."""
        return self.ready.ca_file

    @property
    def client_cert(self) -> str | None:
        """What a client presents, if it must."""
        return self.ready.client_cert

    @property
    def client_key(self) -> str | None:
        """The key of `client_cert`."""
        return self.ready.client_key

    @property
    def tls_server_name(self) -> str | None:
        """The host name in the certificate, if it is not the address."""
        return self.ready.tls_server_name

    @property
    def settings(self) -> dict[str, str]:
        """The `IODM_…` settings of a client."""
        return self.ready.settings()


def _dial_arguments(dials: Dials) -> list[str]:
    """The options that give these dials."""
    arguments = []
    for dial in fields(Dials):
        name, value = dial.name.replace("_", "-"), getattr(dials, dial.name)
        if isinstance(value, bool):
            arguments.append(f"--{name}" if value else f"--no-{name}")
        elif value != dial.default:
            arguments.append(f"--{name}={value}")
    return arguments
