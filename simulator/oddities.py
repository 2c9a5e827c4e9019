"""What real records have beyond the documents (quirks), and records that nobody can use (broken).

Both are drawn per task and stable: a task that spells its status `FAIL` does so in every response.
"""

from collections.abc import Callable
from typing import Any

from simulator.catalogue import PRODUCTS
from simulator.dials import Dials
from simulator.draws import Purpose, uniforms
from simulator.timeline import Rows

Record = dict[str, Any]
_SPELLINGS = {
    "failed": ("FAIL", "fail", "FAILED"),
    "success": ("Success", "SUCCESS"),
    "processing": ("Processing",),
    "stop": ("STOP",),
}


def _spell_status(record: Record, u: float) -> None:
    spellings = _SPELLINGS.get(record["status"], (record["status"],))
    record["status"] = spellings[int(u * len(spellings))]


def _drop_total(record: Record, _: float) -> None:
    del record["staResult"]["total"]


def _drop_stop_time(record: Record, _: float) -> None:
    record["stopTime"] = None


def _drop_policy(record: Record, _: float) -> None:
    record["policy"] = None


def _drop_targets(record: Record, u: float) -> None:
    """Null for the list that does not apply; now and then for both."""
    targets = record["targets"]
    if u < 0.02:
        targets["deviceGroups"] = targets["devices"] = None
    elif targets["deviceGroups"]:
        targets["devices"] = None
    else:
        targets["deviceGroups"] = None


def _add_new_fields(record: Record, u: float) -> None:
    record["taskName"] = f"rollout-{int(u * 1000)}"
    record["staResult"]["conflict"] = 0
    record["extendPara"]["channel"] = "stable" if u < 0.7 else "beta"


def _quote_numbers(record: Record, _: float) -> None:
    record["staResult"] = {name: str(count) for name, count in record["staResult"].items()}
    if record["policy"] and "retryTimes" in record["policy"]:
        record["policy"]["retryTimes"] = str(record["policy"]["retryTimes"])


def _quote_booleans(record: Record, u: float) -> None:
    if record["policy"]:
        record["policy"]["retryType"] = (
            str(record["policy"]["retryType"]) if u < 0.3 else str(record["policy"]["retryType"]).lower()
        )


_QUIRKS: dict[Purpose, tuple[float, Callable[[Record, float], None]]] = {  # share of records at full dial
    Purpose.ODD_STATUS: (0.30, _spell_status),
    Purpose.ODD_TOTAL: (0.50, _drop_total),
    Purpose.ODD_STOP_TIME: (0.10, _drop_stop_time),
    Purpose.ODD_POLICY: (0.25, _drop_policy),
    Purpose.ODD_TARGETS: (0.80, _drop_targets),
    Purpose.ODD_NEW_FIELDS: (0.02, _add_new_fields),
    Purpose.ODD_NUMBERS: (0.03, _quote_numbers),
    Purpose.ODD_BOOLEANS: (0.05, _quote_booleans),
}
_PURPOSES = (*_QUIRKS, Purpose.BROKEN, Purpose.BROKEN_KIND)


def _counter(name: str, value: object) -> Callable[[Record], Any]:
    return lambda record: record | {"staResult": record["staResult"] | {name: value}}


def _field(name: str, value: object) -> Callable[[Record], Any]:
    return lambda record: record | {name: value}


def _without_id(record: Record) -> Record:
    return {name: value for name, value in record.items() if name != "operationId"}


BREAKAGES: dict[str, Callable[[Record], Any]] = {
    "not an object": lambda record: record["operationId"],
    "null": lambda _: None,
    "no operationId": _without_id,
    "null operationId": _field("operationId", None),
    "null createTime": _field("createTime", None),
    "garbage createTime": _field("createTime", "20261341T996199Z"),
    "negative counter": _counter("success", -1),
    "non-numeric counter": _counter("fail", "many"),
    "counter that is a list": _counter("wait", [1]),
    "policy that is a string": _field("policy", "now"),
    "devices that are no strings": lambda record: (
        record | {"targets": record["targets"] | {"devices": [17, None, {"id": "x"}]}}
    ),
    "targets that are a list": _field("targets", ["x"]),
    "staResult that is a string": _field("staResult", "12/12"),
    "extendPara that is a list": _field("extendPara", [1, 2]),
    "status that is a number": _field("status", 4),
}
_BREAKERS = tuple(BREAKAGES.values())


def apply(dials: Dials, rows: Rows, records: list[Record]) -> list[object]:
    """The records as this platform would send them."""
    if not dials.quirks and not dials.broken:
        return list(records)
    drawn = uniforms(dials.seed, rows["number"], _PURPOSES).T.tolist()
    products = rows["product"].tolist()
    return [
        _apply_one(dials, PRODUCTS[p].counts_timeouts_as_fail, r, us)
        for p, r, us in zip(products, records, drawn, strict=True)
    ]


def _apply_one(dials: Dials, counts_timeouts: bool, record: Record, drawn: list[float]) -> object:  # noqa: FBT001 - one flag of one row
    *chances, broken, kind = drawn
    if counts_timeouts and dials.quirks:
        record["staResult"]["fail"] += record["staResult"]["timeout"]
    for u, (share, change) in zip(chances, _QUIRKS.values(), strict=True):
        threshold = share * dials.quirks
        if u < threshold:
            change(record, u / threshold)
    return _BREAKERS[int(kind * len(_BREAKERS))](record) if broken < dials.broken else record
