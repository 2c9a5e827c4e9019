"""Dagster as an operator meets it: a tick of the schedule, the pages in a browser, a failure with its cause, an alert.

With `SCREENSHOTS=docs/images` the pictures of the documents are taken anew.
"""

import os
import re
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import pytest
from playwright.sync_api import Page, expect, sync_playwright

from pipelines.models import load
from pipelines.report import query
from pipelines.warehouse import Warehouse, is_locked
from simulator.dials import Dials
from simulator.faults import Fault, Match
from simulator.process import SimulatorProcess
from support.dagster_pages import Pages
from support.interruptions import assert_raw_store_adds_up
from support.webhook import Receiver, receiving

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Iterator[tuple[SimulatorProcess, Pages, Warehouse, Receiver]]:
    """A platform, Dagster with a tick a minute, and somebody who takes its alerts."""
    folder = tmp_path_factory.mktemp("dagster")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with SimulatorProcess(Dials(tasks=2_000, throttle=0, broken=0.002)) as simulator, receiving() as receiver:
        settings = {
            **simulator.settings,
            "IODM_CALLS_PER_MINUTE": "6000",
            "IODM_WAREHOUSE": str(folder / "warehouse"),
            "IODM_SYNC_CRON": "* * * * *",
            "IODM_TIMEOUT_SECONDS": "60",
            "IODM_ALERT_WEBHOOK": receiver.url,
        }
        with Pages(port, folder / "log", settings) as pages:
            yield simulator, pages, Warehouse(folder / "warehouse"), receiver


@pytest.fixture(scope="module")
def browser(site) -> Iterator[Page]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        page = chromium.new_page(viewport={"width": 1400, "height": 1000}, base_url=site[1].url)
        page.set_default_timeout(30_000)
        expect.set_options(timeout=30_000)
        yield page
        chromium.close()


def until(condition: Callable[[], object], seconds: float = 150) -> object:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.5)
    raise AssertionError(f"not within {seconds} seconds")


def keep_picture(page: Page, name: str) -> None:
    if folder := os.environ.get("SCREENSHOTS"):
        page.wait_for_timeout(3_000)  # fonts and charts
        page.screenshot(path=Path(folder) / f"{name}.png")


def test_dagster_from_a_tick_to_an_alert(site, browser):
    """One story, because each step needs the one before: it takes about two minutes."""
    simulator, pages, warehouse, receiver = site

    def ticked():
        tag = {"key": "dagster/schedule_name", "value": "sync_operations_schedule"}
        return [run for run in pages.runs() if run["status"] == "SUCCESS" and tag in run["tags"]]

    [run, *_] = until(ticked)
    assert warehouse.served_file()
    until(lambda: freshness_of(pages, "marts", "snapshot") == "HEALTHY")
    the_graph_is_drawn(browser)
    a_run_is_told(browser, run["runId"])
    an_asset_shows_what_it_is(browser, warehouse)
    checks_show_what_they_found(browser, warehouse)
    the_report_page_is_an_asset(browser, warehouse)
    published = warehouse.served_file()
    simulator.set_faults([Fault("error_code", Match(kind="login"), status=401, error_code="100208")])
    simulator.kill_token()
    failed = [pages.launch(), pages.launch()]
    assert {pages.status_at_its_end(run_id) for run_id in failed} == {"FAILURE"}
    a_failure_shows_its_cause(browser, failed[0])
    assert warehouse.served_file() == published
    until(lambda: any("two syncs in a row have failed" in text for text in receiver.texts))
    assert simulator.settings["IODM_SECRET"] not in "".join(receiver.texts)
    simulator.set_faults([])
    until(lambda: any("over: two syncs in a row have failed" in text for text in receiver.texts))


@pytest.mark.parametrize("how", ["terminated", "killed"])
def test_a_run_that_is_ended_from_outside_leaves_everything_sound_and_the_next_one_goes_on(site, how):
    simulator, pages, warehouse, _ = site
    simulator.set_faults([])
    with pages.without_ticks():  # a tick between two steps would take the lock, and stall in place of the test's run
        assert pages.status_at_its_end(pages.launch()) == "SUCCESS"
        published = warehouse.served_file()
        simulator.set_faults([Fault("stall", Match(kind="list"), seconds=20)])
        run_id = pages.launch()
        until(lambda: pages.status(run_id) == "STARTED" and is_locked(warehouse))
        if how == "terminated":
            pages.terminate(run_id)
            assert pages.status_at_its_end(run_id) == "CANCELED"
        else:
            os.kill(process_of(warehouse, run_id), signal.SIGKILL)
            assert pages.status_at_its_end(run_id) == "FAILURE"
        simulator.set_faults([])
        assert query(warehouse, "select count(*) from core.operations").rows[0][0] > 0
        assert pages.status_at_its_end(pages.launch()) == "SUCCESS"
        assert warehouse.served_file() != published
        numbers = [number for (number,) in query(warehouse, "select sync_id from core.syncs order by all").rows]
        assert numbers == list(range(1, len(numbers) + 1))
        assert_raw_store_adds_up(warehouse)


