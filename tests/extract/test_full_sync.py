"""A full sync against a platform in process: `counted` where it is quiet, never falsely complete where it is not."""

import json
import re
import tempfile
from pathlib import Path

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from pipelines.errors import PlatformError, SettingsError
from pipelines.extract import ledger
from pipelines.extract.raw import newest_sync
from simulator.faults import Fault, Match
from support.interruptions import living
from support.platforms import Site

pytestmark = pytest.mark.usefixtures("few_reports")


def test_what_is_published_is_what_is_there(make_site):
    site = make_site(quirks=1)
    assert site.sync().grade == "counted"
    assert site.published() == site.truth()


def test_every_counter_and_target_is_published_as_served(make_site):
    site = make_site()
    site.sync()
    truth = {task["operationId"]: task for task in map(json.loads, site.platform.operations())}
    results = site.store.rows("from core.operation_results")
    assert {
        row["operation_id"]: [row[name] for name in ("total", "success", "fail", "timeout")] for row in results
    } == {
        name: [task["staResult"][counter] for counter in ("total", "success", "fail", "timeout")]
        for name, task in truth.items()
    }
    targets = site.store.rows(
        "select operation_id, list(target_id order by target_type, position) as ids "
        "from core.operation_targets group by all"
    )
    assert {row["operation_id"]: row["ids"] for row in targets} == {
        name: task["targets"]["devices"] + task["targets"]["deviceGroups"] for name, task in truth.items()
    }


@pytest.mark.parametrize("at_once", [1, 150, 250])
def test_nothing_is_forgotten_however_many_records_are_taken_in_at_once(make_site, monkeypatch, at_once):
    monkeypatch.setattr(ledger, "BUFFERED_RECORDS", at_once)
    site = make_site(tasks=930)
    assert site.sync().grade == "counted"
    assert site.platform.remove([max(site.truth())])
    assert site.extract(is_full=True).grade == "proven"
    assert living(site.warehouse) == site.truth()


@pytest.mark.parametrize("order", ["newest", "oldest", "random"])
@pytest.mark.parametrize("past_end", ["empty", "error"])
def test_a_quiet_platform_is_counted_in_every_order(make_site, order, past_end):
    site = make_site(order=order, past_end=past_end)
    assert site.extract().grade == "counted"


@pytest.mark.parametrize("total_name", ["totalCount", "totalSize", "string"])
@pytest.mark.parametrize("empty_data", ["list", "null", "missing"])
@pytest.mark.parametrize("tasks", [0, 1, 100, 101])
def test_a_quiet_platform_is_counted_under_every_name_of_the_total(make_site, total_name, empty_data, tasks):
    manifest = make_site(total_name=total_name, empty_data=empty_data, tasks=tasks).extract()
    assert (manifest.grade, manifest.total_after, manifest.records >= tasks) == ("counted", tasks, True)


@pytest.mark.parametrize("past_end", ["empty", "error"])
@pytest.mark.parametrize("tasks", [0, 1, 300, 330])
def test_without_a_total_everything_is_read_and_called_unproven(make_site, past_end, tasks):
    site = make_site(total_name="missing", past_end=past_end, tasks=tasks)
    assert site.extract().grade == "unproven"
    assert living(site.warehouse) == site.truth()


@pytest.mark.parametrize("by", [10_000, 2**31])
@pytest.mark.parametrize("order", ["newest", "oldest"])
def test_a_total_that_is_far_too_large_costs_calls_and_the_grade_and_no_task(make_site, order, by):
    site = make_site(Fault("wrong_total", Match(kind="list"), by=by), order=order, tasks=330)
    manifest = site.extract()
    assert (manifest.grade, manifest.api_calls < 1_000) == ("unproven", True)
    assert living(site.warehouse) == site.truth()


@pytest.mark.parametrize("limit", [1, 7, 50, 99])
@pytest.mark.parametrize("page_size", [10, 100])
def test_a_platform_that_serves_smaller_pages_is_read_whole(make_site, limit, page_size):
    site = make_site(page_size_limit=limit, tasks=130, settings={"page_size": page_size})
    assert site.extract().grade == "counted"


@pytest.mark.parametrize(("last_page_no", "grade"), [(2, "counted"), (1, "counted")])
def test_beyond_a_ceiling_tasks_are_read_by_status(make_site, last_page_no, grade):
    site = make_site(last_page_no=last_page_no)
    assert site.extract().grade == grade
    assert site.platform.statistics()["errors"]["123029"] >= 1


def test_where_a_status_is_too_long_too_it_is_read_by_type(make_site):
    site = make_site(last_page_no=0, tasks=150, settings={"page_size": 75})
    manifest = site.extract()
    requests = {
        line
        for folder in site.warehouse.raw.glob("*/sync=*")
        for line in (folder / "pages.jsonl").read_text().splitlines()
        if "operationType=" in line
    }
    assert requests
    assert (manifest.grade == "counted") == (living(site.warehouse) == site.truth())


def test_a_ceiling_that_no_split_gets_under_is_unproven_and_says_what_stayed_unread(make_site):
    site = make_site(last_page_no=0, settings={"page_size": 10})
    manifest = site.extract()
    assert manifest.grade == "unproven"
    assert "unread" in manifest.grade_evidence


def test_filters_limit_what_is_read(make_site):
    site = make_site(settings={"operation_type": "firmware_upgrade"})
    manifest = site.sync()
    assert manifest.grade == "counted"
    kinds = [json.loads(task)["operateType"] for task in site.platform.operations()]
    assert len(site.published()) == kinds.count("firmware_upgrade") < len(kinds)
    assert manifest.source["operationType"] == "firmware_upgrade"


