"""What a response means, decided in one pure function over (status, body, exception).

The platform's status codes mislead: a dead token and throttling are both HTTP 403, and any body with an `error_code`
is an error, also on HTTP 200. So the `error_code` decides, and the status only where there is none. Who reads a body on
HTTP 200 looks for it while it reads: to search a page for it first would take a thirtieth of a crawl.
What to do about an outcome belongs to `client`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from enum import Enum

import msgspec
import requests
import urllib3

from pipelines.platform.structures import decode_page


class Outcome(Enum):
    """The kinds of response; all but the first and `GONE` and `BEYOND_LIMIT` end in waiting, renewing or giving up."""

    OK = "a usable body"
    THROTTLED = "throttled"
    TOKEN_DEAD = "the access token is no longer valid"  # noqa: S105
    GONE = "no such task"
    BEYOND_LIMIT = "page beyond the limit"
    BAD_REQUEST = "bad request"
    REFUSED = "refused"
    PASSING_FAULT = "a passing fault"


class Response(msgspec.Struct, frozen=True):
    """An outcome with what led to it; `detail` is for people and holds no secret. `content` is what a body held."""

    outcome: Outcome
    detail: str = ""
    error_code: str | None = None
    advice: str = ""
    content: object = None


_BY_ERROR_CODE = {
    "1010009": Outcome.THROTTLED,
    "1010005": Outcome.TOKEN_DEAD,
    "123009": Outcome.GONE,
    "123029": Outcome.BEYOND_LIMIT,
    "120015": Outcome.BAD_REQUEST,
    "102202": Outcome.BAD_REQUEST,
    "50400": Outcome.BAD_REQUEST,
    "100208": Outcome.REFUSED,  # application id or secret wrong
    "100247": Outcome.REFUSED,  # application frozen
    "100025": Outcome.REFUSED,  # app_key missing or unknown
    "50252": Outcome.PASSING_FAULT,
}

_CA_ADVICE = (
    "Set IODM_CA_FILE to the CA of the platform's certificate package, "
    "or IODM_TLS_SERVER_NAME if the URL holds a bare address"
)
_CLIENT_CERTIFICATE_ADVICE = "If the platform wants a client certificate, check IODM_CLIENT_CERT and IODM_CLIENT_KEY"
_CLOSED = ("EOF occurred", "Remote end closed", "reset by peer")  # what some servers do instead of saying why
_PASSING_EXCEPTIONS = (
    requests.ConnectionError,
    requests.Timeout,
    requests.exceptions.ChunkedEncodingError,
    requests.exceptions.ContentDecodingError,
    urllib3.exceptions.HTTPError,  # what reading a body raises: cut short, broken encoding, time-out
    ConnectionError,
    TimeoutError,
)


def interpret(
    status: int | None,
    body: bytes,
    exception: Exception | None = None,
    parse: Callable[[bytes], object] = decode_page,
) -> Response:
    """Decide what one attempt means. Give either `status` and `body`, or the `exception` that `requests` raised.

    `parse` reads the body of a success; it raises ValueError where that can't be read, or has an `error_code`.
    """
    if exception is not None:
        return _interpret_exception(exception)
    unreadable = ""
    if status == 200:
        try:
            return Response(Outcome.OK, content=parse(body))
        except ValueError as fault:
            unreadable = f"a body that can't be read ({fault})"[:200]
    error = _error_of(body)
    if error is not None:
        return _interpret_error(status, *error)
    if unreadable and _is_object(body):
        return Response(Outcome.PASSING_FAULT, unreadable)
    return _interpret_status(status, body)


def _interpret_status(status: int | None, body: bytes) -> Response:
    """Without an `error_code` the status has to do."""
    detail = f"HTTP {status}: {_excerpt(body)}"
    if status == 429:
        return Response(Outcome.THROTTLED, detail)
    if status is None or status in {200, 408} or status >= 500 or _is_cut(body):
        return Response(Outcome.PASSING_FAULT, detail)
    if status == 400:
        return Response(Outcome.BAD_REQUEST, detail)
    return Response(Outcome.REFUSED, f"{detail} (without the platform's error_code: a proxy's page?)")


def _interpret_error(status: int | None, code: str, description: str) -> Response:
    known = _BY_ERROR_CODE.get(code)
    if known is None:
        passing = status is None or status == 200 or status >= 500
        known = Outcome.PASSING_FAULT if passing else Outcome.REFUSED
    return Response(known, f"HTTP {status}, error_code {code}: {description}", code)


def _interpret_exception(exception: Exception) -> Response:
    if isinstance(exception, requests.exceptions.SSLError) and "CERTIFICATE_VERIFY_FAILED" in str(exception):
        return Response(
            Outcome.REFUSED, f"the server's certificate can't be verified: {_reason(exception)}", advice=_CA_ADVICE
        )
    if isinstance(exception, requests.exceptions.SSLError) and "alert" in str(exception):
        return Response(
            Outcome.REFUSED,
            f"the server refused the TLS handshake: {_reason(exception)}",
            advice=_CLIENT_CERTIFICATE_ADVICE,
        )
    if isinstance(exception, _PASSING_EXCEPTIONS):
        reason = _reason(exception)
        advice = _CLIENT_CERTIFICATE_ADVICE if any(text in reason for text in _CLOSED) else ""
        return Response(Outcome.PASSING_FAULT, f"{type(exception).__name__}: {reason}", advice=advice)
    return Response(Outcome.REFUSED, f"{type(exception).__name__}: {_reason(exception)}")


def _error_of(body: bytes) -> tuple[str, str] | None:
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(content, dict) or content.get("error_code") is None:
        return None
    return str(content["error_code"]), str(content.get("error_desc", ""))[:200]


def _is_cut(body: bytes) -> bool:
    """True for the beginning of a JSON object: what was cut off may have been the `error_code`."""
    if body.lstrip()[:1] != b"{":
        return False
    try:
        json.loads(body)
    except RecursionError:
        return False
    except ValueError:
        return True
    return False


def _is_object(body: bytes) -> bool:
    return body.lstrip()[:1] == b"{" and body.rstrip()[-1:] == b"}"


def _excerpt(body: bytes) -> str:
    text = " ".join(body[:200].decode(errors="replace").split())
    return text[:80] if text else "an empty body"


def _reason(exception: Exception) -> str:
    """The innermost reason, without the object addresses that urllib3 prints."""
    cause: BaseException = exception
    while (deeper := cause.__cause__ or getattr(cause, "reason", None) or cause.__context__) is not None and isinstance(
        deeper, BaseException
    ):
        cause = deeper
    text = str(cause).split(": ", 1)[-1] if "object at 0x" in str(cause) else str(cause)
    return text[:200]
