"""Thousands of schedules of syncs over a platform that changes between any two calls: what is stored is complete, or
its grade says that it may not be.

The platform, and calls in flight served in a drawn order: `support.model`. What the raw store then says: `support.oracle`.
"""

import json
import os
import random
import shutil
import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path

from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from pipelines.extract import plan
from pipelines.extract.entries import SyncManifest
from pipelines.extract.past import read_past
from pipelines.extract.recovery import recover
from pipelines.extract.rounds import CALLS_SPENT
from pipelines.extract.sweep import MAX_REREADS
from pipelines.extract.sync import run_sync
from pipelines.progress import Silent
from pipelines.warehouse import Warehouse
from support.model import ACTIVE, ENDED, ConnectionLostError, Habits, Lane, ModelPlatform, Moment
from support.oracle import Oracle, lines_of
from support.records import make_settings
from support.tally import TALLY

SCHEDULES = int(os.environ.get("SCHEDULES", "2000"))
FOLDER = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # a sync waits for the disk ten times
CLOSING_REREADS = 2 * sum(plan.CLOSING_DEPTHS)


class Schedule:
    """A platform, a warehouse of its tasks, and the oracle that follows; each sync is checked when it is committed."""

    def __init__(self, folder: Path, seed: int, habits: Habits, tasks: int, page_size: int, operation_type: str | None):
        self.rng = random.Random(seed)
        self.warehouse = Warehouse(folder / "warehouse")
        self.warehouse.root.mkdir()
        self.settings = make_settings(
            folder, base_url="https://platform:8743", app_id="app-1", page_size=page_size, operation_type=operation_type
        )
        self.platform = ModelPlatform(self.rng, habits, self.settings.filters)
        self.platform.fill(tasks)
        self.oracle = Oracle()
        self.moments: dict[int, Moment] = {}

    def sync(self, *, rate: float = 0.0, is_full: bool = False, accept_removals: bool = False) -> SyncManifest:
        """A run that ends well."""
        known = set(self.oracle.living())
        manifest = self.extract(rate=rate, is_full=is_full, accept_removals=accept_removals)
        self.oracle.take_in(self.warehouse)
        self.check(manifest, known, accept_removals=accept_removals)
        return manifest

    def extract(
        self, *, rate: float, is_full: bool = False, accept_removals: bool = False, dies_after: int | None = None
    ) -> SyncManifest:
        """A run, and what its responses were."""
        assert recover(self.warehouse) is None
        past = read_past(self.warehouse)
        self.platform.watch(rate=rate, dies_after=dies_after)
        try:
            return run_sync(
                self.settings,
                self.warehouse,
                self.platform,  # type: ignore[arg-type] - the client's interface, as far as a sync uses it
                Silent(),
                is_full=is_full,
                accept_removals=accept_removals,
                announce=lambda _: None,
                workers=Lane(self.rng),
            )
        finally:
            self.moments.update(enumerate(self.platform.moments, past.next_response))

    def check(self, manifest: SyncManifest, known: set[str], *, accept_removals: bool) -> None:
        """What holds of every sync, however much moved; `known` are the tasks known to live before it."""
        moments = self.platform.moments
        met, removed = self.oracle.met(), self.oracle.removed()
        assert not removed & set(self.platform.tasks)
        if manifest.grade == "proven":
            assert manifest.proof is not None
            there = self.moments[manifest.proof.response].living
            assert there <= met
            assert len(there) == manifest.proof.total
        if manifest.grade == "counted":
            assert manifest.total_after == len(self.oracle.living())
        assert manifest.api_calls == len(moments)
        assert len(moments) <= self.most_calls(manifest, known, accept_removals=accept_removals)
        TALLY.add(manifest.mode, manifest.grade, missed=len(moments[-1].living - met))

    def most_calls(self, manifest: SyncManifest, known: set[str], *, accept_removals: bool) -> int:
        """What the plan of a sync allows, and the calls that close it, which are always allowed."""
        moments, page_size = self.platform.moments, self.settings.page_size
        if manifest.mode == "incremental":
            first_round = plan.plan_round(plan.Knowledge(), self.probes(moments[: plan.PROBES]), page_size)
            return first_round.max_calls + plan.MAX_ROUNDS * MAX_REREADS
        length = next(each.total for each in moments if self.is_of(each, plan.ALL))
        assert length is not None
        met_first = sum(len(each.statuses) for each in moments[: plan.PROBES])
        living = len(known) + met_first
        look_ups = living if accept_removals else plan.removable(living) + 1
        return plan.full_sync_max_calls(length, page_size, look_ups) + MAX_REREADS + CLOSING_REREADS

    def probes(self, moments: list[Moment]) -> plan.Probes:
        """What the first round's count probes said, from the platform's side."""
        of = {name: each for name in (plan.ALL, *plan.STATUSES) for each in moments if self.is_of(each, name)}
        assert len(of) == plan.PROBES
        ignored = any(set(each.statuses) - {name} for name, each in of.items() if name != plan.ALL)
        return plan.Probes({name: each.total for name, each in of.items()}, ignores_status=ignored)

    def is_of(self, moment: Moment, name: str) -> bool:
        if moment.filters is None:
            return False
        return dict(moment.filters) == self.settings.filters | ({} if name == plan.ALL else {"operationStatus": name})

    def has_interrupted_reading(self) -> bool:
        return read_past(self.warehouse).interrupted is not None

    def recover(self) -> SyncManifest | None:
        """The next run's first step."""
        manifest = recover(self.warehouse)
        if manifest is not None:
            self.oracle.take_in(self.warehouse)
            assert not self.oracle.removed() & set(self.platform.tasks)
        return manifest

    def truth(self) -> dict[str, dict[str, object]]:
        """The record of each task that lives on the platform."""
        return {name: task.record() for name, task in self.platform.in_scope().items()}

    def within_ceiling(self, *, is_full: bool) -> bool:
        """Whether every task can be shown by some list that a sync reads to its end."""
        habits, tasks = self.platform.habits, list(self.platform.in_scope().values())
        if habits.last_page_no is None:
            return True
        room = (habits.last_page_no + 1) * self.settings.page_size
        if len(tasks) <= room:
            return True
        statuses = Counter(task.status for task in tasks)
        if not is_full or habits.ignores_status or set(statuses) - {*ACTIVE, *ENDED}:
            return False
        by_type = Counter((task.status, task.operation_type) for task in tasks)
        is_split = self.settings.operation_type is None
        return all(
            count <= room or (is_split and all(by_type[status, each] <= room for each in {t for _, t in by_type}))
            for status, count in statuses.items()
        )
