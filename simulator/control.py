"""The calls under /simulator/, for tests and demos only: no login, JSON in and out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from simulator import faults
from simulator.clock import iso_text
from simulator.messages import Request, Response, json_response
from simulator.world import Drift

if TYPE_CHECKING:
    from simulator.platform import Platform

PREFIX = "/simulator/"


class _Seconds(msgspec.Struct, forbid_unknown_fields=True):
    seconds: float


class _Count(msgspec.Struct, forbid_unknown_fields=True):
    count: int


class _Ids(msgspec.Struct, forbid_unknown_fields=True):
    ids: list[str]


def answer(platform: Platform, request: Request) -> Response:
    """Answer one control call; what is wrong with it comes back as text."""
    try:
        content = _do(platform, request)
    except msgspec.DecodeError as error:
        return json_response({"error": str(error)}, 400)
    if content is None:
        return json_response({"error": f"no such call: {request.method} {request.path}"}, 404)
    return json_response(content)


def _do(platform: Platform, request: Request) -> Any:
    read = msgspec.json.decode
    match request.method, request.path.removeprefix(PREFIX):
        case "GET", "statistics":
            return platform.statistics()
        case "GET", "true-rates":
            return platform.true_rates()
        case "GET", "operations":  # the server streams it instead
            return [msgspec.Raw(record) for record in platform.operations()]
        case "POST", "advance":
            return {"simulated_at": iso_text(platform.advance(read(request.body, type=_Seconds).seconds))}
        case "PUT", "faults":
            platform.set_faults(faults.parse_plan(request.body))
            return {"faults": len(platform.plan.acted)}
        case "POST", "drift":
            platform.world.drift = read(request.body, type=Drift)
            return platform.world.drift
        case "POST", "create":
            return {"ids": platform.create(read(request.body, type=_Count).count)}
        case "POST", "remove":
            return {"ids": platform.remove(read(request.body, type=_Ids).ids)}
        case "POST", "retry":
            return {"ids": platform.retry(read(request.body, type=_Ids).ids)}
        case "POST", "hasten":
            return {"ids": platform.hasten(read(request.body, type=_Ids).ids)}
        case "POST", "kill-token":
            platform.kill_token()
            return {}
    return None
