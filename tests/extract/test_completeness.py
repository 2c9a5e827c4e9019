"""Thousands of schedules of syncs over a platform that changes between any two calls: what is stored is complete, or
its grade says that it may not be.

What has to hold of each sync: `support.schedules`.
"""

import os
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from pipelines.extract import plan
from pipelines.warehouse import Warehouse
from support.model import Habits
from support.one_database import OneDatabase
from support.records import Store, make_settings
from support.schedules import Schedule, cut
from support.tally import TALLY

pytestmark = pytest.mark.usefixtures("few_reports")

IS_FUZZING = os.environ.get("IODM_FUZZ") == "1"
PARTS = 4  # of each kind of platform, so that several processes share the work
SCHEDULES = int(os.environ.get("SCHEDULES") or (50_000 if IS_FUZZING else 200))

FOLDER = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # a sync waits for the disk ten times
PLATFORM = {"base_url": "https://platform:8743", "app_id": "app-1"}
SETTINGS = make_settings(Path(), **PLATFORM)


rates = st.sampled_from([0.0, 0.05, 0.3, 1.0, 3.0])
shares = st.integers(0, 20).map(lambda twentieth: twentieth / 20)
meanwhile = st.fixed_dictionaries(
    {
        "moves": st.sampled_from([0, 0, 1, 3, 10, 30]),
        "hours": st.sampled_from([0, 0, 1, 30]),
        "page_size": st.none() | st.none() | st.none() | st.integers(3, 10),
        "event": st.sampled_from([None] * 6 + ["many tasks are removed", "failed tasks are retried"]),
        "is_served": st.booleans(),
    }
)
orderly = st.builds(
    Habits,
    order=st.sampled_from(["newest", "newest", "oldest"]),
    late=st.sampled_from([0.0, 0.0, 0.2]),
    broken=st.sampled_from([0.0, 0.0, 0.1]),
)
odd = st.builds(
    Habits,
    order=st.sampled_from(["newest", "oldest", "shuffled", "unstable"]),
    ignores_status=st.sampled_from([False, False, True]),
    last_page_no=st.sampled_from([None, None, 0, 1, 3]),
    late=st.sampled_from([0.0, 0.2]),
    sixth=st.sampled_from([0.0, 0.0, 0.1]),
    broken=st.sampled_from([0.0, 0.0, 0.1]),
)
beginnings = {
    "seed": st.integers(0, 2**32 - 1),
    "tasks": st.integers(0, 60),
    "page_size": st.integers(3, 10),
    "operation_type": st.sampled_from([None, None, "firmware_upgrade"]),
    "moves": st.sets(st.sampled_from(["insert", "remove", "swap", "progress", "retry", "change"]), min_size=1),
    "locating_calls": st.sampled_from([4, 20, 200]),
}


class Syncs(RuleBasedStateMachine):
    """What may happen to a warehouse and its platform, in any order."""

    def begin_with(self, kind, habits, seed, tasks, page_size, operation_type, moves, locating_calls):
        self.folder = Path(tempfile.mkdtemp(dir=FOLDER, prefix="schedule-"))
        self.allowed, plan.MAX_LOCATING_CALLS = plan.MAX_LOCATING_CALLS, locating_calls  # so that small fleets spend it
        warehouse = Warehouse(self.folder / "warehouse")
        warehouse.root.mkdir()
        settings = SETTINGS.model_copy(update={"page_size": page_size, "operation_type": operation_type})
        self.schedule = Schedule(settings, warehouse, seed, habits, tasks, kind)
        self.platform, self.rng = self.schedule.platform, self.schedule.rng
        self.platform.moves = tuple(sorted(moves))
        TALLY.schedules += 1

    @rule(before=meanwhile, rate=rates)
    def an_incremental_sync(self, before, rate):
        self.after(**before)
        self.schedule.sync(rate=rate)

    @rule(before=meanwhile, rate=rates, accept_removals=st.booleans())
    def a_full_sync(self, before, rate, accept_removals):
        self.after(**before)
        self.schedule.sync(rate=rate, is_full=True, accept_removals=accept_removals)

    @rule(before=meanwhile)
    def an_incremental_sync_while_nothing_moves(self, before):
        self.after(**before)
        self.schedule.settle(is_full=False)

    @rule(before=meanwhile, accept_removals=st.booleans())
    def a_full_sync_while_nothing_moves(self, before, accept_removals):
        self.after(**before)
        self.schedule.settle(is_full=True, accept_removals=accept_removals)

    @rule(before=meanwhile, is_full=st.booleans(), rate=rates, calls=st.integers(0, 25), cuts=st.tuples(*[shares] * 3))
    def an_interrupted_sync(self, before, is_full, rate, calls, cuts):
        self.after(**before)
        self.schedule.interrupt(rate=rate, dies_after=calls, is_full=is_full, shares=cuts)

    @rule(before=meanwhile, is_full=st.booleans(), rate=rates, share=shares)
    def a_sync_killed_while_it_is_committed(self, before, is_full, rate, share):
        self.after(**before)
        schedule, known = self.schedule, set(self.schedule.oracle.living())
        manifest = schedule.extract(rate=rate, is_full=is_full)
        (folder,) = schedule.warehouse.raw.glob(f"*/sync={manifest.sync_id:06d}")
        folder.rename(schedule.warehouse.raw / "open")
        cut(schedule.warehouse.raw / "open" / "sync.json", share)
        recovered = schedule.recover()
        assert recovered is not None
        assert recovered.pages == manifest.pages
        if recovered.mode != "interrupted":
            assert recovered == manifest
            schedule.check(manifest, known, accept_removals=False)

    def after(self, moves, hours, page_size, event, is_served):
        """What lies between two syncs."""
        if is_served and self.schedule.oracle.is_ahead_of(self.schedule.warehouse):
            self.schedule.oracle.serve(self.schedule.warehouse)
        if page_size is not None:
            self.schedule.settings = self.schedule.settings.model_copy(update={"page_size": page_size})
        self.platform.seconds += 3600 * hours
        for _ in range(moves):
            self.platform.move()
        if event == "many tasks are removed":
            tasks = list(self.platform.tasks.values())
            for task in self.rng.sample(tasks, min(len(tasks), self.rng.randint(11, 40))):
                self.platform.remove(task)
        if event == "failed tasks are retried":
            for _ in range(self.rng.randint(1, 20)):
                self.platform.move("retry")

    def teardown(self):
        if hasattr(self, "folder"):
            plan.MAX_LOCATING_CALLS = self.allowed
            shutil.rmtree(self.folder)


