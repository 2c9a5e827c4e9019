"""The life of a task: when it is created, starts, ends, is retried and vanishes, and how many devices succeed.

All of it is drawn at once from the task's number, as one row of `ROW`; its status at any instant is then a comparison.
How a task looks as a record is not decided here.
"""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from simulator import catalogue
from simulator.dials import Dials
from simulator.draws import Floats, Integers, Numbers, Purpose, mix, uniforms
from simulator.rhythm import DAY_SECONDS, average_days, instants_after

_INSTANTS = ("created", "started", "ended", "retried", "ended_again", "removed")
_COUNTS = ("total", "attempted", "success")
_CHOICES = ("product", "kind", "version", "policy", "retries")
_FLAGS = ("names_devices", "is_stopped")
ROW = np.dtype(
    [
        ("number", "u8"),
        *((name, "f8") for name in _INSTANTS),
        *((name, "i4") for name in _COUNTS),
        *((name, "u1") for name in _CHOICES),
        *((name, "?") for name in _FLAGS),
    ]
)
Rows = npt.NDArray[np.void]
POLICIES = ("now", "device_online", "custom")
MOST_DEVICES = 256
NEVER = np.inf
SUCCESS_FROM = 0.8  # a task succeeds when so many of its attempted devices do
_FAILED_SHARE = 0.095  # of all tasks, measured; turns "retries per day" into a probability
_PER_DAY_WHEN_NONE = 2000.0
_DRAWN = tuple(Purpose)[: Purpose.REMOVED_AFTER]


class Status(IntEnum):
    """Where a task stands. GONE is not a status of the API: the task has vanished."""

    WAIT = 0
    PROCESSING = 1
    SUCCESS = 2
    FAILED = 3
    STOP = 4
    GONE = 5


@dataclass(frozen=True)
class Moment:
    """Where each task stands at one instant: its status, its run (0: the first), how far the run is (0 to 1)."""

    status: npt.NDArray[np.uint8]
    run: Integers
    progress: Floats


def pace(dials: Dials) -> float:
    """Tasks on an average day."""
    return dials.tasks_per_day or _PER_DAY_WHEN_NONE


def numbers_until(dials: Dials, instant: float) -> int:
    """The first task number that is created after an instant."""
    reached = float(average_days(np.array([instant]))[0]) * pace(dials)
    whole = int(reached)
    return whole + int(_offsets(dials, np.array([whole], dtype=np.uint64))[0] <= reached - whole)


def created_at(dials: Dials, numbers: Numbers) -> Floats:
    """When naturally created tasks are created."""
    return instants_after((numbers + _offsets(dials, numbers)) / pace(dials))


def _offsets(dials: Dials, numbers: Numbers) -> Floats:
    return np.asarray(uniforms(dials.seed, numbers, (Purpose.CREATED,))[0], dtype=np.float64)


def draw(dials: Dials, numbers: Numbers, created: Floats, launched_at: float) -> Rows:
    """One row for each task number; before `launched_at` no task installs the newest version."""
    drawn = dict(zip(_DRAWN, uniforms(dials.seed, numbers, _DRAWN), strict=True))
    rows = np.zeros(len(numbers), dtype=ROW)
    rows["number"], rows["created"] = numbers, created
    _draw_subject(rows, drawn, dials, launched_at)
    _draw_run(rows, drawn, dials)
    rows["success"] = _draw_success(rows, drawn, dials)
    _draw_afterlife(rows, drawn, dials)
    return rows


def _draw_subject(rows: Rows, drawn: dict[Purpose, Floats], dials: Dials, launched_at: float) -> None:
    """Which product and version, at which devices. Totals are geometric, four times as large for groups."""
    rows["product"] = np.searchsorted(catalogue.PRODUCT_LIMITS, drawn[Purpose.PRODUCT], side="right")
    rows["kind"] = drawn[Purpose.KIND] < 0.35
    version = np.searchsorted(catalogue.VERSION_LIMITS, drawn[Purpose.VERSION], side="right")
    newest = len(catalogue.VERSION_LIMITS) - 1
    rows["version"] = np.where((version == newest) & (rows["created"] < launched_at), newest - 1, version)
    is_empty = drawn[Purpose.EMPTY] < 0.015
    rows["names_devices"] = (drawn[Purpose.TARGET] < 0.85) & ~is_empty
    mean = np.where(rows["names_devices"], dials.devices, dials.devices * 4)
    stay = np.log(np.maximum(1 - 1 / np.maximum(mean, 1), 1e-12))
    totals = 1 + np.floor(np.log(1 - drawn[Purpose.TOTAL]) / stay)
    rows["total"] = np.where(
        is_empty, 0, np.minimum(totals, np.where(rows["names_devices"], MOST_DEVICES, 16 * MOST_DEVICES))
    )


def _life_hours(u: Floats, median_hours: float) -> Floats:
    """Median as given, mean about the same, a Pareto tail: one task in 10,000 takes 17 times the median."""
    return np.asarray(median_hours * np.where(u < 0.5, (2 * u) ** 1.2, (2 * (1 - u)) ** -0.33), dtype=np.float64)


