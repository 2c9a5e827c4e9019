"""The API's structures as typed records: a page with its records as received, and what makes a record unusable.

Source: "Queries a Task List" of the platform's API reference. A record is an OperationInfo; numbers may come as
strings and booleans as strings (`strict=False`), new fields may appear at any time. Fails by value, not by exception:
a record that can't be used comes back with the reason, a field that can't be read with its path.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Annotated, Any

import msgspec

MAX_DEPTH = 100  # DuckDB refuses JSON nested deeper than 128
Counter = Annotated[int, msgspec.Meta(ge=0, le=10**12)] | None  # a sum over a million tasks still fits 64 bits
Text = str | int | float | bool | None
Time = str | None


class OperateDevices(msgspec.Struct, rename="camel"):
    """Target devices or device groups, with what they have in common."""

    device_groups: list[str] | None = None
    device_type: Text = None
    model: Text = None
    manufacturer_name: Text = None
    devices: list[str] | None = None


class OperatePolicy(msgspec.Struct, rename="camel"):
    """When a task runs and whether the platform retries it."""

    execute_type: Text = None
    start_time: Time = None
    end_time: Time = None
    retry_type: bool | None = None
    retry_times: Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)] | None = None


class OperationStaResult(msgspec.Struct):
    """Devices by result."""

    total: Counter = None
    wait: Counter = None
    processing: Counter = None
    success: Counter = None
    fail: Counter = None
    stop: Counter = None
    timeout: Counter = None


class OperationInfo(msgspec.Struct, rename="camel"):
    """One upgrade task."""

    operation_id: str | int
    create_time: str
    start_time: Time = None
    stop_time: Time = None
    operate_type: Text = None
    targets: OperateDevices | None = None
    policy: OperatePolicy | None = None
    status: Text = None
    sta_result: OperationStaResult | None = None
    extend_para: dict[str, Any] | None = None


class Envelope(msgspec.Struct, rename="camel"):
    """A page as received; the total is `totalCount` in the documents and `totalSize` in some SDKs."""

    data: list[msgspec.Raw] | None = None
    page_no: msgspec.Raw = msgspec.Raw(b"null")
    page_size: msgspec.Raw = msgspec.Raw(b"null")
    total_count: msgspec.Raw = msgspec.Raw(b"null")
    total_size: msgspec.Raw = msgspec.Raw(b"null")


class Page(msgspec.Struct, frozen=True):
    """A page with its numbers made sense of: records as received, each a JSON text on one line."""

    records: list[bytes]
    page_no: int | None
    page_size: int | None
    total: int | None


class Judgement(msgspec.Struct, frozen=True):
    """What a record is worth: `reason` says why it can't be used, `broken_fields` which fields become null."""

    operation_id: str | None = None
    reason: str | None = None
    broken_fields: list[str] = []


_count_decoder = msgspec.json.Decoder(Annotated[int, msgspec.Meta(ge=0)], strict=False)
_envelope_decoder = msgspec.json.Decoder(Envelope)
_record_decoder = msgspec.json.Decoder(OperationInfo, strict=False)


def decode_page(body: bytes) -> Page:
    """Decode the body of a list response.

    Raises:
        ValueError: the body is not a JSON object, or its `data` is not a list.
    """
    try:
        body.decode()  # msgspec skips over the records' strings unchecked
        envelope = _envelope_decoder.decode(body)
        records = [_one_line(bytes(raw)) for raw in envelope.data or ()]
    except (msgspec.DecodeError, RecursionError):
        return _decode_leniently(body)
    total = _count(envelope.total_count)
    return Page(
        records,
        _count(envelope.page_no),
        _count(envelope.page_size),
        _count(envelope.total_size) if total is None else total,
    )


def _decode_leniently(body: bytes) -> Page:
    """One record that Python reads and msgspec does not (a lone surrogate, NaN) must not make its page unreadable."""
    try:
        content = json.loads(body)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if not isinstance(content, dict) or not isinstance(content.get("data") or [], list):
        raise ValueError("not an object with a list in `data`")  # noqa: TRY004 - wrong data, not a wrong call
    numbers = {key: json.dumps(content.get(key)).encode() for key in ("pageNo", "pageSize", "totalCount", "totalSize")}
    total = _count(numbers["totalCount"])
    return Page(
        [json.dumps(record).encode() for record in content.get("data") or []],
        _count(numbers["pageNo"]),
        _count(numbers["pageSize"]),
        _count(numbers["totalSize"]) if total is None else total,
    )


