"""The devices that a task names: a run of neighbours in their product's population, under opaque ids."""

import numpy as np
import numpy.typing as npt

from simulator.draws import Cipher, Integers, Numbers, Purpose, uniforms
from simulator.timeline import Rows

POPULATION = 50_000  # devices of each product
_DEVICE_SALT = 21
_QUOTED = 39  # quote, 36 characters, quote, comma
_HEX = np.frombuffer(b"0123456789abcdef", dtype=np.uint8)
_PLACES = np.array([1 + i + sum(i >= dash for dash in (8, 12, 16, 20)) for i in range(32)])


class Devices:
    """Which devices belong to which task, both ways."""

    def __init__(self, seed: int) -> None:
        self._seed, self._cipher = seed, Cipher(seed, _DEVICE_SALT)

    def _first(self, rows: Rows) -> Integers:
        first: Integers = (uniforms(self._seed, rows["number"], (Purpose.DEVICES,))[0] * POPULATION).astype(np.int64)
        return first

    def json_lists(self, rows: Rows) -> list[bytes]:
        """For each task the JSON list of its device ids; `[]` for a task that names none."""
        counts = np.where(rows["names_devices"], rows["total"], 0).astype(np.int64)
        ends = np.cumsum(counts)
        within = np.arange(int(ends[-1]) if len(ends) else 0) - np.repeat(ends - counts, counts)
        indexes = (np.repeat(self._first(rows), counts) + within) % POPULATION
        numbers = np.repeat(rows["product"].astype(np.uint64), counts) * np.uint64(POPULATION) + indexes.astype(
            np.uint64
        )
        text = self._quoted(numbers)
        bounds = (ends * _QUOTED).tolist()
        return [
            b"[" + text[start : max(end - 1, start)] + b"]" for start, end in zip([0, *bounds], bounds, strict=False)
        ]

    def _quoted(self, numbers: Numbers) -> bytes:
        """`"8-4-4-4-12",` for every number, one after the other."""
        octets = self._cipher.encode(numbers).astype(">u8").view(np.uint8).reshape(len(numbers), 16)
        digits = np.stack([octets >> 4, octets & 15], axis=2).reshape(len(numbers), 32)
        text = np.full((len(numbers), _QUOTED), ord("-"), dtype=np.uint8)
        text[:, _PLACES] = _HEX[digits]
        text[:, [0, 37]] = ord('"')
        text[:, 38] = ord(",")
        return text.tobytes()

    def owners(self, rows: Rows, device_id: str) -> npt.NDArray[np.bool_]:
        """For each task, whether it names the device."""
        number = self._cipher.decode(device_id.replace("-", "")) if len(device_id) == 36 else None
        is_owner = np.zeros(len(rows), dtype=np.bool_)
        if number is None or device_id != self.text(number):
            return is_owner
        product, index = divmod(number, POPULATION)
        candidates = np.flatnonzero((rows["product"] == product) & rows["names_devices"])
        offset = (index - self._first(rows[candidates])) % POPULATION
        is_owner[candidates] = offset < rows["total"][candidates]
        return is_owner

    def text(self, number: int) -> str:
        """The id of a device."""
        return self._quoted(np.array([number], dtype=np.uint64))[1:37].decode()
