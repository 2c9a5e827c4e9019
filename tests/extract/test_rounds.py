"""What an incremental sync reads and finds, against a platform in process."""

import hashlib
import json
import shutil

import pytest

from pipelines.errors import PlatformError
from pipelines.extract.past import read_past
from pipelines.extract.raw import committed_syncs
from simulator.messages import html_response
from simulator.platform import OPERATIONS
from support.interruptions import interrupt
from support.platforms import Site

pytestmark = pytest.mark.usefixtures("few_reports")

FLEET = {"tasks": 400, "tasks_per_day": 2000}


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A warehouse that knows and serves the whole fleet."""
    site = Site(tmp_path_factory.mktemp("served"), **FLEET)
    site.sync()
    return site.warehouse.root


@pytest.fixture
def known(tmp_path, served):
    """The fleet's platform, with a warehouse that serves all of it."""
    shutil.copytree(served, tmp_path / "warehouse", symlinks=True)
    return Site(tmp_path, **FLEET)


def entries(site):
    """The lines of the newest sync's pages.jsonl."""
    folder, _ = list(committed_syncs(site.warehouse))[-1]
    return [json.loads(line) for line in (folder / "pages.jsonl").read_text().splitlines()]


def state(site):
    """Status and counters of every task that is served as living; what the platform says, in the same form."""
    names = ("total", "success", "fail", "timeout", "processing", "wait", "stop")
    served = {
        row["operation_id"]: [row["status"], *(row[name] for name in names)]
        for row in site.store.rows(
            "from core.operations inner join core.operation_results using (operation_id) where removed_at is null"
        )
    }
    there = {
        task["operationId"]: [
            {"fail": "failed"}.get(task["status"].lower(), task["status"].lower()),
            *(task["staResult"][name] for name in names),
        ]
        for task in map(json.loads, site.platform.operations())
    }
    return served, there


def ids(site, status):
    return sorted(key for key, values in state(site)[1].items() if values[0] == status)


