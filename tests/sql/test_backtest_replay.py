"""Abort rules on drawn fleets: what a backtest finds is what somebody finds who replays each rollout look by look."""

import datetime as dt
import itertools
from fractions import Fraction

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from pipelines.backtest import evaluate
from pipelines.models import load
from pipelines.rules import parse_rule
from support.core import COUNTERS, Core
from support.replay import HALF_HOUR, Sync, Task, is_observed, replay
from support.reports import only_reports

EPOCH = dt.datetime.fromisoformat("2026-03-01")


@pytest.fixture(scope="module")
def observer():
    """One file, whose tasks, states and syncs are replaced by each fleet."""
    with only_reports("rollouts", "rollout_courses", "snapshot"):
        made = Core().sync(1).marts()
    yield made
    made.connection.close()


counters = st.builds(
    lambda *numbers: dict(zip(("total", *COUNTERS), (sum(numbers), *numbers), strict=True)),
    st.integers(0, 40),
    st.integers(0, 10),
    st.integers(0, 60),
    st.sampled_from([0, 0, 0, 1, 3, 9]),
    st.integers(0, 2),
    st.sampled_from([0, 0, 0, 1, 4]),
)


@st.composite
def fleets(draw):
    """Syncs, some of them interrupted or far apart; tasks, some met late or gone, with whatever states."""
    spacing = st.sampled_from(draw(st.sampled_from([[2], [1, 2, 3], [0, 1, 2, 3], [1, 2, 2, 4, 5, 9]])))
    times = list(itertools.accumulate(draw(st.lists(spacing, min_size=3, max_size=20))))
    may_be_interrupted = draw(st.booleans())
    is_look = [not may_be_interrupted or draw(st.sampled_from([True] * 6 + [False])) for _ in times]
    syncs = [
        Sync(number + 1, time * HALF_HOUR, look) for number, (time, look) in enumerate(zip(times, is_look, strict=True))
    ]
    tasks = []
    for name in range(draw(st.integers(1, 6))):
        first = draw(st.integers(0, len(syncs) - 1))
        numbers = {first + 1} | draw(st.sets(st.integers(first + 1, len(syncs)), max_size=6))
        states = [(number, draw(st.one_of(counters, counters, counters, st.none()))) for number in sorted(numbers)]
        unmet = draw(st.sampled_from([0, 0, 1, 1, 1, 2, 2, 6]))
        last = syncs[states[-1][0] - 1].finished
        removed = draw(st.one_of(st.none(), st.none(), st.integers(0, 8)))
        tasks.append(
            Task(
                name=f"t{name}",
                rollout=(draw(st.sampled_from(["NB-1", "NB-2"])), draw(st.sampled_from(["V1", None]))),
                created=syncs[first].finished - unmet * HALF_HOUR,
                status=draw(st.sampled_from(["wait", "processing", "success", "success", "failed", "stop", "odd"])),
                removed=None if removed is None else last + removed * HALF_HOUR,
                states=states,
            )
        )
    return syncs, tasks


rules = st.builds(
    lambda measure, operator, threshold, after: (measure, operator, Fraction(threshold, 1000), after),
    st.sampled_from(["failure_rate", "failure_rate_of_total"]),
    st.sampled_from([">", ">="]),
    st.sampled_from([0, 10, 50, 100, 125, 250, 500, 1000]),
    st.sampled_from([0, 1, 20, 60]),
)


def fill(core, syncs, tasks):
    """Put a fleet into the file; today's counters are those of the last state."""
    for table in ("operations", "operation_results", "operation_history", "syncs"):
        core.connection.execute(f"delete from core.{table}")
    moment = {sync.number: EPOCH + dt.timedelta(seconds=sync.finished) for sync in syncs}
    for sync in syncs:
        core.sync(sync.number, mode="incremental" if sync.is_look else "interrupted", finished_at=moment[sync.number])
    for task in tasks:
        core.task(
            task.name,
            model=task.rollout[0],
            file_version=task.rollout[1],
            status=task.status,
            created_at=EPOCH + dt.timedelta(seconds=task.created),
            removed_at=None if task.removed is None else EPOCH + dt.timedelta(seconds=task.removed),
            **(task.states[-1][1] or {}),
        )
        for number, state in reversed(task.states):
            core.insert(
                "operation_history",
                operation_id=task.name,
                sync_id=number,
                observed_at=moment[number],
                status=task.status if number == task.states[-1][0] else "processing",
                **(state or {}),
            )
    core.connection.execute(
        f"create or replace table marts.operation_outcomes as {load('marts')['operation_outcomes'].sql}"
    )


@given(fleet=fleets(), rules=st.lists(rules, min_size=1, max_size=3), by_task=st.booleans())
def test_a_backtest_finds_what_a_replay_look_by_look_finds(observer, fleet, rules, by_task):
    syncs, tasks = fleet
    fill(observer, syncs, tasks)
    rollouts = {}
    for task in tasks:
        rollouts.setdefault((*task.rollout, task.name if by_task else None), []).append(task)
    judged = {key: its for key, its in rollouts.items() if is_observed(its, syncs)}
    texts = [f"{name} {operator} {float(limit)} after {after} finished" for name, operator, limit, after in rules]
    found = evaluate(observer.connection, [parse_rule(text) for text in texts], by_task=by_task)

    def key_of(row):
        return row["model"], row["file_version"], row.get("operation_id")

    assert {key_of(row) for row in found.left_out()} == rollouts.keys() - judged.keys()
    for text, rule, row in zip(texts, rules, found.summary().dicts(), strict=True):
        expected = {key: replay(its, syncs, rule, Fraction(95, 100)) for key, its in judged.items()}
        stopped = {key: stop for key, stop in expected.items() if stop}
        sizes = [min(2, size) for size in (len(stopped), len(judged), len(rollouts) - len(judged))]
        event("stopped {} of {} judged, {} left out".format(*sizes))
        assert (row["rollouts"], row["judged"], row["stopped"]) == (len(rollouts), len(judged), len(stopped))
        assert row["good_stopped"] == sum(stop.is_good is True for stop in stopped.values())
        assert row["devices_spared"] == sum(stop.spared for stop in stopped.values())
        assert row["failures_after"] == sum(stop.failures_after for stop in stopped.values())
        assert row["bad"] - row["bad_not_stopped"] == sum(stop.is_good is False for stop in stopped.values())
        assert {
            key_of(stop): (
                (stop["looked_at"] - EPOCH).total_seconds(),
                stop["age_seconds"],
                stop["finished"],
                stop["failure_rate"],
                stop["final_failure_rate"],
                stop["is_good"],
                stop["devices_spared"],
                stop["failures_after"],
            )
            for stop in found.stopped()
            if stop["rule"] == text
        } == {
            key: (
                stop.look,
                stop.age,
                stop.finished,
                None if stop.failure_rate is None else float(stop.failure_rate),
                None if stop.final_failure_rate is None else float(stop.final_failure_rate),
                stop.is_good,
                stop.spared,
                stop.failures_after,
            )
            for key, stop in stopped.items()
        }
