"""Never more than N calls in any 60 s, whatever the workers, also across two runs one after the other.

N slots; a call takes the slot that is free first and gives it back 60 s after its response. So however long a call
travels, the platform can't count more than N of them in a minute. Ready-made limiters stamp the moment a call is sent,
which lets N + 1 calls arrive within 60 s when one travels slower than another (docs/decisions/2026-11-pacing.md).

The slots lie in a small file, mapped into memory: whatever the kernel knew when a process died, the next one reads.
"""

from __future__ import annotations

import contextlib
import heapq
import math
import mmap
import os
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

WINDOW_SECONDS = 60.0


class Quota:
    """Slots for calls. Safe for threads; one process at a time, the warehouse's lock sees to that.

    Raises OSError if the file can't be made.

    Instants are seconds of the system's monotonic clock, which all processes since the last boot share. Slots of an
    earlier boot or in use when a process died are taken to be given back now.
    """

    def __init__(
        self,
        calls_per_minute: int,
        file: Path,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.calls_per_minute = calls_per_minute
        self.calls = 0
        self.waited_seconds = 0.0
        self._clock, self._sleep = clock, sleep
        self._lock = threading.Lock()
        self._slots = _open_slots(file, calls_per_minute)
        latest = clock() + WINDOW_SECONDS
        stored = sorted(min(value, latest) for (value,) in struct.iter_unpack("d", self._slots))
        self._slots[:] = struct.pack(f"{len(stored)}d", *stored)
        used = range(len(stored) - calls_per_minute, len(stored))  # the others count again if the quota is raised again
        self._free = [(stored[index], index) for index in used]  # sorted, so it is a heap
        self._returned = threading.Condition(self._lock)

    @property
    def used(self) -> int:
        """Calls that count now: in flight, or answered within the last 60 s."""
        with self._lock:
            return self.calls_per_minute - len([free_at for free_at, _ in self._free if free_at <= self._clock()])

    @contextlib.contextmanager
    def slot(self) -> Iterator[None]:
        """Hold a slot for the time of one call; waits until one is free."""
        index = self._take()
        try:
            yield
        finally:
            with self._returned:
                free_at = self._clock() + WINDOW_SECONDS
                self._write(index, free_at)
                heapq.heappush(self._free, (free_at, index))
                self._returned.notify()

    def seconds_for(self, calls: int) -> float:
        """How long `calls` more calls will take at least, were each answered at once."""
        windows, rest = divmod(max(calls, 1) - 1, self.calls_per_minute)
        with self._lock:
            next_free = heapq.nsmallest(rest + 1, self._free)
        wait = next_free[-1][0] - self._clock() if next_free else WINDOW_SECONDS
        return max(0.0, wait) + windows * WINDOW_SECONDS

    def _take(self) -> int:
        with self._returned:
            while not self._free:
                self._returned.wait()
            free_at, index = heapq.heappop(self._free)
            self._write(index, math.inf)
            self.calls += 1
        wait = free_at - self._clock()
        if wait > 0:
            self.waited_seconds += wait
            self._sleep(wait)
        return index

    def _write(self, index: int, free_at: float) -> None:
        struct.pack_into("d", self._slots, index * 8, free_at)


def _open_slots(file: Path, count: int) -> mmap.mmap:
    with file.open("a+b") as handle:
        size = max(handle.seek(0, 2) // 8, count) * 8
        os.posix_fallocate(handle.fileno(), 0, size)  # a page without a block on a full disk would kill the process
        return mmap.mmap(handle.fileno(), size)