def calls_without_change(site):
    """A page of each ended list and of the whole, every page of the active ones, and the closing probe."""
    return 3 + 1 + sum(max(1, -(-len(ids(site, status)) // 100)) for status in ("wait", "processing")) + 1


@pytest.mark.parametrize("order", ["newest", "oldest", "random"])
def test_what_changed_is_found_without_reading_everything(make_site, order):
    site = make_site(order=order, **FLEET | {"tasks": 3000})
    assert site.sync().mode == "full"
    for _ in range(2):
        site.platform.advance(1800)
        manifest = site.sync()
        assert (manifest.mode, manifest.grade) == ("incremental", "counted")
        served, there = state(site)
        assert served == there
    assert manifest.api_calls < 30 or order == "random"


def test_where_nothing_changed_a_sync_probes_reads_active_lists_and_counts(known):
    assert known.extract().pages == calls_without_change(known)


def test_a_retried_task_is_found_where_it_runs(known):
    known.platform.retry(ids(known, "failed")[:3])
    assert known.sync().grade == "counted"
    served, there = state(known)
    assert served == there


def test_an_active_task_that_vanishes_is_looked_up_and_marked(known):
    [lost] = known.platform.remove(ids(known, "processing")[:1])
    manifest = known.sync()
    assert (manifest.grade, manifest.removed) == ("counted", 1)
    assert [entry["operation_id"] for entry in entries(known) if entry["outcome"] == "gone"] == [lost]
    assert known.store.rows("select operation_id from core.operations where removed_at is not null") == [
        {"operation_id": lost}
    ]


@pytest.mark.parametrize("order", ["newest", "oldest"])
def test_an_ended_task_that_vanishes_is_found_by_halving_its_list(make_site, order):
    site = make_site(order=order, tasks=5000, tasks_per_day=2000, devices=1)
    site.sync()
    lost = site.platform.remove(ids(site, "success")[::1200])
    manifest = site.sync()
    assert (manifest.grade, manifest.removed) == ("counted", len(lost))
    assert manifest.pages < calls_without_change(site) + len(lost) * 8
    assert site.published() - site.truth() == set(lost)


def test_an_ended_task_that_vanishes_from_a_list_without_order_waits_for_a_full_sync(make_site):
    site = make_site(order="random", **FLEET)
    site.sync()
    [lost] = site.platform.remove(ids(site, "success")[:1])
    for _ in range(2):
        manifest = site.extract()
        assert (manifest.grade, manifest.removed, manifest.unexplained) == ("unproven", 0, 1)
    manifest = site.sync(is_full=True)
    assert (manifest.grade, manifest.removed) == ("proven", 1)
    assert {lost} == site.published() - site.truth()
    assert site.extract().grade == "counted"


def test_more_tasks_than_may_vanish_at_once_are_marked_only_when_accepted(known):
    known.platform.remove(ids(known, "success")[:30])
    manifest = known.extract(is_full=True)
    assert (manifest.grade, manifest.removed) == ("unproven", 0)
    assert "30 known tasks were in no list" in manifest.grade_evidence
    assert sum("operation_id" in entry for entry in entries(known)) == 11
    manifest = known.extract(is_full=True, accept_removals=True)
    assert (manifest.grade, manifest.removed) == ("proven", 30)


def test_more_active_tasks_than_may_vanish_at_once_are_not_marked_either(known):
    known.platform.remove(ids(known, "processing")[:15])
    manifest = known.extract()
    assert (manifest.grade, manifest.removed) == ("unproven", 0)


def test_a_quarantined_task_is_counted_and_goes_with_its_removal(make_site):
    site = make_site(broken=0.03, **FLEET)
    assert site.sync().grade == "counted"
    assert site.extract().grade == "counted"
    query = "select operation_id from core.quarantine where operation_id <> sha256(record) order by all"
    known = site.store.rows(query)
    site.platform.remove([row["operation_id"] for row in known[:2]])
    site.sync(is_full=True)
    assert site.store.rows(query) == known[2:]


def test_the_second_full_sync_of_a_quiet_platform_is_proven_with_its_evidence(known):
    manifest = known.extract(is_full=True)
    assert manifest.grade == "proven"
    assert manifest.proof.total == manifest.proof.met_before_and_after == 400
    [response] = [entry for entry in entries(known) if entry["response"] == manifest.proof.response]
    assert (response["of"], response["total"]) == ("all", 400)


def test_with_a_device_as_scope_nothing_is_proven(tmp_path):
    site = Site(tmp_path, settings={"device_id": "d-1"}, **FLEET)
    site.sync()
    assert site.extract(is_full=True).grade == "counted"


def test_with_a_record_without_an_id_nothing_is_proven(make_site):
    site = make_site(broken=0.03, **FLEET)
    site.sync()
    without_id = site.store.rows("from core.quarantine where operation_id = sha256(record)")
    assert site.extract(is_full=True).grade == ("counted" if without_id else "proven")
    assert without_id


@pytest.mark.parametrize("is_resumed", [False, True])
@pytest.mark.parametrize("is_served", [False, True])
def test_a_record_without_an_id_counts_in_the_words_of_the_last_whole_reading_alone(make_site, is_resumed, is_served):
    site = make_site(broken=0.04, **FLEET)
    extract = site.sync if is_served else site.extract
    extract()
    before = words_without_id(site)
    site.platform.advance(3600)
    if is_resumed:
        interrupt(site, 2)
    extract(is_full=True)
    assert before - words_without_id(site), "no such record changed"
    manifest = extract()
    assert (
        manifest.grade_evidence == f"{manifest.total_after} tasks known, {manifest.total_after} there after the reading"
    )


def words_without_id(site):
    """The records without an id that the newest sync that read everything met."""
    since = read_past(site.warehouse).whole_since
    return {
        line["record"]
        for folder, _ in committed_syncs(site.warehouse, after=since - 1)
        for line in map(json.loads, (folder / "quarantine.jsonl").read_bytes().splitlines())
        if line["operation_id"] == hashlib.sha256(line["record"].encode()).hexdigest()
    }


def out_of_order(site, *, lists=False):
    """From now on no task can be looked up; with `lists`, no list can be read from the first look-up on either."""
    looked_up = []
    handle = site.platform.handle

    def fail(request):
        if request.path.startswith(f"{OPERATIONS}/"):
            looked_up.append(request.path.rpartition("/")[2])
        elif not (lists and looked_up):
            return handle(request)
        return html_response(500, "Internal Server Error")

    site.platform.handle = fail
    return looked_up


@pytest.mark.parametrize("lost", [2, 4, 10])
def test_tasks_that_cannot_be_looked_up_hold_up_no_sync_and_are_not_taken_for_gone(known, lost):
    gone = known.platform.remove(ids(known, "processing")[:lost])
    created = known.platform.create(3)
    handle = known.platform.handle
    out_of_order(known)
    for is_full in (False, True):
        manifest = known.sync(is_full=is_full)
        assert (manifest.grade, manifest.removed) == ("unproven", 0)
        assert f"the platform could not show {lost} of the tasks to be looked up" in manifest.grade_evidence
        assert known.published() == known.truth() | set(gone)
        assert set(created) <= known.published()
    known.platform.handle = handle
    manifest = known.extract(is_full=True)
    assert (manifest.grade, manifest.removed) == ("proven", lost)
    assert "could not show" not in manifest.grade_evidence


def test_where_no_task_can_be_looked_up_a_few_are_tried(make_site):
    site = make_site(tasks=4000, tasks_per_day=2000)
    site.sync()
    site.platform.remove(ids(site, "processing")[:60])
    looked_up = out_of_order(site)
    manifest = site.extract()
    assert len(set(looked_up)) == 12
    assert manifest.grade == "unproven"
    assert "could not show 60 of the tasks" in manifest.grade_evidence


def test_where_lists_fail_as_look_ups_do_the_sync_ends_in_an_error(known):
    known.platform.remove(ids(known, "processing")[:10])
    looked_up = out_of_order(known, lists=True)
    with pytest.raises(PlatformError, match="pageNo=0") as caught:
        known.extract()
    assert caught.value.is_retryable
    assert len(set(looked_up)) == 4