def _draw_run(rows: Rows, drawn: dict[Purpose, Floats], dials: Dials) -> None:
    """The first run. A task waits for its hour or its devices, or hardly at all; one in 25 is stopped half-way."""
    rows["policy"] = np.searchsorted([0.6, 0.85], drawn[Purpose.POLICY], side="right")
    waits = drawn[Purpose.WAIT] * np.array([0.1, 0.6, 0.8])[rows["policy"]]
    life = 30 + 3600 * _life_hours(drawn[Purpose.LIFE], dials.median_life_hours)
    rows["started"] = rows["created"] + 1 + waits * life
    rows["ended"] = rows["created"] + 2 + life
    rows["is_stopped"] = (drawn[Purpose.STOPPED] < 0.04) & (rows["total"] > 0)
    attempted = np.floor(rows["total"] * drawn[Purpose.STOPPED_AT])
    rows["attempted"] = np.where(rows["is_stopped"], attempted, rows["total"])


def _draw_success(rows: Rows, drawn: dict[Purpose, Floats], dials: Dials) -> Integers:
    """Successes of the first run: every attempted device draws for itself, with its task's probability."""
    failure = 1 - catalogue.TRUE_RATES[rows["product"], rows["kind"], rows["version"]]
    unlucky = np.minimum(failure * catalogue.BAD_LUCK_FACTOR, catalogue.BAD_LUCK_LIMIT)
    lucky = (failure - catalogue.BAD_LUCK_SHARE * unlucky) / (1 - catalogue.BAD_LUCK_SHARE)
    failure = np.where(drawn[Purpose.BAD_LUCK] < catalogue.BAD_LUCK_SHARE, unlucky, lucky)
    ends = np.cumsum(rows["attempted"], dtype=np.int64)
    owners = np.repeat(np.arange(len(rows)), rows["attempted"])
    within = np.arange(len(owners)) - np.repeat(ends - rows["attempted"], rows["attempted"])
    device_numbers = mix(rows["number"][owners] * np.uint64(4096 * 8)) + within.astype(np.uint64)
    succeeds = uniforms(dials.seed, device_numbers, (Purpose.OUTCOME,))[0] >= failure[owners]
    return np.bincount(owners, weights=succeeds, minlength=len(rows)).astype(np.int64)


def _draw_afterlife(rows: Rows, drawn: dict[Purpose, Floats], dials: Dials) -> None:
    """Some failed tasks are retried, some tasks vanish, after exponential delays of 12 hours and 10 days on average."""
    is_failed = outcomes(rows, rows["success"]) == Status.FAILED
    is_retried = is_failed & (drawn[Purpose.RETRIED] < dials.retries_per_day / (pace(dials) * _FAILED_SHARE))
    after = 60 - 0.5 * DAY_SECONDS * np.log(1 - drawn[Purpose.RETRIED_AFTER])
    rows["retried"] = np.where(is_retried, rows["ended"] + after, NEVER)
    life = 30 + 1800 * _life_hours(drawn[Purpose.RETRY_LIFE], dials.median_life_hours)
    rows["ended_again"] = np.where(is_retried, rows["retried"] + life, NEVER)
    vanishes = drawn[Purpose.REMOVED] < dials.removals_per_day / pace(dials)
    after = 60 - 10 * DAY_SECONDS * np.log(1 - drawn[Purpose.REMOVED_AFTER])
    rows["removed"] = np.where(vanishes, rows["created"] + after, NEVER)


def retry_life_seconds(dials: Dials, numbers: Numbers, run: int) -> Floats:
    """How long a retry takes that somebody asked for."""
    drawn = uniforms(dials.seed, numbers, (Purpose.RETRY_LIFE + 100 * run,))[0]
    return 30 + 1800 * _life_hours(drawn, dials.median_life_hours)


def outcomes(rows: Rows, success: Integers) -> npt.NDArray[np.uint8]:
    """The status of ended tasks with so many successes. A task with nothing to do succeeds."""
    is_failed = success < SUCCESS_FROM * rows["attempted"]
    ended = np.where(is_failed, Status.FAILED, Status.SUCCESS)
    return np.where(rows["is_stopped"], Status.STOP, ended).astype(np.uint8)


def success_after(dials: Dials, rows: Rows, runs: Integers) -> Integers:
    """Successes after each row's run (0: the first); a retry recovers half of the failed devices."""
    success = rows["success"].astype(np.int64)
    for run in range(1, int(runs.max(initial=0)) + 1):
        drawn = uniforms(dials.seed, rows["number"], (Purpose.RECOVERY + run,))[0]
        recovered = np.floor((rows["attempted"] - success) * catalogue.RECOVERY + drawn).astype(np.int64)
        success = success + np.where(runs >= run, recovered, 0)
    return success


def moment(dials: Dials, rows: Rows, instant: float) -> Moment:
    """Where the tasks stand at an instant."""
    is_retried = rows["retried"] <= instant
    begun = np.where(is_retried, rows["retried"], rows["started"])
    finished = np.where(is_retried, rows["ended_again"], rows["ended"])
    done = (instant - begun) / np.maximum(finished - begun, 1e-9)
    progress = np.where(instant < finished, np.clip(done, 0.0, 1.0), 1.0)
    run = rows["retries"] + is_retried.astype(np.int64)
    ended = outcomes(rows, success_after(dials, rows, run))
    status = np.where(instant < finished, np.uint8(Status.PROCESSING), ended)
    status[instant < rows["started"]] = Status.WAIT
    status[rows["removed"] <= instant] = Status.GONE
    progress[status == Status.WAIT] = 0.0
    return Moment(status.astype(np.uint8), run, progress)


def next_change(rows: Rows, instant: float) -> Floats:
    """When the status of each task changes next; infinite for never."""
    times = np.stack([rows[name] for name in ("started", "ended", "retried", "ended_again", "removed")])
    upcoming = np.where(times > instant, times, NEVER).min(axis=0)
    return np.asarray(np.where(rows["removed"] <= instant, NEVER, upcoming), dtype=np.float64)
