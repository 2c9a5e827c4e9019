"""SIGKILL at every durable step of a sync: nothing durable is lost, nothing is there twice, the next sync ends well.

Real processes against a simulator process. `support.kills` names and numbers the steps. A sync that is killed *after* a
step leaves what one leaves that is killed before the next; so there is one kill before each, and one half-way through
each write. The first step of each kind is tried, and the last
writes; with `IODM_FUZZ=1` every step. `KILLS` says how many kills there are at random moments.
"""

import json
import os
import random
import shutil
import signal
from collections.abc import Iterable
from pathlib import Path

import pytest

from pipelines.extract import raw, recovery
from pipelines.extract.raw import sync_folders
from pipelines.progress import Silent
from pipelines.run import extract
from pipelines.warehouse import is_locked
from simulator.dials import Dials
from simulator.process import SimulatorProcess
from support.fuzz import IS_FUZZING, examples
from support.interruptions import (
    assert_raw_store_adds_up,
    assert_what_is_served_is_what_a_rebuild_would_serve,
    durable_responses,
    living,
    manifests,
    pages_of,
)
from support.kills import PAGES_PER_FILE, Job, Killer, Outcome, first_and_last
from support.records import Store

pytestmark = pytest.mark.usefixtures("few_reports")

KILLS = int(os.environ.get("KILLS") or examples(5, 200))
DIALS = Dials(
    seed=21,
    tasks=60,
    tasks_per_day=0,
    median_life_hours=0.2,
    quirks=0.2,
    broken=0.15,
    start="2026-03-04T12:00:00Z",
    speed=0,
    throttle=0,
    app_id="app-1",
    secret="a-simulated-secret",
)


class World:
    """A platform, and warehouses in every state that a sync can find: new, or behind the platform and served."""

    def __init__(self, folder: Path, simulator: SimulatorProcess, killer: Killer) -> None:
        self.killer = killer
        self.steps: dict[str, list[str]] = {}
        self.settings = {
            "base_url": simulator.base_url,
            "app_id": simulator.app_id,
            "secret": simulator.secret,
            "calls_per_minute": 6_000,
            "page_size": 12,
        }
        self.folder = folder
        (folder / "new" / "warehouse").mkdir(parents=True)
        (folder / "known").mkdir()
        assert self.kill(folder / "known", is_full=False, publishes=True).status == 0
        old = sorted(json.loads(task)["operationId"] for task in simulator.operations())
        assert len(simulator.remove(old[::15])) == 4
        simulator.create(5)
        self.truth = {json.loads(task)["operationId"] for task in simulator.operations()}

    def copy(self, name: str, to: Path) -> Store:
        """A warehouse of its own, in one of the states."""
        shutil.copytree(self.folder / name / "warehouse", to / "warehouse", symlinks=True)
        return Store(to, **self.settings)

    def kill(self, folder: Path, **job) -> Outcome:
        """Run a sync that dies as the job says."""
        return self.killer.run(Job(self.settings | {"warehouse": str(folder / "warehouse")}, **job))


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    with SimulatorProcess(DIALS) as simulator, Killer() as killer:
        yield World(tmp_path_factory.mktemp("kills"), simulator, killer)


@pytest.fixture(autouse=True)
def _few_pages_per_file(monkeypatch):
    for module in (raw, recovery):
        monkeypatch.setattr(module, "PAGES_PER_FILE", PAGES_PER_FILE)


def assert_the_next_sync_recovers(store: Store, world: World, *, is_full: bool, publishes: bool = IS_FUZZING) -> None:
    """Whatever the one before was killed at: nothing lost, nothing twice, the truth, and a grade that says so."""
    warehouse = store.warehouse
    committed = {folder: (folder / "pages.jsonl").read_bytes() for folder in sync_folders(warehouse)}
    durable = durable_responses(warehouse.raw / "open")
    assert not is_locked(warehouse)
    manifest = extract(store.settings, Silent(), is_full=is_full).manifest
    assert_raw_store_adds_up(warehouse)
    added = [folder for folder in sync_folders(warehouse) if folder not in committed]
    assert {folder: (folder / "pages.jsonl").read_bytes() for folder in committed} == committed
    assert len(added) == (2 if durable else 1)
    if durable:
        assert {page["response"] for page in pages_of(added[0])} == durable
    assert manifest == manifests(warehouse)[-1]
    assert manifest.grade in ("counted", "proven"), manifest.grade_evidence
    assert living(warehouse) == world.truth
    if publishes:
        store.publish()
        assert_what_is_served_is_what_a_rebuild_would_serve(store)


def steps_of(world: World, folder: Path, name: str, **job) -> list[str]:
    """The steps of a sync that nobody kills."""
    if name not in world.steps:
        world.copy(name, folder)
        outcome = world.kill(folder, **job)
        shutil.rmtree(folder / "warehouse")
        assert outcome.status == 0
        assert not [each for each in outcome.operations if each.startswith("UNSEEN")]
        world.steps[name] = outcome.operations
    return world.steps[name]


