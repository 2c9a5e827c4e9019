"""What makes a record unusable, and which fields of a usable one can't be read.

Fails by value, not by exception: a record that can't be used comes back with the reason, a field that can't be read
with its path.
"""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import Any

import msgspec

from pipelines.platform.structures import OperateDevices, OperatePolicy, OperationInfo, OperationStaResult

MAX_DEPTH = 100  # DuckDB refuses JSON nested deeper than 128

_record_decoder = msgspec.json.Decoder(OperationInfo, strict=False)
_records_decoder = msgspec.json.Decoder(list[OperationInfo], strict=False)


class Judgement(msgspec.Struct, frozen=True, gc=False):
    """What a record is worth: `reason` says why it can't be used, `broken_fields` which fields become null.

    `operation_id`, `status` and `created_at` are the record's own, where it has them, as received.
    """

    operation_id: str | None = None
    reason: str | None = None
    broken_fields: list[str] = []
    status: str | None = None
    created_at: str | None = None


_TIME = re.compile("[0-9]{8}T[0-9]{6}Z")
_TIMES_BEFORE_A_29TH = re.compile(
    "(?:[1-9][0-9]{3}(?:0[1-9]|1[012])(?:0[1-9]|1[0-9]|2[0-8])T(?:[01][0-9]|2[0-3])[0-5][0-9][0-5][0-9]Z)*"
)


def judge_all(records: list[bytes]) -> list[Judgement]:
    """Judge the records of a page; quick where all of them are what the documents say."""
    try:
        operations = _records_decoder.decode(b"[" + b",".join(records) + b"]")
    except (msgspec.DecodeError, RecursionError):
        return [judge(record) for record in records]
    times = [time for each in operations for time in (each.create_time, each.start_time, each.stop_time) if time]
    policies = [each.policy for each in operations if each.policy is not None]
    times += [time for policy in policies for time in (policy.start_time, policy.end_time) if time]
    are_good = (
        all(operation.operation_id != "" and operation.create_time for operation in operations)
        and max(map(_closing_brackets, records), default=0) <= MAX_DEPTH
        and _are_times(times)
    )
    if not are_good:
        return [judge(record) for record in records]
    return [_good(operation, []) for operation in operations]


def _good(operation: OperationInfo, broken_fields: list[str]) -> Judgement:
    status = None if operation.status is None else str(operation.status)
    return Judgement(str(operation.operation_id), None, broken_fields, status, operation.create_time)


def judge(record: bytes) -> Judgement:
    """Decide whether a record is an OperationInfo, and which of its fields can't be read.

    A record is unusable if it is not an object, has no `operationId`, its `createTime` is null or broken, or a counter
    has the wrong type or is negative. Any other broken field is named by its path and becomes null.
    """
    try:
        if _closing_brackets(record) > MAX_DEPTH and _depth(json.loads(record)) > MAX_DEPTH:
            return Judgement(_operation_id(record), f"nested deeper than {MAX_DEPTH}")
        operation = _record_decoder.decode(record)
    except (msgspec.DecodeError, RecursionError, ValueError):
        return _judge_by_field(record)
    if operation.operation_id == "":
        return Judgement(None, "operationId: missing")
    if not _is_time(operation.create_time):
        reason = f"createTime: not yyyyMMdd'T'HHmmss'Z': {operation.create_time[:40]!r}"
        return msgspec.structs.replace(_good(operation, []), reason=reason, created_at=None)
    return _good(operation, _broken_times(operation))


def _judge_by_field(record: bytes) -> Judgement:
    """The slow path for a record that is not an OperationInfo as a whole: field by field."""
    try:
        msgspec.json.decode(record)  # refuses what DuckDB would refuse too: lone surrogates, NaN
        fields = json.loads(record)
    except (ValueError, RecursionError) as error:
        return Judgement(_operation_id(record), f"not readable as JSON: {error}"[:200])
    if not isinstance(fields, dict):
        return Judgement(None, f"not an object but {type(fields).__name__}")
    status = fields["status"] if isinstance(fields.get("status"), str) else None
    created_at = fields["createTime"] if _is_time(fields.get("createTime")) else None
    known = Judgement(_operation_id(record), None, [], status, created_at)
    if known.operation_id is None:
        return msgspec.structs.replace(known, reason="operationId: missing")
    broken = _unreadable(fields, OperationInfo, "")
    for path in broken:
        if path == "createTime" or path.startswith("staResult."):
            return msgspec.structs.replace(known, reason=f"{path}: {_shorten(_follow(fields, path))}")
    if created_at is None:
        reason = f"createTime: not yyyyMMdd'T'HHmmss'Z': {_shorten(fields['createTime'])}"
        return msgspec.structs.replace(known, reason=reason)
    readable = msgspec.convert(_without(fields, broken), OperationInfo, strict=False)
    return msgspec.structs.replace(known, broken_fields=sorted({*broken, *_broken_times(readable)}))


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
    return [path for path, value in _times_of(operation) if value and not _is_time(value)]


def _times_of(operation: OperationInfo) -> list[tuple[str, str | None]]:
    times = [
        ("createTime", operation.create_time),
        ("startTime", operation.start_time),
        ("stopTime", operation.stop_time),
    ]
    if operation.policy is not None:
        times += [("policy.startTime", operation.policy.start_time), ("policy.endTime", operation.policy.end_time)]
    return times


def _is_time(value: object) -> bool:
    if not isinstance(value, str) or not _TIME.fullmatch(value):
        return False
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return False
    return True


def _are_times(values: list[str]) -> bool:
    """Whether all are times: one match for a page instead of one for each, calendars asked only from the 29th on."""
    if set(map(len, values)) <= {16} and _TIMES_BEFORE_A_29TH.fullmatch("".join(values)):
        return True
    return all(map(_is_time, values))


def _closing_brackets(record: bytes) -> int:
    """At least as many as the record is deep; `replace` finds them twice as fast as `count`."""
    return 2 * len(record) - len(record.replace(b"}", b"")) - len(record.replace(b"]", b""))


def _operation_id(record: bytes) -> str | None:
    try:
        value = json.loads(record).get("operationId")
    except (ValueError, AttributeError, RecursionError):
        return None
    usable = isinstance(value, str | int) and not isinstance(value, bool) and value != ""
    return str(value).encode(errors="replace").decode() if usable else None


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
