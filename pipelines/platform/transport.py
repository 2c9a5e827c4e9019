"""The HTTP session: TLS that is always verified, time-outs, a pool for the workers. No tokens, no retries here."""

from __future__ import annotations

import contextlib
import functools
import ssl
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.connectionpool import ConnectionPool

from pipelines.errors import SettingsError
from pipelines.settings import Settings

CONNECT_TIMEOUT_SECONDS = 10.0
POOL_SIZE = 8
POSSIBLE_YEARS = range(1970, 2101)


class _OneHostAdapter(HTTPAdapter):
    """All calls go to one host: its connections are looked up once, which takes a twentieth off a crawl.

    Expects another host name in the certificate than the one in the URL, where that is a bare address.
    """

    def __init__(self, server_name: str | None) -> None:
        self._server_name = server_name
        self._connections: ConnectionPool | None = None
        super().__init__(pool_connections=2, pool_maxsize=POOL_SIZE)

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401 - requests' own signature
        if self._server_name:
            options |= {"server_hostname": self._server_name, "assert_hostname": self._server_name}
        super().init_poolmanager(*arguments, **options)

    def get_connection_with_tls_context(self, *arguments: Any, **options: Any) -> ConnectionPool:  # noqa: ANN401 - as above
        self._connections = self._connections or super().get_connection_with_tls_context(*arguments, **options)
        return self._connections

    def request_url(self, request: requests.PreparedRequest, _proxies: Mapping[str, str] | None) -> str:
        return request.path_url  # the whole URL is for a proxy of plain http, of which there is none


Send = Callable[[requests.PreparedRequest], requests.Response]


def open_transport(settings: Settings, session: requests.Session | None = None) -> Send:
    """Return what sends a request; its response has the body still unread. A given `session` keeps its adapters.

    It goes to the adapter and past the session: no cookies, no redirects that would carry a token elsewhere, no line of
    ~/.netrc in place of our token. Nor does it go through a proxy that would read along: plain http stays on this host.

    Raises:
        SettingsError: a TLS file can't be used.
    """
    _check_tls_files(settings)
    if session is None:
        session = requests.Session()
        session.mount("https://", _OneHostAdapter(settings.tls_server_name))
        session.mount("http://", _OneHostAdapter(None))
    url = settings.base_url or ""
    verify = str(settings.ca_file) if settings.ca_file else True
    cert = _client_certificate(settings)
    options: dict[str, Any] = {**session.merge_environment_settings(url, {}, True, verify, cert)}  # noqa: FBT003
    if url.lower().startswith("http://"):
        options["proxies"] = {}
    timeout = (min(CONNECT_TIMEOUT_SECONDS, settings.timeout_seconds), settings.timeout_seconds)
    return functools.partial(session.get_adapter(f"{url}/").send, timeout=timeout, **options)


def prepare(
    method: str, url: str, headers: Mapping[str, str], data: Mapping[str, str] | str | None
) -> requests.PreparedRequest:
    """As `requests.Request.prepare`, in a quarter of the time for a GET: without cookies, hooks and an empty body."""
    request = requests.PreparedRequest()
    request.prepare_method(method)
    request.prepare_url(url, None)
    request.prepare_headers(headers)
    if data is not None:
        request.prepare_body(data, None)
    return request


def read_body(answer: requests.Response, deadline: float) -> bytes:
    """The whole body, until a moment of the monotonic clock: a byte now and then is a time-out too."""
    chunks = []
    while chunk := answer.raw.read1(1 << 20, decode_content=True):
        chunks.append(chunk)
        if time.monotonic() > deadline:
            raise requests.ReadTimeout("the body took longer than IODM_TIMEOUT_SECONDS")
    return b"".join(chunks)


def date_of(answer: requests.Response) -> datetime:
    """The platform's clock; this machine's where it gives none that can be right."""
    with contextlib.suppress(KeyError, ValueError, OverflowError):
        date = parsedate_to_datetime(answer.headers["Date"]).astimezone(UTC)
        if date.year in POSSIBLE_YEARS:
            return date
    return datetime.now(UTC)


def _client_certificate(settings: Settings) -> str | tuple[str, str] | None:
    if settings.client_cert is None:
        return None
    return (str(settings.client_cert), str(settings.client_key)) if settings.client_key else str(settings.client_cert)


def _check_tls_files(settings: Settings) -> None:
    """Requests would notice only at the first call, with a traceback, or ask for a key's password on the terminal."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        if settings.ca_file:
            context.load_verify_locations(settings.ca_file)
    except (ssl.SSLError, OSError) as error:
        raise SettingsError(
            f"IODM_CA_FILE: {settings.ca_file} is not a file of certificates ({error})",
            advice="Give the CA in PEM format",
        ) from None
    try:
        if settings.client_cert:
            context.load_cert_chain(settings.client_cert, settings.client_key, password="")
    except (ssl.SSLError, OSError) as error:
        raise SettingsError(
            f"IODM_CLIENT_CERT: {settings.client_cert} and its key can't be used ({error})",
            advice="Give certificate and key in PEM format, the key without a password",
        ) from None