def kill_at(world: World, folder: Path, name: str, numbers: Iterable[int], **job) -> None:
    """Kill before each of these steps, and in the middle of those that write; then let the next sync run."""
    for number in numbers:
        for is_torn in (False, True):
            store = world.copy(name, folder)
            outcome = world.kill(folder, dies_at=number, is_torn=is_torn, **job)
            assert (outcome.status, len(outcome.operations)) == (-signal.SIGKILL, number)
            assert_the_next_sync_recovers(store, world, is_full=job["is_full"])
            shutil.rmtree(folder / "warehouse")
            if not outcome.operations[-1].startswith("write"):
                break


WRITING = [
    "mkdir open",
    *(f"{verb} .begun.json.new" for verb in ("open", "write", "fsync", "replace")),
    "fsync open",
    *(f"open {name}.jsonl" for name in ("pages", "quarantine")),
    *(f"{verb} {name}" for verb in ("open", "write", "fsync") for name in ("records-00000.jsonl.zst", "later records")),
    *(f"{verb} {name}.jsonl" for verb in ("write", "fsync") for name in ("pages", "quarantine")),
    *(f"{verb} .removals.jsonl.new" for verb in ("open", "write", "fsync", "replace")),
]
COMMITTING = [
    *(f"{verb} sync.json" for verb in ("open", "write", "fsync")),
    *("mkdir its place", "rename open", "fsync its place", "fsync raw"),
]


def test_every_step_of_a_sync_is_known_and_can_be_the_last(world, tmp_path):
    steps = first_and_last(steps_of(world, tmp_path, "known", is_full=True))
    assert {name for name in steps if not name.endswith(", last")} == {*WRITING, *COMMITTING}


def chosen(steps: list[str], firsts: Iterable[str]) -> list[int]:
    """The first step of these kinds and the last of those that write pages; all steps where time is no matter.

    A kill before an `fsync` leaves what one before the next step leaves, so one of the two is enough.
    """
    if IS_FUZZING:
        return list(range(1, len(steps) + 1))
    numbers = [
        number
        for name, number in first_and_last(steps).items()
        if name in firsts or name in ("write later records, last", "write pages.jsonl, last")
    ]
    return [number for number in numbers if not (steps[number - 1].startswith("fsync") and number + 1 in numbers)]


@pytest.mark.parametrize("share", range(4))  # in several tests, for those who run them on several cores
def test_a_full_sync_that_is_killed_at_any_step_costs_nothing(world, tmp_path, share):
    steps = steps_of(world, tmp_path, "known", is_full=True)
    kill_at(world, tmp_path, "known", chosen(steps, [*WRITING, *COMMITTING])[share::4], is_full=True)


@pytest.mark.parametrize("share", range(2))
def test_a_first_sync_that_is_killed_at_any_step_costs_nothing(world, tmp_path, share):
    steps = steps_of(world, tmp_path, "new", is_full=False)
    kill_at(world, tmp_path, "new", chosen(steps, COMMITTING)[share::2], is_full=False)


@pytest.fixture(params=["while it read", "before its last rename"])
def interrupted(request, world, tmp_path):
    """A known warehouse whose full sync was killed."""
    steps = steps_of(world, tmp_path, "known", is_full=True)
    number = len(steps) * 2 // 3 if request.param == "while it read" else steps.index("rename open") + 1
    folder = world.folder / request.param
    if not folder.exists():
        world.copy("known", folder)
        assert world.kill(folder, dies_at=number, is_torn=True, is_full=True).status == -signal.SIGKILL
    return request.param


def test_a_recovery_that_is_killed_at_any_step_is_recovered_too(world, tmp_path, interrupted):
    steps = steps_of(world, tmp_path, interrupted, is_full=True)
    recovery = steps[: steps.index("mkdir open")]
    changing = {each for each in recovery if each.split()[0] in ("write", "truncate", "replace", "unlink", "rename")}
    numbers = chosen(
        recovery, {each for each in first_and_last(recovery) if each in changing or each.endswith("records")}
    )
    kill_at(world, tmp_path, interrupted, numbers, is_full=True)


@pytest.mark.parametrize("number", range(5, 5 + KILLS))  # the first five meet every kind of sync, at any time
def test_a_sync_that_is_killed_at_a_random_moment_costs_nothing(world, tmp_path, number):
    chance = random.Random(number)
    name, is_full = chance.choice([("new", False), ("known", False), ("known", True), ("known", True)])
    store = world.copy(name, tmp_path)
    for _ in range(chance.choice([1, 1, 2])):
        world.kill(tmp_path, is_full=is_full, publishes=True, lives_seconds=chance.random() * 1.2)
    assert_the_next_sync_recovers(store, world, is_full=is_full or not chance.randint(0, 3), publishes=True)
