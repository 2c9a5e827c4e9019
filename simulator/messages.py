"""One request and one response, as plain values, and the errors that the API documents."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

JSON = "application/json"
HTML = "text/html"


@dataclass(frozen=True)
class Request:
    """What a client sent. Header names are in lower case."""

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True)
class Misbehaviour:
    """What the transport does with a response.

    `content_length`: the header's value, where it isn't the body's length; the connection is closed after the body.
    """

    stall_seconds: float = 0.0
    is_reset: bool = False
    content_length: int | None = None


@dataclass(frozen=True)
class Response:
    """What the platform sends back."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    misbehaviour: Misbehaviour | None = None


def json_response(content: object, status: int = 200) -> Response:
    """A response with a JSON body."""
    return Response(status, {"content-type": JSON}, msgspec.json.encode(content))


def html_response(status: int, text: str) -> Response:
    """A page as a proxy would send it."""
    body = f"<html><head><title>{status}</title></head><body><h1>{status} {text}</h1></body></html>"
    return Response(status, {"content-type": HTML}, body.encode())


_DOCUMENTED = {
    "100247": (400, "The application is frozen."),
    "102202": (400, "Required Parameter is null or empty."),
    "50400": (400, "The input is invalid."),
    "100208": (401, "AppId or secret is not right."),
    "50252": (500, "Internal error."),
    "100025": (401, "AppKey is invalid."),
    "120015": (400, "Bad request error."),
    "123029": (400, "pageNo or pageSize beyond the limit."),
    "1010005": (403, "App_key or access_token is invalid."),
    "1010009": (403, "app throttle exceed."),
    "123009": (404, "The requested task does not exist."),
}


class PlatformError(Exception):
    """An error that the platform answers with."""

    def __init__(self, error_code: str, *, status: int | None = None, error_desc: str | None = None) -> None:
        documented_status, documented_desc = _DOCUMENTED.get(error_code, (200, "Unknown error."))
        self.error_code = error_code
        self.status = documented_status if status is None else status
        self.error_desc = documented_desc if error_desc is None else error_desc
        super().__init__(f"{self.status}/{error_code} {self.error_desc}")

    def response(self) -> Response:
        """As HTTP."""
        return json_response({"error_code": self.error_code, "error_desc": self.error_desc}, self.status)
