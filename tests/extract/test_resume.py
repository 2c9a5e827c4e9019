"""A full sync that was interrupted: what was durable is kept, and the next full one goes on from there."""

import itertools
import json
import shutil

import pytest

from pipelines.errors import PlatformError
from pipelines.extract.entries import SyncManifest
from pipelines.extract.raw import sync_folders
from simulator.faults import Fault, Match
from support.interruptions import (
    Asked,
    Inline,
    Requests,
    assert_a_rebuild_gives_the_same,
    assert_raw_store_adds_up,
    content,
    interrupt,
    living,
    manifests,
    pages_of,
    records_of,
)
from support.platforms import Site

pytestmark = pytest.mark.usefixtures("few_reports")

SMALL = {"page_size": 30}  # 330 tasks on 11 pages
FEW_ACTIVE = {"median_life_hours": 0.2}
BATCHES = [[0], [1, 2], [3, 4, 5, 6], [7, 8, 9, 10]]  # in flight together


def rows_before(page_no: int) -> int:
    """How far a quiet sweep has come when this page fails: to the batch that the page is in."""
    return next(batch[0] for batch in BATCHES if page_no in batch) * SMALL["page_size"]


def finish(site: Site, **options) -> SyncManifest:
    """The next run, whose calls come in the order of their requests."""
    return site.extract(workers=Inline(), **options)


