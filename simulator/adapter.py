"""A Platform behind `requests`, in process: no socket, no server, and a virtual clock if the test wants one.

    session = requests.Session()
    session.mount("https://", PlatformAdapter(platform, sleep=clock.sleep))

What goes wrong on the wire becomes the exception that `requests` itself would raise.
"""

import io
import threading
import time
from collections.abc import Callable, Mapping
from http.client import RemoteDisconnected, responses
from urllib.parse import unquote, urlsplit

import requests
from requests.adapters import BaseAdapter
from requests.structures import CaseInsensitiveDict
from urllib3 import HTTPResponse
from urllib3.exceptions import ProtocolError, ReadTimeoutError

from simulator.messages import Misbehaviour, Request, Response
from simulator.platform import Platform

_WELL_BEHAVED = Misbehaviour()


class PlatformAdapter(BaseAdapter):
    """Answers prepared requests from a platform. `sleep` is called for latency and stalls, with seconds."""

    def __init__(self, platform: Platform, *, sleep: Callable[[float], object] = time.sleep) -> None:
        super().__init__()
        self._platform, self._sleep = platform, sleep
        self._lock = threading.Lock()

    def send(  # noqa: PLR0917 - the signature of requests
        self,
        request: requests.PreparedRequest,
        stream: bool = False,  # noqa: ARG002, FBT001, FBT002
        timeout: float | tuple[float | None, float | None] | None = None,
        verify: bool | str = True,  # noqa: ARG002, FBT001, FBT002
        cert: object = None,  # noqa: ARG002
        proxies: Mapping[str, str] | None = None,  # noqa: ARG002
    ) -> requests.Response:
        """Answer a request as `requests.Session.send` expects it."""
        with self._lock:
            answer = self._platform.handle(_received(request))
        misbehaviour = answer.misbehaviour or _WELL_BEHAVED
        self._wait(misbehaviour.stall_seconds + self._platform.dials.latency_ms / 1000, timeout, request)
        if misbehaviour.is_reset:
            closed = RemoteDisconnected("Remote end closed connection without response")
            raise requests.exceptions.ConnectionError(ProtocolError("Connection aborted.", closed), request=request)
        return _response(request, answer, misbehaviour)

    def _wait(
        self,
        seconds: float,
        timeout: float | tuple[float | None, float | None] | None,
        request: requests.PreparedRequest,
    ) -> None:
        """Sleep until the first byte would come, or until the read times out."""
        limit = timeout[1] if isinstance(timeout, tuple) else timeout
        if limit is not None and seconds >= limit:
            self._sleep(limit)
            late = ReadTimeoutError(None, request.url or "", f"Read timed out. (read timeout={limit})")  # type: ignore[arg-type]
            raise requests.exceptions.ReadTimeout(late, request=request)
        if seconds:
            self._sleep(seconds)

    def close(self) -> None:
        """Nothing to close."""


def _received(request: requests.PreparedRequest) -> Request:
    parts = urlsplit(request.url or "")
    body: object = request.body or b""
    if not isinstance(body, str | bytes):
        raise TypeError("the simulator takes bodies as text or bytes only")
    return Request(
        method=request.method or "GET",
        path=unquote(parts.path),
        query=parts.query,
        headers={name.lower(): str(value) for name, value in request.headers.items()},
        body=body.encode() if isinstance(body, str) else body,
    )


def _response(request: requests.PreparedRequest, answer: Response, misbehaviour: Misbehaviour) -> requests.Response:
    length = len(answer.body) if misbehaviour.content_length is None else misbehaviour.content_length
    headers = {**answer.headers, "content-length": str(length)}
    response = requests.Response()
    response.status_code, response.reason = answer.status, responses.get(answer.status, "")
    response.headers = CaseInsensitiveDict(headers)
    response.encoding = requests.utils.get_encoding_from_headers(response.headers)
    response.raw = HTTPResponse(
        io.BytesIO(answer.body[:length]), headers=headers, status=answer.status, preload_content=False
    )
    response.request, response.url = request, request.url or ""
    return response
