"""What each action of the fault plan does: instead of an answer, to a query, to a page, to a response."""

from dataclasses import replace

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
    """The response that takes the place of the platform's answer, or None; raises PlatformError for an error of the API."""
    match fault.action:
        case "reset":
            return Response(200, {}, b"", Misbehaviour(is_reset=True))
        case "html_403":
            return html_response(403, "Forbidden")
        case "http_error" if fault.html:
            return html_response(fault.status, "Error")
        case "http_error":
            raise PlatformError("50252", status=fault.status)
        case "error_code":
            status = 200 if fault.status == Fault("error_code").status else fault.status
            raise PlatformError(fault.error_code, status=status, error_desc=fault.error_desc)
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


def bend_page(fault: Fault, page: Page, asked: Query) -> Page:
    """What is sent, where it is not what was found."""
    match fault.action:
        case "wrong_page_no":
            return replace(page, page_no=page.page_no + fault.by)
        case "wrong_page_size":
            return replace(page, page_size=page.page_size + fault.by)
        case "missing_total":
            return replace(page, total_name=None)
        case "string_total":
            return replace(page, total=str(page.total))
        case "wrong_total":
            return replace(page, total=int(page.total) + fault.by)
        case "short_page":
            return replace(page, records=page.records[: len(page.records) // 2])
        case "empty_page":
            return replace(page, records=[])
        case "repeated_page":
            return replace(page, page_no=asked.page_no)
        case "garbage_records":
            return replace(page, records=[_GARBAGE[index % len(_GARBAGE)] for index in range(len(page.records))])
    return page


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
