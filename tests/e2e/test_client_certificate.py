"""A platform that wants a client certificate: what works, and the one line that says why something else does not."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives import serialization

from simulator.process import SimulatorProcess
from support.commands import FROZEN, Iodm

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def platform(tmp_path_factory):
    with SimulatorProcess(
        replace(FROZEN, tasks=30), tls=True, client_certificate=True, tls_folder=tmp_path_factory.mktemp("tls")
    ) as simulator:
        yield simulator


@pytest.fixture
def command(tmp_path, platform):
    return Iodm(tmp_path, platform.settings | {"IODM_TIMEOUT_SECONDS": 0.2})


def of_another_authority(folder: Path) -> dict[str, Path]:
    certificate = trustme.CA().issue_cert("client@example.com")
    certificate.private_key_pem.write_to_path(folder / "other.key")
    certificate.cert_chain_pems[0].write_to_path(folder / "other.pem")
    return {"IODM_CLIENT_CERT": folder / "other.pem", "IODM_CLIENT_KEY": folder / "other.key"}


def test_with_its_certificate_a_sync_works_in_two_files_or_one(command, platform, tmp_path):
    command.ok("sync", IODM_TIMEOUT_SECONDS=30)
    both = tmp_path / "both.pem"
    both.write_bytes(Path(platform.client_cert).read_bytes() + Path(platform.client_key).read_bytes())
    command.ok("sync", IODM_CLIENT_CERT=both, IODM_CLIENT_KEY=None, IODM_TIMEOUT_SECONDS=30)
    assert "its certificate is verified" in command.ok("doctor", IODM_TIMEOUT_SECONDS=30)


@pytest.mark.parametrize("which", ["none", "another authority's"])
def test_without_it_or_with_a_wrong_one_the_platform_ends_the_sync_and_the_advice_names_it(command, tmp_path, which):
    none = {"IODM_CLIENT_CERT": None, "IODM_CLIENT_KEY": None}
    settings = none if which == "none" else of_another_authority(tmp_path)
    line = command.fails(3, "sync", **settings)
    assert "check IODM_CLIENT_CERT and IODM_CLIENT_KEY" in line


def test_what_can_not_be_a_certificate_and_its_key_is_a_wrong_setting(command, platform, tmp_path):
    key = serialization.load_pem_private_key(Path(platform.client_key).read_bytes(), None)
    encrypted = tmp_path / "encrypted.key"
    encrypted.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"password"),
        )
    )
    for wrong in (
        {"IODM_CLIENT_KEY": encrypted},
        {"IODM_CLIENT_CERT": platform.client_key, "IODM_CLIENT_KEY": platform.client_cert},
        {"IODM_CLIENT_KEY": of_another_authority(tmp_path)["IODM_CLIENT_KEY"]},
        {"IODM_CLIENT_KEY": None},
    ):
        line = command.fails(2, "sync", **wrong)
        assert "IODM_CLIENT_CERT" in line
        assert "without a password" in line
    assert "no such file" in command.fails(2, "sync", IODM_CLIENT_KEY=tmp_path / "missing.key")


@contextlib.contextmanager
def server_that_says_why(folder: Path) -> Iterator[dict[str, str]]:
    """Ends each handshake with a TLS alert, as nginx does; uvicorn only closes the connection. Gives the settings."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    context.maximum_version = ssl.TLSVersion.TLSv1_2  # later the alert can be lost with the connection
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def refuse() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    with connection, contextlib.suppress(OSError):
                        context.wrap_socket(connection, server_side=True)

        threading.Thread(target=refuse, daemon=True).start()
        url = f"https://127.0.0.1:{listener.getsockname()[1]}"
        yield {"IODM_BASE_URL": url, "IODM_CA_FILE": str(folder / "ca.pem"), "IODM_APP_ID": "a", "IODM_SECRET": "s"}
        listener.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("which", ["none", "another authority's"])
def test_a_server_that_says_why_is_believed_at_once(tmp_path, which):
    with server_that_says_why(tmp_path) as settings:
        given = {} if which == "none" else of_another_authority(tmp_path)
        line = Iodm(tmp_path, settings | given).fails(3, "sync")
    assert "refused the TLS handshake" in line
    assert "check IODM_CLIENT_CERT and IODM_CLIENT_KEY" in line
