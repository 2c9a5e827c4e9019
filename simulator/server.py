"""A Platform on http or https: binds, says that it is ready, serves until it is told to stop."""

import socket
import ssl
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec
import uvicorn

from simulator.app import Protocol, make_app
from simulator.certificates import Certificates, make_certificates
from simulator.platform import Platform

_SAVE_SECONDS = 1.0


@dataclass(frozen=True, kw_only=True)
class Address:
    """Where and how to serve. `tls_folder`: where the certificates go; with `tls` only."""

    host: str = "127.0.0.1"
    port: int = 8743
    tls: bool = False
    tls_folder: Path = Path()
    certificate_name: str = ""
    client_certificate: bool = False


class Ready(msgspec.Struct, frozen=True):
    """What a client needs to know; the ready line is this as JSON."""

    base_url: str
    app_id: str
    secret: str
    ca_file: str | None = None
    client_cert: str | None = None
    client_key: str | None = None
    tls_server_name: str | None = None

    def settings(self) -> dict[str, str]:
        """The same as settings of the client."""
        named = {
            "IODM_BASE_URL": self.base_url,
            "IODM_APP_ID": self.app_id,
            "IODM_SECRET": self.secret,
            "IODM_CA_FILE": self.ca_file,
            "IODM_CLIENT_CERT": self.client_cert,
            "IODM_CLIENT_KEY": self.client_key,
            "IODM_TLS_SERVER_NAME": self.tls_server_name,
        }
        return {name: value for name, value in named.items() if value}


class _Server(uvicorn.Server):
    """Announces itself once it listens; saves where simulated time stands."""

    def __init__(self, config: uvicorn.Config, announce: Callable[[], None], save: Callable[[], None]) -> None:
        super().__init__(config)
        self._announce, self._save = announce, save

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then say so."""
        await super().startup(sockets)
        self._announce()

    async def on_tick(self, counter: int) -> bool:
        """Called by uvicorn ten times a second."""
        if counter % int(10 * _SAVE_SECONDS) == 0:
            self._save()
        return await super().on_tick(counter)


def serve(
    platform: Platform,
    address: Address,
    announce: Callable[[Ready], None],
    *,
    state_file: Path | None = None,
    until_stdin_closes: bool = False,
) -> None:
    """Serve until a signal comes, or until standard input closes. Raises OSError if the address is not free."""
    listener = socket.create_server(
        (address.host, address.port), family=socket.AF_INET6 if ":" in address.host else socket.AF_INET
    )
    certificates = make_certificates(address.tls_folder, address.certificate_name) if address.tls else None
    ready = _ready(platform, address, listener.getsockname()[1], certificates)

    saved: list[tuple[int, int]] = []

    def save() -> None:
        """Only what speed and real time don't tell: jumps and interventions."""
        changes = (platform.world.time.jumps, len(platform.world.journal))
        if state_file is not None and saved != [changes]:
            platform.state().save(state_file)
            saved[:] = [changes]

    server = _Server(_config(platform, address, certificates), lambda: announce(ready), save)
    if until_stdin_closes:
        threading.Thread(target=_stop_when_stdin_closes, args=(server,), daemon=True).start()
    try:
        server.run(sockets=[listener])
    finally:
        listener.close()
        save()


def _config(platform: Platform, address: Address, certificates: Certificates | None) -> uvicorn.Config:
    is_required = certificates and address.client_certificate
    return uvicorn.Config(
        make_app(platform),
        http=Protocol,
        ws="none",
        lifespan="off",
        log_level="warning",
        access_log=False,
        server_header=False,
        date_header=False,  # the platform's own is simulated time
        timeout_keep_alive=75,
        timeout_graceful_shutdown=1,
        ssl_certfile=str(certificates.server_file) if certificates else None,
        ssl_ca_certs=str(certificates.ca_file) if is_required and certificates else None,
        ssl_cert_reqs=ssl.CERT_REQUIRED if is_required else ssl.CERT_NONE,
    )


def _ready(platform: Platform, address: Address, port: int, certificates: Certificates | None) -> Ready:
    host = f"[{address.host}]" if ":" in address.host else address.host
    ready = Ready(f"{'https' if certificates else 'http'}://{host}:{port}", platform.app_id, platform.secret)
    if not certificates:
        return ready
    is_asked = address.client_certificate
    return msgspec.structs.replace(
        ready,
        ca_file=str(certificates.ca_file),
        client_cert=str(certificates.client_cert) if is_asked else None,
        client_key=str(certificates.client_key) if is_asked else None,
        tls_server_name=address.certificate_name or None,
    )


def _stop_when_stdin_closes(server: uvicorn.Server) -> None:
    sys.stdin.buffer.read()
    server.should_exit = True