class SyncsOfAnOrderlyPlatform(Syncs):
    """Lists are filtered and ordered by time of creation, and have no end before the last task."""

    @initialize(habits=orderly, **beginnings)
    def begin(self, **drawn):
        self.begin_with("orderly", **drawn)


class SyncsOfAnOddPlatform(Syncs):
    """Lists in no order or another one with each request, ones that end early, filters that do nothing, statuses that
    the documents don't know."""

    @initialize(habits=odd, **beginnings)
    def begin(self, **drawn):
        self.begin_with("odd", **drawn)


@pytest.fixture
def _one_database(monkeypatch):
    database = OneDatabase()
    monkeypatch.setattr(duckdb, "connect", database.connect)
    yield
    database.close()


@pytest.mark.timeout(24 * 3600 if IS_FUZZING else 900)
@pytest.mark.usefixtures("_one_database")
@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("machine", [SyncsOfAnOrderlyPlatform, SyncsOfAnOddPlatform])
def test_whatever_happens_a_sync_is_complete_or_says_that_it_may_not_be(machine, part):
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=SCHEDULES // 2 // PARTS,
            stateful_step_count=10 if IS_FUZZING else 4,
            phases=[Phase.explicit, Phase.reuse, Phase.generate],  # a seed does not shrink
            report_multiple_bugs=False,
        ),
    )


steps = st.tuples(st.booleans(), rates, st.sampled_from([None, None, 0, 7, 15]), st.booleans())


@pytest.mark.timeout(24 * 3600 if IS_FUZZING else 900)
@settings(max_examples=max(1, SCHEDULES // 80), phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(
    st.integers(0, 2**32 - 1),
    odd.map(lambda each: replace(each, broken=0.0)),  # too many broken records are not published
    st.integers(1, 60),
    st.lists(steps, min_size=1, max_size=3),
    st.booleans(),
)
def test_what_is_published_is_what_the_raw_store_says_however_it_is_applied(seed, habits, tasks, steps, is_rebuilt):
    with tempfile.TemporaryDirectory(dir=FOLDER) as folder:
        one_by_one, at_once = (make_store(Path(folder), name) for name in ("one", "all"))
        schedule = Schedule(one_by_one.settings, one_by_one.warehouse, seed, habits, tasks)
        for is_full, rate, dies_after, accept_removals in steps:
            schedule.interrupt(rate=rate, dies_after=dies_after) if dies_after is not None else None
            schedule.sync(rate=rate, is_full=is_full, accept_removals=accept_removals)
            one_by_one.publish()
            is_what_the_oracle_says(one_by_one, schedule.oracle)
        if is_rebuilt:
            rows = one_by_one.everything()
            one_by_one.publish(from_scratch=True)
            assert one_by_one.everything() == rows
        else:
            shutil.copytree(one_by_one.warehouse.raw, at_once.warehouse.raw)
            at_once.publish()
            assert at_once.everything() == one_by_one.everything()


def make_store(folder, name):
    (folder / name).mkdir()
    return Store(folder / name, **PLATFORM, page_size=10)


def is_what_the_oracle_says(store, oracle):
    tasks = store.rows(
        "select operation_id, status, strftime(created_at, '%Y%m%dT%H%M%SZ') as created_at, operation_type, "
        "total, success, strftime(removed_at, '%Y-%m-%dT%H:%M:%SZ') as removed_at "
        "from core.operations left join core.operation_results using (operation_id)"
    )
    assert {each["operation_id"]: [*each.values()][1:] for each in tasks} == {
        name: [
            record["status"],
            record["createTime"],
            record["operateType"],
            record["staResult"]["total"],
            record["staResult"]["success"],
            story.removed_at,
        ]
        for name, story in oracle.stories.items()
        for record in [story.newest]
    }
    history = store.rows("select operation_id, sync_id, status, total, success, fail from core.operation_history")
    assert sorted(tuple(each.values()) for each in history) == sorted(
        (name, sync_id, status, *numbers.values())
        for name, story in oracle.stories.items()
        for sync_id, status, numbers in story.history
    )
