"""Past rollouts replayed look by look and minute by minute, straight from the definitions: what a backtest must find.

Nothing here is clever: states are kept in a dict, rates are fractions, and that a course was observed closely enough is
asked of each of its minutes. Times are seconds since an epoch of the test's own.
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

HOUR = 3600
HALF_HOUR = HOUR // 2  # times of a fleet are multiples of it: what is unobserved is then at least a minute long
MINUTE = 60
NAMES = ("total", "wait", "processing", "success", "fail", "stop", "timeout")

Counters = dict[str, int] | None


@dataclass(frozen=True)
class Sync:
    """A sync; an interrupted one is no look."""

    number: int
    finished: int
    is_look: bool


@dataclass(frozen=True)
class Task:
    """A task with the states that syncs met, by the number of the sync; the last one is today's."""

    name: str
    rollout: tuple[str, str | None]
    created: int
    status: str
    removed: int | None
    states: list[tuple[int, Counters]]

    @property
    def is_active(self) -> bool:
        return self.status in ("wait", "processing")


@dataclass(frozen=True)
class Stop:
    """A rollout that a rule would have stopped."""

    look: int
    age: int
    finished: int
    failure_rate: Fraction | None
    final_failure_rate: Fraction | None
    is_good: bool | None
    spared: int
    failures_after: int


def total(states: list[Counters]) -> dict[str, int] | None:
    """Sums over tasks; None where none of them has counters."""
    known = [counters for counters in states if counters is not None]
    return {name: sum(counters[name] for counters in known) for name in known[0]} if known else None


def finished(counters: dict[str, int]) -> int:
    return counters["success"] + counters["fail"] + counters["timeout"]


def failed(counters: dict[str, int]) -> int:
    return counters["fail"] + counters["timeout"]


def begun(counters: dict[str, int]) -> int:
    return counters["processing"] + finished(counters)


def is_near(moment: int, other: int, age: int) -> bool:
    """Within an hour, or within 10 % of the age."""
    return 10 * abs(moment - other) <= max(10 * HOUR, age)


def is_observed(tasks: list[Task], syncs: list[Sync]) -> bool:
    """Whether at each minute of its life some look is near.

    And, at each minute from a task's creation to the look that first knew it, one of these two.
    """
    looks = [sync for sync in syncs if sync.is_look]
    start = min(task.created for task in tasks)
    ends, met = [], {}
    for task in tasks:
        met[task.name] = next((look.finished for look in looks if look.number >= task.states[0][0]), None)
        if met[task.name] is None:
            return False
        since_last_state = [look.finished for look in looks if look.number >= task.states[-1][0]]
        if task.is_active and task.removed is not None:  # until it was found to be gone
            since_last_state = [look.finished for look in looks if look.finished >= task.removed]
        ends.append(
            looks[-1].finished
            if task.is_active and task.removed is None
            else min(since_last_state, default=looks[-1].finished)
        )
    for moment in range(start, max(ends) + 1, MINUTE):
        age = moment - start
        if not any(is_near(moment, look.finished, age) for look in looks):
            return False
        for task in tasks:
            is_unmet = task.created <= moment <= met[task.name]
            if is_unmet and not any(is_near(moment, known, age) for known in (task.created, met[task.name])):
                return False
    return True


def holds(rule: Any, counters: dict[str, int], size: int | None) -> bool:
    """Whether a rule (measure, operator, threshold, after) would stop a rollout that stands so."""
    measure, operator, threshold, after = rule
    base = finished(counters) if measure == "failure_rate" else size
    if not base or finished(counters) < after:
        return False
    rate = Fraction(failed(counters), base)
    return rate > threshold or (operator == ">=" and rate == threshold)


def replay(tasks: list[Task], syncs: list[Sync], rule: Any, target: Fraction) -> Stop | None:
    """Go from look to look with what was known of each task: the first look at which the rule holds, if there is one.

    A task without counters adds nothing.
    """
    now = total([task.states[-1][1] for task in tasks])
    for look in syncs:
        if not look.is_look:
            continue
        newest = {}
        for task in tasks:
            for number, counters in task.states:
                if number <= look.number:
                    newest[task.name] = counters
        then = total(list(newest.values())) or dict.fromkeys(NAMES, 0)
        if not newest or not holds(rule, then, now["total"] if now else None):
            continue
        final = Fraction(failed(now), finished(now)) if now and finished(now) else None
        spared = max(begun(now) - begun(then), 0) if now else 0
        return Stop(
            look=look.finished,
            age=look.finished - min(task.created for task in tasks),
            finished=finished(then),
            failure_rate=Fraction(failed(then), finished(then)) if finished(then) else None,
            final_failure_rate=final,
            is_good=None if final is None else 1 - final >= target,
            spared=spared,
            failures_after=min(max(failed(now) - failed(then), 0), spared) if now else 0,
        )
    return None