def judge(record: bytes) -> Judgement:
    """Decide whether a record is an OperationInfo, and which of its fields can't be read.

    A record is unusable if it is not an object, has no `operationId`, its `createTime` is null or broken, or a counter
    has the wrong type or is negative. Any other broken field is named by its path and becomes null.
    """
    try:
        if record.count(b"}") + record.count(b"]") > MAX_DEPTH and _depth(json.loads(record)) > MAX_DEPTH:
            return Judgement(_operation_id(record), f"nested deeper than {MAX_DEPTH}")
        operation = _record_decoder.decode(record)
    except (msgspec.DecodeError, RecursionError, ValueError):
        return _judge_by_field(record)
    if operation.operation_id == "":
        return Judgement(None, "operationId: missing")
    operation_id = str(operation.operation_id)
    if not _is_time(operation.create_time):
        return Judgement(operation_id, f"createTime: not yyyyMMdd'T'HHmmss'Z': {operation.create_time[:40]!r}")
    return Judgement(operation_id, None, _broken_times(operation))


def _judge_by_field(record: bytes) -> Judgement:
    """The slow path for a record that is not an OperationInfo as a whole: field by field."""
    try:
        msgspec.json.decode(record)  # refuses what DuckDB would refuse too: lone surrogates, NaN
        fields = json.loads(record)
    except (ValueError, RecursionError) as error:
        return Judgement(_operation_id(record), f"not readable as JSON: {error}"[:200])
    if not isinstance(fields, dict):
        return Judgement(None, f"not an object but {type(fields).__name__}")
    operation_id = _operation_id(record)
    if operation_id is None:
        return Judgement(None, "operationId: missing")
    broken = _unreadable(fields, OperationInfo, "")
    for path in broken:
        if path == "createTime" or path.startswith("staResult."):
            return Judgement(operation_id, f"{path}: {_shorten(_follow(fields, path))}")
    if not _is_time(fields["createTime"]):
        return Judgement(operation_id, f"createTime: not yyyyMMdd'T'HHmmss'Z': {_shorten(fields['createTime'])}")
    readable = msgspec.convert(_without(fields, broken), OperationInfo, strict=False)
    return Judgement(operation_id, None, sorted({*broken, *_broken_times(readable)}))


def _unreadable(fields: dict[str, Any], structure: type[msgspec.Struct], prefix: str) -> list[str]:
    """Paths of the fields that don't have the documented type; inside a nested object only its broken fields."""
    broken = []
    for field in msgspec.structs.fields(structure):
        value = fields.get(field.encode_name)
        nested = _NESTED.get(field.encode_name)
        if nested is not None and isinstance(value, dict):
            broken += _unreadable(value, nested, f"{field.encode_name}.")
            continue
        try:
            msgspec.convert(value, field.type, strict=False)
        except (msgspec.ValidationError, OverflowError):
            broken.append(prefix + field.encode_name)
    return broken


_NESTED: dict[str, type[msgspec.Struct]] = {
    "targets": OperateDevices,
    "policy": OperatePolicy,
    "staResult": OperationStaResult,
}


def _broken_times(operation: OperationInfo) -> list[str]:
    times = {"startTime": operation.start_time, "stopTime": operation.stop_time}
    if operation.policy is not None:
        times |= {"policy.startTime": operation.policy.start_time, "policy.endTime": operation.policy.end_time}
    return [path for path, value in times.items() if value and not _is_time(value)]


def _is_time(value: object) -> bool:
    if not isinstance(value, str) or len(value) != 16 or value[8] != "T" or value[15] != "Z" or not value.isascii():
        return False
    if not (value[:8] + value[9:15]).isdigit():
        return False
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return False
    return True


def _operation_id(record: bytes) -> str | None:
    try:
        value = json.loads(record).get("operationId")
    except (ValueError, AttributeError, RecursionError):
        return None
    usable = isinstance(value, str | int) and not isinstance(value, bool) and value != ""
    return str(value).encode(errors="replace").decode() if usable else None


def _one_line(record: bytes) -> bytes:
    return record if b"\n" not in record and b"\r" not in record else msgspec.json.format(record, indent=-1)


def _count(raw: bytes | msgspec.Raw) -> int | None:
    try:
        count: int = _count_decoder.decode(raw)
    except msgspec.DecodeError:
        return None
    return count


def _depth(value: object) -> int:
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max(map(_depth, children), default=0)


def _follow(fields: dict[str, Any], path: str) -> object:
    value: Any = fields
    for key in path.split("."):
        value = value.get(key)
    return value


def _without(fields: dict[str, Any], paths: list[str]) -> dict[str, Any]:
    kept = {key: dict(value) if isinstance(value, dict) else value for key, value in fields.items()}
    for path in paths:
        *parents, name = path.split(".")
        (kept[parents[0]] if parents else kept).pop(name)
    return kept


def _shorten(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."
