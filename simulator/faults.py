"""The fault plan: which call, what happens, how often.

A plan is a list of faults; the first one that matches a call acts. As JSON:

    [{"match": {"kind": "list", "query": "pageNo=3", "first": 2, "last": 9, "every": 2},
      "action": "stall", "times": 1, "seconds": 40}]

`first`, `last` and `every` number the calls that fit `kind` and `query`, from 1, since the plan was set; all parts of a
match can be left out. `times` counts how often the fault acts (default: always).
"""

from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec

from simulator.messages import Request

Kind = Literal["login", "refresh", "list", "operation"]
ON_PAGE = (
    "wrong_page_no",
    "wrong_page_size",
    "missing_total",
    "string_total",
    "wrong_total",
    "short_page",
    "empty_page",
    "repeated_page",
    "ignore_filters",
    "garbage_records",
)
Action = Literal[
    "reset", "http_error", "html_403", "error_code", "throttled", "dead_token", "kill_token",
    "stall", "truncated_body", "content_length", "invalid_json", "empty_body",
    "wrong_page_no", "wrong_page_size", "missing_total", "string_total", "wrong_total", "short_page", "empty_page",
    "repeated_page", "ignore_filters", "garbage_records",
]  # fmt: skip


class Match(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which calls a fault is for."""

    kind: Kind | None = None
    query: str = ""
    first: Annotated[int, msgspec.Meta(ge=1)] = 1
    last: int | None = None
    every: Annotated[int, msgspec.Meta(ge=1)] = 1

    def fits(self, kind: str, request: Request) -> bool:
        """Whether the call is one of those that are numbered."""
        return self.kind in (None, kind) and self.query in request.query

    def chooses(self, number: int) -> bool:
        """Whether the call with this number is meant."""
        return (
            self.first <= number
            and (self.last is None or number <= self.last)
            and (number - self.first) % self.every == 0
        )


class Fault(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One line of the plan.

    `seconds` is for stall; `status` (500) and `html` for http_error; `status` (200), `error_code`, `error_desc` for
    error_code;
    `by` for wrong_total, wrong_page_no, wrong_page_size and content_length: what is added to the true number.
    """

    action: Action
    match: Match = Match()
    times: int | None = None
    seconds: float = 30.0
    status: int | None = None
    html: bool = False
    error_code: str = "100022"
    error_desc: str = "The input is invalid."
    by: int = 1


def parse_plan(text: bytes) -> list[Fault]:
    """Read a plan; raises msgspec.DecodeError, which says where the plan is wrong."""
    return msgspec.json.decode(text, type=list[Fault])


class FaultPlan:
    """A plan in use."""

    def __init__(self, faults: Sequence[Fault] = ()) -> None:
        self._faults = tuple(faults)
        self._seen = [0] * len(self._faults)
        self.acted = [0] * len(self._faults)

    def choose(self, kind: str, request: Request) -> Fault | None:
        """The fault for this call, if any; counts the call."""
        chosen = None
        for index, fault in enumerate(self._faults):
            if not fault.match.fits(kind, request) or (fault.action in ON_PAGE and kind != "list"):
                continue
            self._seen[index] += 1
            is_left = fault.times is None or self.acted[index] < fault.times
            if chosen is None and is_left and fault.match.chooses(self._seen[index]):
                self.acted[index] += 1
                chosen = fault
        return chosen