def test_filters_with_letters_that_urls_dislike_are_sent_as_they_are(make_site):
    site = make_site(settings={"model": "a&b=c d/ä%?#+"})
    manifest = site.extract()
    assert (manifest.total_after, manifest.grade) == (0, "counted")


def test_an_unstable_order_is_read_but_only_trusted_when_it_adds_up(make_site):
    site = make_site(order="unstable")
    manifest = site.extract()
    assert (manifest.grade == "counted") == (living(site.warehouse) == site.truth())


def test_broken_records_count_as_tasks(make_site):
    site = make_site(broken=0.03, quirks=1, tasks=400)
    manifest = site.extract()
    assert manifest.quarantined > 0
    assert manifest.grade == "counted"


@pytest.mark.parametrize("publishes", [True, False])
def test_a_full_sync_counts_records_without_an_id_as_they_are_now(make_site, publishes):
    """While such a task changes, each of its states looks like another task; two alike look like one."""
    site = make_site(broken=0.03, tasks=300, tasks_per_day=2_000)
    for is_full in (True, False, False, False, True, False, True):
        manifest = site.extract(is_full=is_full)
        if is_full:
            known, there = (int(each.replace(",", "")) for each in re.findall(r"[\d,]+\b", manifest.grade_evidence))
            assert known <= there
            if publishes:
                site.store.publish()
        site.platform.advance(3600)


def test_a_first_sync_says_where_to_and_how_many_calls_it_will_need(make_site):
    site = make_site()
    site.extract()
    (line,) = site.said
    assert str(site.warehouse.root) in line
    assert "330 tasks" in line
    site.extract()
    assert len(site.said) == 1


def test_a_warehouse_of_another_application_is_refused_before_any_call(make_site):
    site = make_site()
    site.extract()
    calls = site.platform.statistics()["total_calls"]
    other = Site(site.store.settings.warehouse.parent, settings={"app_id": "app-2"}, app_id="app-2")
    with pytest.raises(SettingsError, match="another source"):
        other.extract()
    assert other.platform.statistics()["total_calls"] == 0
    assert site.platform.statistics()["total_calls"] == calls


@pytest.mark.parametrize("workers_latency_ms", [0, 400])
def test_no_call_is_throttled_and_nearly_the_whole_quota_is_used(make_site, workers_latency_ms):
    site = make_site(
        tasks=350, throttle=100, latency_ms=workers_latency_ms, settings={"page_size": 1, "calls_per_minute": 100}
    )
    began = site.clock()
    manifest = site.extract()
    statistics = site.platform.statistics()
    assert manifest.grade == "counted"
    assert statistics["throttled"] == 0
    assert statistics["max_calls_in_60_seconds"] <= 100
    windows = (site.clock() - began) / 60
    assert statistics["total_calls"] >= 0.95 * 100 * int(windows)


def test_two_runs_one_after_the_other_share_the_quota(make_site):
    site = make_site(throttle=10, settings={"calls_per_minute": 10})
    for _ in range(4):
        site.extract()
        site.client = site.connect()
    statistics = site.platform.statistics()
    assert (statistics["throttled"], statistics["max_calls_in_60_seconds"]) == (0, 10)


def test_a_neighbour_that_uses_the_quota_too_is_waited_for(make_site):
    site = make_site(Fault("throttled", Match(kind="list", first=2), times=3), throttle=100)
    assert site.extract().grade == "counted"


faults = st.lists(
    st.builds(
        Fault,
        st.sampled_from(
            [
                "reset",
                "http_error",
                "empty_page",
                "short_page",
                "repeated_page",
                "wrong_total",
                "missing_total",
                "invalid_json",
                "throttled",
                "dead_token",
            ]
        ),
        st.builds(Match, kind=st.just("list"), first=st.integers(1, 9), every=st.integers(1, 4)),
        times=st.integers(1, 2),
    ),
    max_size=3,
)
drifts = st.sampled_from(
    [
        {},
        {},
        {"insertions": 0.3},
        {"insertions": 1.0},
        {"removals": 0.3},
        {"changes": 2.0},
        {"insertions": 1.0, "removals": 1.0, "changes": 1.0},
    ]
)


@settings(max_examples=15, phases=[Phase.explicit, Phase.reuse, Phase.generate])  # shrinking would take minutes
@given(
    faults,
    drifts,
    st.sampled_from(["newest", "oldest", "random", "unstable"]),
    st.integers(0, 250),
    st.sampled_from([7, 30, 100]),
    st.sampled_from(["totalCount", "totalSize", "string", "missing"]),
    st.sampled_from(["empty", "error"]),
    st.integers(0, 1_000),
)
def test_what_is_committed_is_complete_or_says_that_it_is_not(
    plan, drift, order, tasks, page_size, total_name, past_end, seed
):
    with tempfile.TemporaryDirectory() as folder:
        site = Site(
            Path(folder),
            plan,
            settings={"page_size": page_size},
            tasks=tasks,
            order=order,
            total_name=total_name,
            past_end=past_end,
            seed=seed,
            **drift,
        )
        try:
            manifest = site.extract()
        except PlatformError:  # a cut error body is a refusal
            assert newest_sync(site.warehouse) is None
            return
        assert manifest.grade in ("counted", "unproven")
        if not drift and manifest.grade == "counted":
            assert living(site.warehouse) == site.truth()
