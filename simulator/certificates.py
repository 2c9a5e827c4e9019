"""A certificate authority made at the start, a certificate for the server, and one for a client."""

from dataclasses import dataclass
from pathlib import Path

import trustme

_ADDRESSES = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class Certificates:
    """Files in PEM."""

    ca_file: Path
    server_file: Path
    client_cert: Path
    client_key: Path


def make_certificates(folder: Path, name: str = "") -> Certificates:
    """Make all of them in a folder. `name`: the only one in the server's certificate; default: the local addresses."""
    folder.mkdir(parents=True, exist_ok=True)
    made = Certificates(folder / "ca.pem", folder / "server.pem", folder / "client.pem", folder / "client.key")
    authority = trustme.CA(organization_name="Simulated IoT platform")
    authority.cert_pem.write_to_path(str(made.ca_file))
    server = authority.issue_cert(*((name,) if name else _ADDRESSES))
    server.private_key_and_cert_chain_pem.write_to_path(str(made.server_file))
    client = authority.issue_cert("client@simulator.invalid")
    client.private_key_pem.write_to_path(str(made.client_key))
    for number, part in enumerate(client.cert_chain_pems):
        part.write_to_path(str(made.client_cert), append=number > 0)
    return made
