"""The API's structures as typed records, and a page with its records as received.

Source: "Queries a Task List" of the platform's API reference. Numbers may come as strings and booleans as strings
(decode with `strict=False`), new fields may appear at any time. What a record is worth is decided in `judgement`.
What exists once per task is kept from the garbage collector (`gc=False`): it can't be part of a cycle, and searching it
for some would take a tenth of a crawl.
"""

from __future__ import annotations

import json
from typing import Annotated, Any

import msgspec

Counter = Annotated[int, msgspec.Meta(ge=0, le=10**12)] | None  # a sum over a million tasks still fits 64 bits
Text = str | int | float | bool | None
Time = str | None


class OperateDevices(msgspec.Struct, rename="camel", gc=False):
    """Target devices or device groups, with what they have in common."""

    device_groups: list[str] | None = None
    device_type: Text = None
    model: Text = None
    manufacturer_name: Text = None
    devices: list[str] | None = None


class OperatePolicy(msgspec.Struct, rename="camel", gc=False):
    """When a task runs and whether the platform retries it."""

    execute_type: Text = None
    start_time: Time = None
    end_time: Time = None
    retry_type: bool | None = None
    retry_times: Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)] | None = None


class OperationStaResult(msgspec.Struct, gc=False):
    """Devices by result."""

    total: Counter = None
    wait: Counter = None
    processing: Counter = None
    success: Counter = None
    fail: Counter = None
    stop: Counter = None
    timeout: Counter = None


class OperationInfo(msgspec.Struct, rename="camel", gc=False):
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
    """A page as received; the total is `totalCount` in the documents and `totalSize` in some SDKs.

    What has an `error_code` is none, whatever else it has.
    """

    data: list[msgspec.Raw] | None = None
    page_no: msgspec.Raw = msgspec.Raw(b"null")
    page_size: msgspec.Raw = msgspec.Raw(b"null")
    total_count: msgspec.Raw = msgspec.Raw(b"null")
    total_size: msgspec.Raw = msgspec.Raw(b"null")
    error_code: msgspec.Raw = msgspec.field(name="error_code", default=msgspec.Raw(b"null"))


class Page(msgspec.Struct, frozen=True):
    """A page with its numbers made sense of: records as received, each a JSON text on one line."""

    records: list[bytes]
    page_no: int | None
    page_size: int | None
    total: int | None


_NESTED: dict[str, type[msgspec.Struct]] = {
    "targets": OperateDevices,
    "policy": OperatePolicy,
    "staResult": OperationStaResult,
}
_STRUCTURES: dict[str, type[msgspec.Struct]] = {"": OperationInfo, **_NESTED}
_DOCUMENTED = {
    parent: {field.encode_name for field in msgspec.structs.fields(structure)}
    for parent, structure in _STRUCTURES.items()
}


def undocumented_fields(record: bytes) -> set[str]:
    """Paths of a record's fields that the documents don't know, such as `policy.newField`; `extendPara` is free."""
    try:
        content = msgspec.json.decode(record)
    except (msgspec.DecodeError, RecursionError):
        return set()
    if not isinstance(content, dict):
        return set()
    found = set(content) - _DOCUMENTED[""]
    for parent in _NESTED:
        nested = content.get(parent)
        found |= (
            {f"{parent}.{name}" for name in set(nested) - _DOCUMENTED[parent]} if isinstance(nested, dict) else set()
        )
    return found


_count_decoder = msgspec.json.Decoder(Annotated[int, msgspec.Meta(ge=0)], strict=False)
_envelope_decoder = msgspec.json.Decoder(Envelope)
_NOTHING = msgspec.Raw(b"null")


def decode_page(body: bytes) -> Page:
    """Decode the body of a list response.

    Raises:
        ValueError: the body is not a JSON object, its `data` is not a list, or it is an error's.
    """
    try:
        body.decode()  # msgspec skips over the records' strings unchecked
        envelope = _envelope_decoder.decode(body)
        if envelope.error_code != _NOTHING:
            raise ValueError("it has an error_code")
        records = [bytes(raw) for raw in envelope.data or ()]
        if b"\n" in body or b"\r" in body:
            records = [msgspec.json.format(record, indent=-1) for record in records]
    except (msgspec.DecodeError, RecursionError):
        return _decode_leniently(body)
    total = _count(envelope.total_count)
    return Page(
        records,
        _count(envelope.page_no),
        _count(envelope.page_size),
        _count(envelope.total_size) if total is None else total,
    )


def decode_record(body: bytes) -> Page:
    """Decode the body of a response about one task: a page of that record alone, without numbers.

    Raises:
        ValueError: the body is not JSON, or it is an error's.
    """
    _refuse_error(_load(body.decode()))
    return Page([b" ".join(body.strip().splitlines())], None, None, None)


def _decode_leniently(body: bytes) -> Page:
    """One record that Python reads and msgspec does not (a lone surrogate, NaN) must not make its page unreadable."""
    text = body.decode()
    content = _load(text)
    _refuse_error(content)
    if not isinstance(content, dict) or not isinstance(content.get("data"), list | None):
        raise ValueError("not an object with a list in `data`")  # noqa: TRY004 - wrong data, not a wrong call
    numbers = {key: json.dumps(content.get(key)).encode() for key in ("pageNo", "pageSize", "totalCount", "totalSize")}
    total = _count(numbers["totalCount"])
    return Page(
        [record.encode() for record in _texts_of_records(text)],
        _count(numbers["pageNo"]),
        _count(numbers["pageSize"]),
        _count(numbers["totalSize"]) if total is None else total,
    )


def _load(text: str) -> object:
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def _refuse_error(content: object) -> None:
    if isinstance(content, dict) and content.get("error_code") is not None:
        raise ValueError("it has an error_code")


def _texts_of_records(text: str) -> list[str]:
    """The elements of `data` in a JSON object that is known to be sound, each as it stands there, on one line."""
    decoder, place = json.JSONDecoder(), text.index("{") + 1
    records: list[str] = []
    while (quote := text.find('"', place)) >= 0:
        key, place = decoder.raw_decode(text, quote)
        place = _next_token(text, text.index(":", place) + 1)
        if key == "data" and text[place] == "[":
            records = []
            place = _next_token(text, place + 1)
            while text[place] != "]":
                _, end = decoder.raw_decode(text, place)
                records.append(text[place:end].replace("\r", " ").replace("\n", " "))
                place = _next_token(text, end)
                place = _next_token(text, place + 1) if text[place] == "," else place
            place += 1
        else:
            _, place = decoder.raw_decode(text, place)
    return records


def _next_token(text: str, place: int) -> int:
    while text[place] in " \t\r\n":
        place += 1
    return place


def _count(raw: bytes | msgspec.Raw) -> int | None:
    try:
        count: int = _count_decoder.decode(raw)
    except msgspec.DecodeError:
        return None
    return count
