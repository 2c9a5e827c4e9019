"""Which tasks a list call means, and in what order."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from simulator import catalogue
from simulator.catalogue import PRODUCTS
from simulator.devices import Devices
from simulator.draws import Integers, Numbers, Purpose, key_of, mix
from simulator.fleet import Fleet
from simulator.timeline import Status

STATUSES = {
    "wait": Status.WAIT,
    "processing": Status.PROCESSING,
    "success": Status.SUCCESS,
    "failed": Status.FAILED,
    "stop": Status.STOP,
}


@dataclass(frozen=True)
class Filter:
    """The list's six filters; None matches everything."""

    operation_type: str | None = None
    operation_status: str | None = None
    device_type: str | None = None
    model: str | None = None
    manufacturer_name: str | None = None
    device_id: str | None = None


EVERYTHING = Filter()
PARAMETERS = {
    "operationType": "operation_type",
    "operationStatus": "operation_status",
    "deviceType": "device_type",
    "model": "model",
    "manufacturerName": "manufacturer_name",
    "deviceId": "device_id",
}


class Search:
    """Answers filters over a fleet; each answer is kept until the fleet changes."""

    def __init__(self, fleet: Fleet, devices: Devices) -> None:
        self._fleet, self._devices = fleet, devices
        self._answers: dict[Filter, Integers] = {}
        self._version = -1
        self._requests = 0
        self._shuffled: Integers = np.zeros(0, dtype=np.int64)
        self._keys: Numbers = np.zeros(0, dtype=np.uint64)

    def positions(self, wanted: Filter) -> Integers:
        """The living tasks that match, in the order of the list."""
        order = self._fleet.dials.order
        if order == "unstable":
            self._requests += 1
            generator = np.random.default_rng([self._fleet.dials.seed, self._requests])
            return generator.permutation(self._matching(wanted))
        found = self._matching(wanted)
        return found[::-1] if order == "newest" else found

    def _matching(self, wanted: Filter) -> Integers:
        if self._version != self._fleet.version:
            self._answers.clear()
            self._version = self._fleet.version
        if wanted not in self._answers:
            mask = self._mask(wanted)
            self._answers[wanted] = (
                self._in_random_order(mask) if self._fleet.dials.order == "random" else np.flatnonzero(mask)
            )
        return self._answers[wanted]

    def _mask(self, wanted: Filter) -> npt.NDArray[np.bool_]:
        status, rows = self._fleet.status, self._fleet.rows
        name = wanted.operation_status
        mask: npt.NDArray[np.bool_] = status != Status.GONE if name is None else status == STATUSES[name]
        if wanted.operation_type is not None:
            mask &= rows["kind"] == catalogue.KINDS.index(wanted.operation_type)
        if (wanted.device_type, wanted.model, wanted.manufacturer_name) != (None, None, None):
            mask &= _products(wanted)[rows["product"]]
        if wanted.device_id is not None:
            mask &= self._devices.owners(rows, wanted.device_id)
        return mask

    def _in_random_order(self, mask: npt.NDArray[np.bool_]) -> Integers:
        """Sorted by a hash of the task's number; tasks that are new since the last time are merged in."""
        known = len(self._shuffled)
        if known < self._fleet.size:
            numbers = self._fleet.rows["number"][known:]
            keys = mix(numbers ^ np.uint64(key_of(self._fleet.dials.seed, Purpose.ORDER)))
            arrivals = np.argsort(keys)
            places = np.searchsorted(self._keys, keys[arrivals])
            self._keys = np.insert(self._keys, places, keys[arrivals])
            self._shuffled = np.insert(self._shuffled, places, arrivals + known)
        return self._shuffled[mask[self._shuffled]]


def _products(wanted: Filter) -> npt.NDArray[np.bool_]:
    """For each product, whether it matches."""
    return np.array(
        [
            wanted.device_type in (None, product.device_type)
            and wanted.model in (None, product.model)
            and wanted.manufacturer_name in (None, product.manufacturer_name)
            for product in PRODUCTS
        ]
    )
