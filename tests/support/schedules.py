"""A schedule of syncs over a platform that changes between any two calls, and what has to hold of each.

The platform, and calls in flight served in a drawn order: `support.model`. What the raw store says: `support.oracle`.
"""

import os
import random
from collections import Counter
from pathlib import Path
from typing import Any

from pipelines.extract import plan
from pipelines.extract.entries import SyncManifest
from pipelines.extract.past import read_past
from pipelines.extract.recovery import recover
from pipelines.extract.rounds import CALLS_SPENT, NO_ORDER
from pipelines.extract.sweep import MAX_REREADS
from pipelines.extract.sync import run_sync
from pipelines.progress import Silent
from pipelines.settings import Settings
from pipelines.warehouse import Warehouse
from support.model import ACTIVE, ENDED, ConnectionLostError, Habits, Lane, ModelPlatform, Moment
from support.oracle import Oracle, lines_of
from support.tally import TALLY

Records = dict[str, dict[str, Any]]

CLOSING_REREADS = 2 * sum(plan.CLOSING_DEPTHS)


class Schedule:
    """A platform, a warehouse of its tasks, and the oracle that follows; each sync is checked when it is committed."""

    def __init__(
        self, settings: Settings, warehouse: Warehouse, seed: int, habits: Habits, tasks: int, kind: str = "odd"
    ) -> None:
        self.kind, self.rng = kind, random.Random(seed)
        self.settings, self.warehouse = settings, warehouse
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
            response, there = manifest.proof.response, self.moments[manifest.proof.response].living
            assert there <= met
            assert len(there) == manifest.proof.total
            stories = [self.oracle.stories[name] for name in there]
            assert all(story.first_response <= response <= story.last_response for story in stories)
        if manifest.grade == "counted":
            assert manifest.total_after == len(self.oracle.living())
        assert manifest.api_calls == len(moments)
        assert len(moments) <= self.most_calls(manifest, known, accept_removals=accept_removals)
        TALLY.add(self.kind, manifest.mode, manifest.grade, missed=len(moments[-1].living - met))

    def most_calls(self, manifest: SyncManifest, known: set[str], *, accept_removals: bool) -> int:
        """What the plan of a sync allows, and the calls that close it, which are always allowed.

        A round counts once it is over, and again if it looked for tasks that are gone. The first whole reading begins
        with none.
        """
        moments, page_size = self.platform.moments, self.settings.page_size
        before = (each for each in self.oracle.manifests if each.sync_id < manifest.sync_id)
        has_round_first = manifest.mode == "incremental" or (known and any(each.mode == "full" for each in before))
        first_round = 0
        if has_round_first:
            probes = self.probes(moments[: plan.PROBES])
            first_round = plan.plan_round(plan.Knowledge(), probes, page_size).max_calls
        if manifest.mode == "incremental":
            return first_round + plan.MAX_ROUNDS * 2 * MAX_REREADS
        longest = max(each.total for each in moments if self.is_of(each, plan.ALL) and each.total is not None)
        most_living = len(known.union(*(each.living for each in moments)))
        look_ups = most_living if accept_removals else plan.removable(most_living) + 1
        everything = plan.full_sync_max_calls(longest, page_size, look_ups)
        return max(first_round, everything) + MAX_REREADS + CLOSING_REREADS

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

    def interrupt(
        self,
        *,
        rate: float,
        dies_after: int,
        is_full: bool = False,
        shares: tuple[float, float, float] = (1.0, 1.0, 1.0),
    ) -> None:
        """A run that loses the platform after so many calls, if it takes so many, and is then cut like a killed one."""
        try:
            self.extract(rate=rate, is_full=is_full, dies_after=dies_after)
        except ConnectionLostError:
            kept = cut_what_is_open(self.warehouse, shares)
            recovered = self.recover()
            assert (recovered.pages if recovered else 0) == kept
        else:
            self.oracle.take_in(self.warehouse)

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

    def settle(self, *, is_full: bool, accept_removals: bool = False) -> None:
        """A sync of a platform that has gone quiet: it finds everything, wherever the rules below say so."""
        past = read_past(self.warehouse)
        if (is_full or past.last_full is None) and past.interrupted is not None:
            self.sync(is_full=True)  # goes on with it: tasks that it met before may have gone since
        known, truth = self.oracle.living(), self.truth()
        has_room, is_cut = self.within_ceiling(is_full=is_full), not self.within_ceiling(is_full=False)
        manifest = self.sync(is_full=is_full, accept_removals=accept_removals)
        if self.platform.habits.order == "unstable" or not has_room:
            return
        if manifest.mode == "full":
            self.has_settled_in_full(manifest, known, truth, is_cut=is_cut, accept_removals=accept_removals)
        elif CALLS_SPENT not in manifest.grade_evidence and not self.is_too_long_without_order(manifest, truth):
            self.has_settled_by_change(manifest, known, truth)

    def is_too_long_without_order(self, manifest: SyncManifest, truth: Records) -> bool:
        """Whether a list was left that is longer than what may be read of one in no order: it waits, and says so.

        Also where all tasks of its first page were created in the same second.
        """
        pages = -(-len(truth) // self.settings.page_size)
        is_left = pages > plan.MAX_LOCATING_CALLS and NO_ORDER in manifest.grade_evidence
        assert not is_left or manifest.grade == "unproven"
        return is_left

    def has_settled_in_full(
        self, manifest: SyncManifest, known: Records, truth: Records, *, is_cut: bool, accept_removals: bool
    ) -> None:
        gone = known.keys() - truth.keys()
        if len(gone) > plan.removable(len(known.keys() | truth.keys())) and not accept_removals:
            assert manifest.grade == "unproven"
            assert manifest.removed == 0
            assert {name: self.oracle.living()[name] for name in truth} == truth
            return
        assert self.oracle.living() == truth
        if is_cut:
            return
        assert manifest.grade != "unproven"
        if known and truth.keys() <= known.keys():
            assert manifest.grade == "proven"
        if known == truth and known:
            pages = -(-len(truth) // self.settings.page_size)
            assert manifest.api_calls <= 2 * self.calls_of_a_round(known, truth) + pages + 1

    def has_settled_by_change(self, manifest: SyncManifest, known: Records, truth: Records) -> None:
        """A round can't see everything. What it can't see, and is left out here:

        - a task that ended and is gone since: it makes its list shorter, and only a whole reading tells which one it
          is; where an unknown task came into the same list, the two cancel out;
        - tasks that went from one ended list into another in a ring: no list is longer or shorter for it;
        - a task that ended in the same list as before, in the meantime retried: it is there, with older counters;
        - where the lists by status can't be used, because they are not filtered or don't add up, any change of a task
          that ended.

        Everything else shows: what waits or runs is read whole or looked up, and where tasks are unknown or come from
        another list without a ring, the list at the end of the chain has more tasks than are known of it, so each
        round unties one list of the three at least.
        """
        finished = [each for each in self.oracle.manifests[:-1] if each.mode != "interrupted"]
        ended = {name for name, record in known.items() if record["status"] not in ACTIVE}
        gone = known.keys() - truth.keys()
        moved = {
            (known[name]["status"], truth[name]["status"])
            for name in ended & truth.keys()
            if known[name]["status"] != truth[name]["status"] not in ACTIVE
        }
        statuses = {record["status"] for record in (*known.values(), *truth.values())}
        has_lists = not self.platform.habits.ignores_status and statuses <= {*ACTIVE, *ENDED}
        if (
            gone & ended
            or len(gone) > plan.removable(len(known.keys() | truth.keys()))
            or (moved and not has_lists)
            or has_ring(moved)
            or finished[-1].unlocated
        ):
            return
        found = self.oracle.living()
        assert found.keys() == truth.keys()
        assert manifest.grade != "unproven"
        for name, record in truth.items():
            is_hidden = name in ended and (not has_lists or known[name]["status"] == record["status"])
            assert found[name] == record or (is_hidden and found[name] == known[name])
        if known == truth and has_lists:
            assert manifest.api_calls <= self.calls_of_a_round(known, truth) + 1

    def calls_of_a_round(self, known: Records, truth: Records) -> int:
        """What a round takes that has nothing to find: the count probes, and the rest of the lists read whole."""
        lengths = Counter(str(record["status"]) for record in truth.values())
        looked_up = sum(lengths[each] for each in ACTIVE) if self.platform.habits.ignores_status else 0
        rest = sum(max(0, -(-lengths[each] // self.settings.page_size) - 1) for each in ACTIVE)
        return plan.PROBES + (looked_up or rest)


def has_ring(moves: set[tuple[str, str]]) -> bool:
    """Whether moves from list to list lead back to where they began."""
    reached = set(moves)
    while more := {(begin, end) for begin, middle in reached for at, end in moves if at == middle} - reached:
        reached |= more
    return any(begin == end for begin, end in reached)


def cut_what_is_open(warehouse: Warehouse, shares: tuple[float, float, float]) -> int:
    """End each file at some byte, as a kill does that comes before it is all written; how many pages are whole then."""
    folder = warehouse.raw / "open"
    entries = lines_of(folder / "pages.jsonl")
    for file, share in zip(
        (folder / "pages.jsonl", records := folder / "records-00000.jsonl.zst", folder / "quarantine.jsonl"),
        shares,
        strict=True,
    ):
        cut(file, share)
    whole = (folder / "pages.jsonl").read_bytes().count(b"\n")
    room = records.stat().st_size if records.exists() else 0
    set_aside = (folder / "quarantine.jsonl").read_bytes().count(b"\n")
    for count, entry in enumerate(entries[:whole]):
        room, set_aside = room - entry["frame_bytes"], set_aside - entry["quarantined"]
        if room < 0 or set_aside < 0:
            return count
    return whole


def cut(file: Path, share: float) -> None:
    """Leave this share of a file's bytes."""
    if file.exists():
        os.truncate(file, int(file.stat().st_size * share))
