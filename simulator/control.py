"""The calls under /simulator/, for tests and demos only: no login, JSON in and out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import msgspec

from simulator import faults
from simulator.clock import iso_text
from simulator.messages import Request, Response, json_response
from simulator.platform import Platform
from simulator.world import Drift

PREFIX = "/simulator/"
OPERATIONS = ("GET", PREFIX + "operations")  # JSON lines, streamed by the server
JSONL = "application/jsonl"
_read = msgspec.json.decode


class _Seconds(msgspec.Struct, forbid_unknown_fields=True):
    seconds: Annotated[float, msgspec.Meta(ge=0)]


class _Count(msgspec.Struct, forbid_unknown_fields=True):
    count: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]


class _Ids(msgspec.Struct, forbid_unknown_fields=True):
    ids: list[str]


def answer(platform: Platform, request: Request) -> Response:
    """Answer one control call; what is wrong with it comes back as text."""
    call = _CALLS.get((request.method, request.path.removeprefix(PREFIX)))
    if call is None:
        return json_response({"error": f"no such call: {request.method} {request.path}"}, 404)
    try:
        return json_response(call(platform, request.body))
    except msgspec.DecodeError as error:
        return json_response({"error": str(error)}, 400)


def _advance(platform: Platform, body: bytes) -> object:
    return {"simulated_at": iso_text(platform.advance(_read(body, type=_Seconds).seconds))}


def _faults(platform: Platform, body: bytes) -> object:
    platform.set_faults(faults.parse_plan(body))
    return {"faults": len(platform.plan.acted)}


def _drift(platform: Platform, body: bytes) -> object:
    drift = _read(body, type=Drift)
    platform.set_drift(insertions=drift.insertions, removals=drift.removals, changes=drift.changes)
    return drift


def _kill_token(platform: Platform, _: bytes) -> object:
    platform.kill_token()
    return {}


_CALLS: dict[tuple[str, str], Callable[[Platform, bytes], object]] = {
    ("GET", "statistics"): lambda platform, _: platform.statistics(),
    ("GET", "true-rates"): lambda platform, _: platform.true_rates(),
    ("POST", "advance"): _advance,
    ("PUT", "faults"): _faults,
    ("POST", "drift"): _drift,
    ("POST", "kill-token"): _kill_token,
    ("POST", "create"): lambda platform, body: {"ids": platform.create(_read(body, type=_Count).count)},
    ("POST", "remove"): lambda platform, body: {"ids": platform.remove(_read(body, type=_Ids).ids)},
    ("POST", "retry"): lambda platform, body: {"ids": platform.retry(_read(body, type=_Ids).ids)},
    ("POST", "hasten"): lambda platform, body: {"ids": platform.hasten(_read(body, type=_Ids).ids)},
}
