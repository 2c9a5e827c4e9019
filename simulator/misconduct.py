"""What each action of the fault plan does: instead of an answer, to a query, to a page, to a response."""

from collections.abc import Callable
from dataclasses import replace
from itertools import cycle, islice
from typing import Any

from simulator.faults import Fault
from simulator.listing import Page, Query
from simulator.messages import Misbehaviour, PlatformError, Response, html_response
from simulator.search import EVERYTHING

_GARBAGE = [
    b"null",
    b'"garbage"',
    b"[]",
    b"17",
    b"{}",
    b'{"operationId":null}',
    b'{"operationId":{"id":1},"createTime":"soon"}',
]


def answer_instead(fault: Fault) -> Response | None:
    """What takes the place of the platform's answer, or None; raises PlatformError for an error of the API."""
    match fault.action:
        case "reset":
            return Response(200, {}, b"", Misbehaviour(is_reset=True))
        case "html_403":
            return html_response(403, "Forbidden")
        case "http_error" if fault.html:
            return html_response(fault.status or 500, "Error")
        case "http_error":
            raise PlatformError("50252", status=fault.status or 500)
        case "error_code":
            raise PlatformError(fault.error_code, status=fault.status or 200, error_desc=fault.error_desc)
        case "throttled":
            raise PlatformError("1010009")
        case "dead_token":
            raise PlatformError("1010005")
    return None


def bend_query(fault: Fault | None, query: Query) -> Query:
    """What is looked up, where it is not what was asked for."""
    match fault and fault.action:
        case "ignore_filters":
            return replace(query, wanted=EVERYTHING)
        case "repeated_page":
            return replace(query, page_no=max(0, query.page_no - 1))
    return query


_PAGE_CHANGES: dict[str, Callable[[Fault, Page, Query], dict[str, Any]]] = {
    "wrong_page_no": lambda fault, page, _: {"page_no": page.page_no + fault.by},
    "wrong_page_size": lambda fault, page, _: {"page_size": page.page_size + fault.by},
    "missing_total": lambda *_: {"total_name": None},
    "string_total": lambda _, page, __: {"total": str(page.total)},
    "wrong_total": lambda fault, page, _: {"total": int(page.total) + fault.by},
    "short_page": lambda _, page, __: {"records": page.records[: len(page.records) // 2]},
    "empty_page": lambda *_: {"records": []},
    "repeated_page": lambda _, __, asked: {"page_no": asked.page_no},
    "garbage_records": lambda _, page, __: {"records": list(islice(cycle(_GARBAGE), len(page.records)))},
}


def bend_page(fault: Fault | None, page: Page, asked: Query) -> Page:
    """What is sent, where it is not what was found."""
    change = _PAGE_CHANGES.get(fault.action) if fault else None
    return replace(page, **change(fault, page, asked)) if fault and change else page


def spoil(fault: Fault, response: Response) -> Response:
    """What the wire makes of a response."""
    length = len(response.body)
    match fault.action:
        case "stall":
            return replace(response, misbehaviour=Misbehaviour(stall_seconds=fault.seconds))
        case "truncated_body":
            return replace(
                response, body=response.body[: length // 2], misbehaviour=Misbehaviour(content_length=length)
            )
        case "content_length":
            return replace(response, misbehaviour=Misbehaviour(content_length=max(0, length + fault.by)))
        case "invalid_json":
            return replace(response, body=response.body[: length // 2])
        case "empty_body":
            return replace(response, body=b"")
    return response
