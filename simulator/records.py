"""A task as the platform describes it: an OperationInfo, field by field as documented, then with its oddities.

Tasks are rendered many at a time, because numpy's cost is per call. What can't change before the next event is kept.
"""

import time
from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np

from simulator import catalogue, oddities, timeline
from simulator.devices import Devices
from simulator.dials import Dials
from simulator.draws import Integers, Purpose, uniforms
from simulator.fleet import Fleet
from simulator.rhythm import DAY_SECONDS
from simulator.timeline import Moment, Rows, Status

_NAMES = {
    Status.WAIT: "wait",
    Status.PROCESSING: "processing",
    Status.SUCCESS: "success",
    Status.FAILED: "failed",
    Status.STOP: "stop",
}
_COUNTERS = ("wait", "processing", "success", "fail", "stop", "timeout")
_KEPT = 200_000  # records, about 1 kB each
_BLOCK = 2_000
_encode = msgspec.json.Encoder().encode


def time_text(instant: float) -> str:
    """As the API writes instants."""
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(instant))


class Records:
    """The records of a fleet as JSON."""

    def __init__(self, fleet: Fleet, devices: Devices) -> None:
        self._fleet, self._devices, self._dials = fleet, devices, fleet.dials
        self._kept: dict[int, bytes] = {}
        self._most_kept = _KEPT

    def forget(self, positions: Integers) -> None:
        """Some tasks have changed."""
        for position in positions.tolist():
            self._kept.pop(position, None)

    def prerender(self, now: float) -> None:
        """Render every living task now, and keep them all."""
        self._most_kept = 1 << 62
        for _ in self.all(now):
            pass

    def all(self, now: float) -> Iterator[bytes]:
        """Every task that lives now, oldest first, as it is at this instant even if time goes on while one reads."""
        positions = np.flatnonzero(self._fleet.status != Status.GONE)
        version = self._fleet.version
        for start in range(0, len(positions), _BLOCK):
            block = positions[start : start + _BLOCK]
            yield from self.get(block, now) if version == self._fleet.version else self._render(block, now)

    def get(self, positions: Integers, now: float) -> list[bytes]:
        """The records of some living tasks, each a JSON text."""
        wanted = positions.tolist()
        found = [self._kept.get(position) for position in wanted]
        missing = [index for index, record in enumerate(found) if record is None]
        if missing:
            chosen = positions[missing]
            if len(self._kept) + len(missing) > self._most_kept:
                self._kept.clear()
            is_still = (self._fleet.status[chosen] != Status.PROCESSING).tolist()
            for index, record, still in zip(missing, self._render(chosen, now), is_still, strict=True):
                found[index] = record
                if still:
                    self._kept[wanted[index]] = record
        return found  # type: ignore[return-value]

    def _render(self, positions: Integers, now: float) -> list[bytes]:
        rows = self._fleet.rows[positions]
        moment = timeline.moment(self._dials, rows, now)
        records: list[Any] = _describe(
            self._dials, rows, moment, self._fleet.operation_ids(positions), self._devices.json_lists(rows)
        )
        return [_encode(record) for record in oddities.apply(self._dials, rows, records)]


def _counters(dials: Dials, rows: Rows, moment: Moment) -> list[list[int]]:
    """The six counters of each task, in the order of `_COUNTERS`.

    Devices finish evenly over a run, the last ones at its end. Successes and failures mix evenly too, whatever the size
    of the task: a task in its first third has the success rate of the whole, on average.
    """
    for_success, for_timeouts = uniforms(dials.seed, rows["number"], (Purpose.GROWTH, Purpose.TIMEOUTS))
    before = np.where(moment.run == 0, 0, timeline.success_after(dials, rows, np.maximum(moment.run - 1, 0)))
    gain = timeline.success_after(dials, rows, moment.run) - before
    tried = rows["attempted"] - before
    finished = np.floor(tried * moment.progress).astype(np.int64)
    success = before + np.floor(finished * gain / np.maximum(tried, 1) + for_success).astype(np.int64)
    lost = before + finished - success
    timeout = np.floor(lost * catalogue.TIMEOUT_SHARE + for_timeouts).astype(np.int64)
    stop = np.where(moment.status == Status.STOP, rows["total"] - rows["attempted"], 0)
    left = rows["total"] - success - lost - stop
    processing = np.where(moment.status == Status.PROCESSING, np.minimum(left, np.maximum(1, rows["total"] // 4)), 0)
    columns = [left - processing, processing, success, lost - timeout, stop, timeout]
    counters: list[list[int]] = np.stack(columns, axis=1).tolist()
    return counters


def _targets(row: dict[str, Any], devices: bytes) -> dict[str, Any]:
    product = catalogue.PRODUCTS[row["product"]]
    groups = (
        []
        if row["names_devices"]
        else [f"{product.device_type}-{row['number'] % 40:02d}", f"region-{row['number'] % 7}"]
    )
    return {
        "deviceGroups": groups[: 1 + row["number"] % 2],
        "deviceType": product.device_type,
        "model": product.model,
        "manufacturerName": product.manufacturer_name,
        "devices": msgspec.Raw(devices),
    }


def _policy(row: dict[str, Any], retry: float, times: float) -> dict[str, Any]:
    policy: dict[str, Any] = {"executeType": timeline.POLICIES[row["policy"]]}
    if policy["executeType"] == "custom":
        policy |= {"startTime": time_text(row["started"]), "endTime": time_text(row["started"] + 2 * DAY_SECONDS)}
    policy["retryType"] = retry < 0.4
    if policy["retryType"]:
        policy["retryTimes"] = 1 + int(5 * times)
    return policy


def _describe(dials: Dials, rows: Rows, moment: Moment, ids: list[str], devices: list[bytes]) -> list[dict[str, Any]]:
    """Clean, documented records."""
    drawn = uniforms(dials.seed, rows["number"], (Purpose.RETRY_TYPE, Purpose.RETRY_TIMES)).T.tolist()
    stopped_at = np.where(moment.run > rows["retries"], rows["ended_again"], rows["ended"]).tolist()
    names = rows.dtype.names or ()
    columns = (rows.tolist(), moment.status.tolist(), stopped_at, ids, devices, _counters(dials, rows, moment), drawn)
    described = []
    for values, status, stopped, operation_id, named, counts, (retry, times) in zip(*columns, strict=True):
        row = dict(zip(names, values, strict=True))
        record = {
            "operationId": operation_id,
            "createTime": time_text(row["created"]),
            "startTime": None if status == Status.WAIT else time_text(row["started"]),
            "stopTime": None if status <= Status.PROCESSING else time_text(stopped),
            "operateType": catalogue.KINDS[row["kind"]],
            "targets": _targets(row, named),
            "policy": _policy(row, retry, times),
            "status": _NAMES[status],
            "staResult": {"total": row["total"], **dict(zip(_COUNTERS, counts, strict=True))},
            "extendPara": {"fileVersion": catalogue.VERSIONS[row["kind"]][row["version"]]},
        }
        described.append(record)
    return described
