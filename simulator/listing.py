"""The list call: its parameters, one page, and the envelope around it."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from simulator import catalogue
from simulator.dials import Dials
from simulator.draws import Integers
from simulator.messages import JSON, PlatformError, Response
from simulator.search import EVERYTHING, PARAMETERS, STATUSES, Filter

_LONGEST = 256
_DEFAULT_PAGE_SIZE, _LARGEST_PAGE_SIZE = 10, 100
_EMPTY: dict[str, dict[str, Any]] = {"list": {"data": []}, "null": {"data": None}, "missing": {}}
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True)
class Query:
    """What a list call asks for."""

    wanted: Filter
    page_no: int
    page_size: int


@dataclass(frozen=True)
class Page:
    """What a list call gets. `total` and the echoed numbers are sent as they are; `total_name` None leaves it out."""

    records: list[bytes]
    total: Any
    page_no: int
    page_size: int
    total_name: str | None = "totalCount"


def parse(query: str) -> Query:
    """Read a query string; an empty first pair is accepted, unknown parameters are ignored."""
    given = dict(parse_qsl(query))
    filters = {field: given[name] for name, field in PARAMETERS.items() if name in given}
    if any(len(value) > _LONGEST for value in filters.values()):
        raise PlatformError("120015")
    if filters.get("operation_type") not in (None, *catalogue.KINDS) or filters.get("operation_status") not in (
        None,
        *STATUSES,
    ):
        raise PlatformError("120015")
    wanted = Filter(**filters) if filters else EVERYTHING
    return Query(wanted, _number(given.get("pageNo"), 0), _number(given.get("pageSize"), _DEFAULT_PAGE_SIZE))


def _number(text: str | None, default: int) -> int:
    if text is None:
        return default
    if not re.fullmatch(r"-?[0-9]{1,18}", text):
        raise PlatformError("120015")
    return int(text)


def check_range(query: Query, dials: Dials) -> Query:
    """Raises 123029 for a page beyond the limits; lowers the page size to what is served."""
    is_above = 0 <= dials.last_page_no < query.page_no
    if query.page_no < 0 or is_above or not 1 <= query.page_size <= _LARGEST_PAGE_SIZE:
        raise PlatformError("123029")
    return replace(query, page_size=min(query.page_size, dials.page_size_limit))


def page_of(query: Query, positions: Integers, dials: Dials, render: Callable[[Integers], list[bytes]]) -> Page:
    """One page of the matching tasks."""
    start = query.page_no * query.page_size
    if start >= len(positions) and query.page_no > 0 and dials.past_end == "error":
        raise PlatformError("123029")
    total: Any = len(positions)
    name: str | None = "totalSize" if dials.total_name == "totalSize" else "totalCount"
    if dials.total_name == "string":
        total = str(total)
    return Page(
        render(positions[start : start + query.page_size]),
        total,
        query.page_no,
        query.page_size,
        None if dials.total_name == "missing" else name,
    )


def envelope(page: Page, dials: Dials) -> Response:
    """A page as HTTP."""
    fields: dict[str, Any] = {"pageNo": page.page_no, "pageSize": page.page_size}
    if page.total_name is not None:
        fields = {page.total_name: page.total, **fields}
    if page.records:
        body = _encode(fields)[:-1] + b',"data":[' + b",".join(page.records) + b"]}"
    else:
        body = _encode(fields | _EMPTY[dials.empty_data])
    return Response(200, {"content-type": JSON}, body)
