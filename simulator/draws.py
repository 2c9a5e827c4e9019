"""Repeatable chance: every number is a function of the seed, a task's number and a purpose, in any order of asking.

A counter-based generator (the finalizer of splitmix64) instead of a stream: task 731,204 can be drawn alone, a million
at once, and after a restart, always with the same result. The finalizer is a bijection, so that ids look random and yet
lead back to what they name without an index.
"""

from enum import IntEnum, auto
from functools import lru_cache

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Numbers = npt.NDArray[np.uint64]

_GOLDEN = 0x9E3779B97F4A7C15
_FIRST, _SECOND = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
_MASK = (1 << 64) - 1
_FIRST_INVERSE, _SECOND_INVERSE = pow(_FIRST, -1, 1 << 64), pow(_SECOND, -1, 1 << 64)
_U = np.uint64


class Purpose(IntEnum):
    """What a uniform number is drawn for."""

    CREATED = auto()
    PRODUCT = auto()
    KIND = auto()
    VERSION = auto()
    LIFE = auto()
    WAIT = auto()
    POLICY = auto()
    TARGET = auto()
    TOTAL = auto()
    EMPTY = auto()
    STOPPED = auto()
    STOPPED_AT = auto()
    BAD_LUCK = auto()
    RETRIED = auto()
    RETRIED_AFTER = auto()
    RETRY_LIFE = auto()
    REMOVED = auto()
    REMOVED_AFTER = auto()
    GROWTH = auto()
    TIMEOUTS = auto()
    RETRY_TYPE = auto()
    RETRY_TIMES = auto()
    DEVICES = auto()
    ORDER = auto()
    BROKEN = auto()
    BROKEN_KIND = auto()
    ODD_STATUS = auto()
    ODD_TOTAL = auto()
    ODD_STOP_TIME = auto()
    ODD_POLICY = auto()
    ODD_TARGETS = auto()
    ODD_NEW_FIELDS = auto()
    ODD_NUMBERS = auto()
    ODD_BOOLEANS = auto()
    OUTCOME = 1000
    RECOVERY = 2000


def mix(numbers: Numbers) -> Numbers:
    """The finalizer of splitmix64, element by element: a bijection in which every bit depends on every bit."""
    mixed = numbers ^ (numbers >> _U(30))
    mixed *= _U(_FIRST)
    mixed ^= mixed >> _U(27)
    mixed *= _U(_SECOND)
    mixed ^= mixed >> _U(31)
    return mixed


def mix_one(number: int) -> int:
    """`mix` for one Python integer."""
    number = ((number ^ (number >> 30)) * _FIRST) & _MASK
    number = ((number ^ (number >> 27)) * _SECOND) & _MASK
    return number ^ (number >> 31)


def unmix_one(number: int) -> int:
    """The inverse of `mix_one`."""
    number = _unshift(number, 31)
    number = _unshift((number * _SECOND_INVERSE) & _MASK, 27)
    return _unshift((number * _FIRST_INVERSE) & _MASK, 30)


def _unshift(number: int, bits: int) -> int:
    """The inverse of `x ^ (x >> bits)`."""
    result = number
    for _ in range(64 // bits):
        result = number ^ (result >> bits)
    return result


def key_of(seed: int, salt: int) -> int:
    """A 64-bit key for one use of a seed."""
    return mix_one((mix_one(seed & _MASK) + salt * _GOLDEN) & _MASK)


@lru_cache(maxsize=256)
def _keys(seed: int, purposes: tuple[int, ...]) -> Numbers:
    """The keys of some purposes, as a column."""
    return np.array([[key_of(seed, purpose)] for purpose in purposes], dtype=np.uint64)


def uniforms(seed: int, numbers: Numbers, purposes: tuple[int, ...]) -> Floats:
    """Uniform numbers in [0, 1): one row per purpose, one column per task number."""
    mixed = mix(mix(numbers * _U(_GOLDEN))[None, :] ^ _keys(seed, purposes))
    return np.asarray((mixed >> _U(11)) * 2.0**-53, dtype=np.float64)


class Cipher:
    """Opaque ids of 32 hex digits that lead back to a number."""

    def __init__(self, seed: int, salt: int) -> None:
        self._key, self._tail_key = key_of(seed, salt), key_of(seed, salt + 1)

    def encode(self, numbers: Numbers) -> Numbers:
        """Two 64-bit words for each number, as an array of shape (n, 2)."""
        head = mix(numbers ^ _U(self._key))
        return np.stack([head, mix(head ^ _U(self._tail_key))], axis=1)

    def texts(self, numbers: Numbers) -> list[str]:
        """The ids of numbers."""
        digits = self.encode(numbers).astype(">u8").tobytes().hex()
        return [digits[start : start + 32] for start in range(0, len(digits), 32)]

    def decode(self, text: str) -> int | None:
        """The number that an id names, or None for a text that is no id of ours."""
        try:
            head, tail = int(text[:16], 16), int(text[16:], 16)
        except ValueError:
            return None
        number = unmix_one(head) ^ self._key
        is_ours = len(text) == 32 and tail == mix_one(head ^ self._tail_key) and text == f"{head:016x}{tail:016x}"
        return number if is_ours else None