def assert_truthful(site: Site, manifest: SyncManifest) -> None:
    """Counted and proven mean that what is known to live is what is there."""
    assert_raw_store_adds_up(site.warehouse)
    if manifest.grade in ("counted", "proven"):
        assert living(site.warehouse) == site.truth()


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A warehouse that knows and serves all tasks of a quiet platform."""
    site = Site(tmp_path_factory.mktemp("served"), settings=SMALL, **FEW_ACTIVE)
    site.sync()
    return site.warehouse.root


@pytest.fixture
def make(tmp_path, served):
    """Makes a site with a new warehouse, or with one that knows everything there is."""
    numbers = itertools.count()

    def make(*, is_known=False, settings=SMALL, **dials):
        folder = tmp_path / str(next(numbers))
        folder.mkdir()
        if is_known:
            shutil.copytree(served, folder / "warehouse", symlinks=True)
        return Site(folder, settings=settings, **(FEW_ACTIVE | dials))

    return make


@pytest.fixture
def known(make):
    return make(is_known=True)


@pytest.mark.parametrize("page_no", [1, 2, 4, 8, 10])
def test_the_next_full_sync_reads_no_page_again_but_those_in_flight(make, page_no):
    site = make()
    interrupt(site, page_no)
    requests = Requests(site)
    manifest = finish(site)
    (left, resumed) = manifests(site.warehouse)
    assert (left.mode, left.grade, left.next_row) == ("interrupted", "unproven", rows_before(page_no))
    assert (resumed.mode, resumed.grade, resumed.reading_since) == ("full", "counted", 1)
    assert manifest == resumed
    assert [rows.start for rows in requests.rows_swept()] == list(range(rows_before(page_no) or 30, 330, 30))
    assert_raw_store_adds_up(site.warehouse)


@pytest.mark.parametrize("page_no", [2, 4, 8, 10])
def test_going_on_with_a_first_sync_takes_the_calls_that_were_left_and_one(make, page_no):
    whole, site = make(), make()
    interrupt(site, page_no)
    pages_read = rows_before(page_no) // SMALL["page_size"]
    assert finish(site).api_calls <= finish(whole).api_calls - pages_read + 1


def test_an_incremental_run_keeps_what_was_read_and_the_next_full_one_goes_on(known):
    interrupt(known, 5)
    requests = Requests(known)
    assert finish(known).mode == "incremental"
    first, left, incremental = manifests(known.warehouse)
    assert (left.mode, left.grade, left.next_row, left.reading_since) == ("interrupted", "unproven", 90, 2)
    assert (incremental.grade, incremental.next_row) == ("counted", None)
    assert {each.page_no for each in requests.of_own_list()} == {0}
    folder = sync_folders(known.warehouse)[1]
    assert [page["request"] for page in pages_of(folder) if "Status" not in page["request"]][-3:] == [
        f"/iodm/northbound/v1.5.0/operations?pageNo={page_no}&pageSize=30" for page_no in range(3)
    ]
    requests.clear()
    resumed = finish(known, is_full=True)
    assert (resumed.mode, resumed.grade, resumed.reading_since) == ("full", "proven", 2)
    assert requests.rows_swept()[0].start == 90
    assert [rows.start for rows in requests.rows_swept()] == list(range(90, 330, 30))
    assert first.first_response < left.first_response < incremental.first_response < resumed.first_response
    assert_truthful(known, resumed)


@pytest.mark.parametrize("page_size", [7, 45, 100])
def test_it_goes_on_from_the_row_whatever_the_size_of_pages(make, page_size):
    site = make()
    interrupt(site, 8)
    later = Site(site.settings.warehouse.parent, settings={"page_size": page_size}, **FEW_ACTIVE)
    requests = Requests(later)
    manifest = finish(later)
    starts = [rows.start for rows in requests.rows_swept()]
    assert starts == list(range(210 // page_size * page_size, 330, page_size))
    assert manifest.grade == "counted"
    assert_truthful(later, manifest)


def test_it_goes_on_where_the_platform_serves_smaller_pages_than_are_asked_for(make):
    site = make(page_size_limit=30, settings={"page_size": 100})
    interrupt(site, 8)
    requests = Requests(site)
    manifest = finish(site)
    assert manifests(site.warehouse)[0].next_row == 240
    assert [asked.page_no for asked in requests.of_own_list() if asked.page_no > 1] == [2, 6, 7, 8, 9, 10]
    assert manifest.grade == "counted"
    assert_truthful(site, manifest)


@pytest.mark.parametrize("order", ["newest", "oldest", "random"])
@pytest.mark.parametrize("is_known", [True, False])
@pytest.mark.parametrize("change", [(45, 0), (0, 3)])
def test_a_list_that_grew_or_shrank_meanwhile_is_complete_or_says_that_it_is_not(make, order, is_known, change):
    created, removed = change
    site = make(is_known=is_known, order=order)
    interrupt(site, 8)
    site.platform.remove(sorted(site.truth())[:removed])
    site.platform.create(created)
    requests = Requests(site)
    manifest = finish(site, is_full=True)
    if created != removed:  # the total says so: the sweep goes back a page, and one more for each page that is missing
        assert min(rows.start for rows in requests.rows_swept()) <= 210 - 30 * (1 + -(-max(removed - created, 0) // 30))
    assert_truthful(site, manifest)


@pytest.mark.parametrize("order", ["newest", "oldest", "random"])
def test_as_many_new_tasks_as_have_gone_meanwhile_deceive_no_grade(make, order):
    site = make(is_known=True, order=order)
    interrupt(site, 8)
    met = {line["record"]["operationId"] for line in records_of(site.warehouse.raw / "open")}
    ended = [task["operationId"] for task in map(json.loads, site.platform.operations()) if task["status"] == "success"]
    site.platform.remove([each for each in ended if each in met][:6])
    created = site.platform.create(6)
    for _ in range(2):  # it starts, it ends
        site.platform.hasten(created)
    manifest = finish(site, is_full=True)
    assert_truthful(site, manifest)


@pytest.mark.parametrize("is_known", [True, False])
def test_a_reading_that_is_too_old_by_the_platforms_clock_begins_anew(make, is_known):
    site = make(is_known=is_known, settings=SMALL | {"resume_hours": 2})
    interrupt(site, 8)
    site.platform.advance(2 * 3600 + 1)
    requests = Requests(site)
    manifest = finish(site, is_full=True)
    assert [rows.start for rows in requests.rows_swept()][:10] == list(range(30, 330, 30))
    assert manifest.reading_since == manifest.sync_id
    assert_truthful(site, manifest)


def test_a_reading_that_is_just_young_enough_is_gone_on_with(make):
    site = make(settings=SMALL | {"resume_hours": 2})
    interrupt(site, 8)
    site.platform.advance(2 * 3600)
    requests = Requests(site)
    assert finish(site).reading_since == 1
    assert min(rows.start for rows in requests.rows_swept()) == 210


def test_the_age_of_a_reading_that_was_interrupted_twice_is_that_of_its_beginning(make):
    site = make(settings=SMALL | {"resume_hours": 2})
    interrupt(site, 3)
    site.platform.advance(1.5 * 3600)
    interrupt(site, 8)
    assert manifests(site.warehouse)[0].reading_since == 1
    site.platform.advance(1.5 * 3600)
    requests = Requests(site)
    manifest = finish(site)
    assert [each.mode for each in manifests(site.warehouse)] == ["interrupted", "interrupted", "full"]
    assert manifest.reading_since == manifest.sync_id == 3
    assert [rows.start for rows in requests.rows_swept()][:10] == list(range(30, 330, 30))


@pytest.mark.parametrize("is_known", [True, False])
@pytest.mark.parametrize("pages", [(3, 8), (8, 8), (5, 9, 10)])
def test_interrupted_again_it_goes_on_from_the_last_row(make, is_known, pages):
    site = make(is_known=is_known)
    undisturbed = 1 if is_known else 0
    for page_no in pages:
        interrupt(site, page_no)
    requests = Requests(site)
    manifest = finish(site, is_full=True)
    assert [each.mode for each in manifests(site.warehouse)][undisturbed:] == ["interrupted"] * len(pages) + ["full"]
    assert (manifest.reading_since, manifest.grade) == (undisturbed + 1, "proven" if is_known else "counted")
    starts = [rows.start for rows in requests.rows_swept()]
    assert starts == sorted(set(starts))
    assert starts[-1] == 300
    every = [
        page["request"]
        for folder in sync_folders(site.warehouse)[undisturbed:]
        for page in pages_of(folder)
        if page.get("of") == "all" and "pageNo=0&" not in page["request"]
    ]
    assert len(every) == len(set(every)) == 10  # durable once, whichever sync it is in
    assert_truthful(site, manifest)


@pytest.mark.parametrize(
    ("match", "modes"),
    [
        (Match(kind="login"), ["full"]),  # nothing was durable
        (Match(kind="list"), ["full"]),
        (Match(kind="list", query="operationStatus=wait"), ["full"]),  # in flight with the first page
        (Match(kind="list", query="operationStatus=stop"), ["interrupted", "full"]),  # in the first round
        (Match(kind="list", first=7), ["interrupted", "full"]),
        (Match(kind="list", query="operationStatus=stop", first=2), ["interrupted", "full"]),  # in the closing round
    ],
)
def test_wherever_a_full_sync_of_known_tasks_dies_the_next_one_proves_it(known, match, modes):
    known.platform.set_faults([Fault("error_code", match, error_code="100025", status=401)])
    with pytest.raises(PlatformError, match="100025"):
        finish(known, is_full=True)
    known.platform.set_faults([])
    manifest = finish(known, is_full=True)
    assert [each.mode for each in manifests(known.warehouse)][1:] == modes
    assert manifest.grade == "proven"
    assert_truthful(known, manifest)


def test_a_whole_list_read_before_the_interruption_is_not_read_again(known):
    known.platform.set_faults([Fault("html_403", Match(kind="list", query="operationStatus=wait", first=2))])
    with pytest.raises(PlatformError, match="403"):
        finish(known, is_full=True)
    known.platform.set_faults([])
    requests = Requests(known)
    manifest = finish(known, is_full=True)
    assert manifests(known.warehouse)[1].next_row == 330
    assert requests.rows_swept() == [range(330, 360)]
    assert manifest.grade == "proven"


def test_ctrl_c_is_an_interruption_like_any_other(known):
    handle = known.platform.handle

    def press_ctrl_c(request):
        if request.query.startswith("pageNo=5&"):
            raise KeyboardInterrupt
        return handle(request)

    known.platform.handle = press_ctrl_c
    with pytest.raises(KeyboardInterrupt):
        finish(known, is_full=True)
    known.platform.handle = handle
    requests = Requests(known)
    assert finish(known, is_full=True).grade == "proven"
    assert requests.rows_swept()[0].start == 90


def test_with_calls_in_flight_in_four_threads_nothing_is_lost_and_nothing_is_there_twice(known):
    for first in (9, 14, 20):
        known.platform.set_faults([Fault("html_403", Match(kind="list", first=first))])
        with pytest.raises(PlatformError, match="403"):
            known.extract(is_full=True)
        known.platform.set_faults([])
    manifest = known.extract(is_full=True)
    assert manifest.grade == "proven"
    assert_truthful(known, manifest)


@pytest.mark.parametrize("is_known", [True, False])
def test_what_is_published_is_what_an_undisturbed_run_publishes(make, is_known):
    disturbed, calm = (make(quirks=1, broken=0.02, seed=3) for _ in range(2))
    for site in (disturbed, calm):
        if is_known:
            site.sync()
            site.platform.advance(3600)
            site.platform.hasten(sorted(each for each in ids(site))[:40])
            site.platform.create(12)
    for page_no in (4, 9):
        interrupt(disturbed, page_no)
    finish(disturbed, is_full=True)
    disturbed.store.publish()
    finish(calm, is_full=True)
    calm.store.publish()
    assert content(disturbed.store) == content(calm.store)
    assert_a_rebuild_gives_the_same(disturbed.store)


def ids(site: Site) -> set[str]:
    """Ids of the records that have one."""
    return {row["operation_id"] for row in site.store.rows("select operation_id from core.operations")}


def test_syncs_that_wait_to_be_published_count_as_much_as_published_ones(make):
    prompt, late = make(), make()
    for site, after_each in ((prompt, prompt.store.publish), (late, lambda: None)):
        interrupt(site, 4)
        finish(site)
        after_each()
        for page_no in (4, 9):
            interrupt(site, page_no)
        finish(site)
        after_each()
        finish(site, is_full=True)
        after_each()
    late.store.publish()
    assert manifests(late.warehouse) == manifests(prompt.warehouse)
    assert late.store.everything() == prompt.store.everything()
    assert_truthful(late, manifests(late.warehouse)[-1])


def test_an_interrupted_incremental_sync_is_kept_and_no_reading_goes_on_from_it(known):
    known.platform.create(7)
    known.platform.set_faults([Fault("html_403", Match(kind="list", query="operationStatus=failed"))])
    with pytest.raises(PlatformError, match="403"):
        finish(known)
    known.platform.set_faults([])
    requests = Requests(known)
    assert finish(known, is_full=True).grade == "proven"
    assert manifests(known.warehouse)[1].next_row is None
    assert [each for each in requests.of_own_list() if each.page_no == 1] == [Asked(1, 30)]