def process_of(warehouse: Warehouse, run_id: str) -> int:
    """The process that executes a run; the first event that it writes names it."""
    with dg.DagsterInstance.from_config(str(warehouse.root / "dagster")) as instance:
        messages = [entry.message for entry in instance.all_logs(run_id)]
    return int(re.search(r"\(pid: (\d+)\)", "\n".join(messages))[1])


def freshness_of(pages: Pages, *path: str) -> str:
    """What the daemon says of an asset's age."""
    data = pages.ask(
        "query($path: [String!]!) { assetNodeOrError(assetKey: {path: $path}) "
        "{ ... on AssetNode { freshnessStatusInfo { freshnessStatus } } } }",
        path=path,
    )
    return data["assetNodeOrError"]["freshnessStatusInfo"]["freshnessStatus"]


def the_graph_is_drawn(page: Page) -> None:
    page.goto("/asset-groups")
    for group in ("raw", "core", "marts", "reports"):
        expect(page.get_by_text(group, exact=True).first).to_be_visible()
    page.goto("/asset-groups~/core%2Foperations?expanded=iodm_assets.definitions%3A__repository__%3Acore")
    expect(page.get_by_text("operation_targets").first).to_be_visible()
    keep_picture(page, "dagster-graph")


def a_run_is_told(page: Page, run_id: str) -> None:
    page.goto(f"/runs/{run_id}")
    expect(page.get_by_text("Success", exact=True).first).to_be_visible()
    expect(page.get_by_text("publish").first).to_be_visible()
    expect(page.get_by_text("RUN_SUCCESS").first).to_be_visible()
    keep_picture(page, "dagster-run")


def an_asset_shows_what_it_is(page: Page, warehouse: Warehouse) -> None:
    [(rows,)] = query(warehouse, "select count(*) from marts.success_by_model").rows
    page.goto("/assets/marts/success_by_model")
    expect(page.get_by_text("One row is: one manufacturer, model and device type.")).to_be_visible()
    expect(page.get_by_text(str(rows), exact=True).first).to_be_visible()
    expect(page.get_by_text("lower end of the 95 % Wilson interval")).to_be_visible()
    expect(page.get_by_text("analysts").first).to_be_visible()
    page.goto("/assets/core/operations?view=events")
    for name in ("changed_months", "months", "grade", "dagster/row_count"):
        expect(page.get_by_text(name, exact=True).first).to_be_visible()
    keep_picture(page, "dagster-asset")


def checks_show_what_they_found(page: Page, warehouse: Warehouse) -> None:
    found = query(warehouse, "select check_name from marts.data_quality where offending_rows > 0").rows
    assert ("quarantine_is_empty",) in found
    page.goto("/assets/core/quarantine?view=checks")
    page.get_by_text("quarantine_is_empty").first.click()
    expect(page.get_by_text("Failed").first).to_be_visible()
    expect(page.get_by_text("offending_rows").first).to_be_visible()
    assert "quarantine_is_empty" in load("checks")
    keep_picture(page, "dagster-failed-check")


def the_report_page_is_an_asset(page: Page, warehouse: Warehouse) -> None:
    assert "How well upgrades succeed" in warehouse.report_page.read_text()
    page.goto("/assets/reports/upgrade_report?view=events")
    for name in ("success_rate", "verdict", "file"):
        expect(page.get_by_text(name, exact=True).first).to_be_visible()
    expect(page.get_by_text(str(warehouse.report_page)).first).to_be_visible()


def a_failure_shows_its_cause(page: Page, run_id: str) -> None:
    page.goto(f"/runs/{run_id}")
    expect(page.get_by_text("Failure", exact=True).first).to_be_visible()
    expect(page.get_by_text("100208").first).to_be_visible()
    keep_picture(page, "dagster-failed-run")
