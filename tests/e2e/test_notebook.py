"""The notebook as a reader meets it: `make notebook` as a process, in a browser, on a desk and on a phone.

With `SCREENSHOTS=docs/images` the pictures of the documents are taken anew.
"""

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests
from playwright.sync_api import Browser, Locator, Page, Request, Route, expect, sync_playwright

from pipelines.report import query
from pipelines.warehouse import Warehouse
from support.cookbook import sync_the_fleet
from support.overlaps import overlapping_texts
from support.records import Store, counters, record

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]
DESK, PHONE = {"width": 1400, "height": 1000}, {"width": 390, "height": 844}
CHARTS = 7
ODD = 'O\'Brien "x"'


@contextmanager
def serving(warehouse: Path, log: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """What `make notebook` runs, over this warehouse, without opening a browser of its own."""
    [arguments] = re.findall(r"^\t\$\(BIN\)/marimo (run .+)$", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [str(Path(sys.executable).with_name("marimo")), *arguments.split(), "--headless", f"--port={port}"]
    environment = {**os.environ, "IODM_WAREHOUSE": str(warehouse)}
    with log.open("w") as output:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=output)
    url = f"http://127.0.0.1:{port}"
    try:
        until(lambda: process.poll() is not None or answers(url))
        assert process.poll() is None, log.read_text()
        yield url, process
        assert "Traceback" not in log.read_text()
    finally:
        process.terminate()
        process.wait(30)


def answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=5).ok
    except requests.ConnectionError:
        return False


def until(condition: Callable[[], object], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds} seconds"
        time.sleep(0.2)


@pytest.fixture(scope="module")
def fleet(tmp_path_factory) -> Warehouse:
    """A month of a fleet whose last day and a half was synced every hour or two."""
    return sync_the_fleet(tmp_path_factory.mktemp("fleet"))


@pytest.fixture(scope="module")
def url(fleet, tmp_path_factory) -> Iterator[str]:
    with serving(fleet.root, tmp_path_factory.mktemp("log") / "marimo.log") as (address, _):
        yield address


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        expect.set_options(timeout=30_000)
        yield browser
        browser.close()


@contextmanager
def visited(chromium: Browser, url: str, size=DESK, color_scheme="light") -> Iterator[Page]:
    """The page in a zone far from UTC; nothing else can be reached, and nothing may go wrong unseen."""
    context = chromium.new_context(
        viewport=size, color_scheme=color_scheme, locale="en-US", timezone_id="America/Los_Angeles"
    )
    asked: list[str] = []
    wrong: list[str] = []

    def only_here(route: Route, request: Request) -> None:
        route.continue_() if request.url.startswith(f"{url}/") else route.abort()

    context.route("**/*", only_here)
    page = context.new_page()
    page.set_default_timeout(30_000)
    page.on("request", lambda request: asked.append(request.url))
    page.on("websocket", lambda websocket: asked.append(websocket.url.replace("ws:", "http:", 1)))
    page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.goto(url)
    yield page
    assert [address for address in asked if not address.startswith((f"{url}/", "data:", "blob:"))] == []
    assert wrong == []
    context.close()


def is_drawn(page: Page) -> None:
    """Every chart is there."""
    expect(page.get_by_role("heading", name="Stalled tasks")).to_be_visible()
    expect(page.locator("svg.marks")).to_have_count(CHARTS)


def as_high_as_its_content(page: Page) -> None:
    """The whole page without scrolling, once its charts stand still."""
    width = page.viewport_size["width"]
    heights = [0]

    def is_still() -> bool:
        heights.append(page.evaluate("document.querySelector('#App').scrollHeight"))
        page.set_viewport_size({"width": width, "height": heights[-1]})
        return heights[-1] == heights[-2]

    until(is_still)


def keep_picture(page: Page, name: str) -> None:
    if folder := os.environ.get("SCREENSHOTS"):
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


def fact(page: Page, label: str) -> Locator:
    """The value of a tile."""
    return page.locator(".facts > div").filter(has=page.get_by_text(label, exact=True)).locator("dd.value")


def marks(page: Page, chart: str, kind: str = "point") -> Locator:
    return page.get_by_label(chart, exact=True).locator(f"svg.marks [aria-roledescription={kind}]")


def told(page: Page, chart: str, *names: str, kind: str = "point") -> list[tuple[str, ...]]:
    """What a chart says of each of its marks, sorted: those that have all these names."""
    labels = marks(page, chart, kind).evaluate_all("marks => marks.map((mark) => mark.getAttribute('aria-label'))")
    every = [dict(part.split(": ", 1) for part in label.split("; ")) for label in labels]
    return sorted(tuple(said[name] for name in names) for said in every if set(names) <= set(said))


def asked(warehouse: Warehouse, sql: str) -> list[tuple[str, ...]]:
    """The rows of a query on the file, as a chart would say them."""
    return sorted(tuple(in_words(value) for value in row) for row in query(warehouse, sql).rows)


def in_words(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.1%}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def choose(page: Page, place: int, *options: str) -> None:
    """Choose in a list: the first is of models, the second of versions."""
    page.locator("marimo-multiselect").nth(place).get_by_role("button").click()
    for option in options:
        page.get_by_role("option", name=option, exact=True).click()
    page.keyboard.press("Escape")


MODELS, VERSIONS = 0, 1
VERSION = "coalesce(file_version, '(no version)')"
RATES = ("finished", "operations finished", "clustered lower", "clustered upper", "verdict")
MEASURES = "finished, operations_finished, clustered_lower, clustered_upper, verdict"


@pytest.mark.parametrize(
    ("picture", "size", "color_scheme"),
    [
        ("notebook-desktop", DESK, "light"),
        ("notebook-desktop-dark", DESK, "dark"),
        ("notebook-phone", PHONE, "light"),
        (None, PHONE, "dark"),
    ],
    ids=["desk", "dark desk", "phone", "dark phone"],
)
def test_the_page_is_drawn_on_any_screen_in_any_light_without_a_word_to_anybody_else(
    chromium, url, picture, size, color_scheme
):
    with visited(chromium, url, size, color_scheme) as page:
        is_drawn(page)
        as_high_as_its_content(page)
        if picture:
            keep_picture(page, picture)
        assert overlapping_texts(page) == []
        assert page.evaluate("document.querySelector('#App').scrollWidth") <= size["width"]
        for chart in page.locator("svg.marks").all():
            ink = chart.locator("text").first.evaluate("text => getComputedStyle(text).fill")
            assert ink == ("rgb(255, 255, 255)" if color_scheme == "dark" else "rgb(0, 0, 0)")
            assert chart.evaluate("svg => svg.getBoundingClientRect().right") <= size["width"]


def test_what_is_shown_is_what_the_file_says(chromium, url, fleet):
    [(publication, grade, operations, outside, target)] = query(
        fleet,
        "select publication, grade, operations, operations_outside_rates, target_success_rate from marts.snapshot",
    ).rows
    with visited(chromium, url) as page:
        is_drawn(page)
        expect(fact(page, "publication")).to_have_text(str(publication))
        expect(fact(page, "grade")).to_have_text(grade)
        expect(fact(page, "tasks known")).to_have_text(f"{operations:,}")
        expect(fact(page, "tasks outside the rates")).to_have_text(str(outside))
        expect(fact(page, "target")).to_have_text(f"{target:.1%}")
        headline_is(page, fleet, "true")
        assert told(page, "Success rates by group", *RATES) == asked(
            fleet, f"select {MEASURES} from marts.success_by_model where finished > 0"
        )
        assert told(page, "Success rate over time", "created date", *RATES) == asked(
            fleet, f"select created_date, {MEASURES} from marts.success_by_day"
        )
        assert told(page, "Success rates in the funnel of their peers", "success rate", "finished", "kind")
        assert told(
            page, "Success rates in the funnel of their peers", "finished", "funnel lower", "funnel upper", "kind"
        ) == asked(
            fleet,
            "select finished, funnel_lower, funnel_upper, if(is_below, 'below the funnel', 'as far as chance goes') "
            "from marts.success_funnel where operation_type = 'firmware_upgrade'",
        )
        assert told(
            page, "Weekly control chart of the success rate", "created week", "centre", "lower limit", "upper limit"
        ) == asked(
            fleet,
            "select created_week, centre, lower_limit, upper_limit from marts.weekly_control_chart "
            "where operation_type = 'firmware_upgrade'",
        )
        assert told(
            page, "Active tasks that stand still, beside what is usual", "unchanged hours", "usual hours", kind="bar"
        ) == sorted(
            (f"{unchanged / 3600:.1f}", f"{usual / 3600:.1f}")
            for unchanged, usual in query(
                fleet, "select unchanged_seconds, usual_seconds from marts.stalled_operations"
            ).rows
        )
        page.get_by_label("version", exact=True).click()
        until(
            lambda: (
                told(page, "Success rates by group", "version name", *RATES)
                == asked(fleet, f"select {VERSION}, {MEASURES} from marts.success_by_version")
            )
        )
        the_table_says(page, fleet)


def headline_is(page: Page, warehouse: Warehouse, condition: str) -> None:
    """The tiles below the filters say what a query of the tasks says."""
    [(operations, finished, rate)] = query(
        warehouse,
        "select count(*), sum(finished), success_rate(sum(success), sum(fail), sum(timeout)) "
        f"from marts.operation_outcomes where {condition}",
    ).rows
    expect(fact(page, "upgrade tasks")).to_have_text(f"{operations:,}")
    expect(fact(page, "finished devices")).to_have_text(f"{finished:,}")
    expect(fact(page, "success rate")).to_have_text(f"{rate:.1%}")


def the_table_says(page: Page, warehouse: Warehouse) -> None:
    """The numbers below the chart by version."""
    page.get_by_role("button", name="The numbers").first.click()
    expect(page.get_by_role("row")).not_to_have_count(0)
    cells = [row.split("\t") for row in page.get_by_role("row").all_inner_texts()[1:]]
    shown = {tuple(cell.strip() for cell in row[:4]) for row in cells}
    assert shown == {
        (version, f"{operations:,}", f"{finished:,}", f"{rate:.1%}")
        for version, operations, finished, rate in query(
            warehouse, f"select {VERSION}, operations, finished, success_rate from marts.success_by_version"
        ).rows
    }


def test_filters_change_the_numbers_as_a_query_says_and_leave_peers_alone(chromium, url, fleet):
    with visited(chromium, url) as page:
        is_drawn(page)
        choose(page, MODELS, "PS/1", "TL-500 Tracker")
        condition = "(model = 'PS/1' or (model = 'TL-500' and device_type = 'Tracker'))"
        headline_is(page, fleet, condition)
        funnel = "Success rates in the funnel of their peers"
        [(groups, faint)] = query(
            fleet,
            f"select count(*), count(*) filter (where not {condition}) from marts.success_funnel "
            "where operation_type = 'firmware_upgrade'",
        ).rows
        expect(marks(page, funnel)).to_have_count(groups)
        expect(marks(page, funnel).and_(page.locator("[opacity='0.2']"))).to_have_count(faint)
        expect(page.get_by_text("this chart shows all of them")).to_be_visible()
        page.get_by_role("spinbutton").nth(0).click()
        page.keyboard.type("02")
        page.get_by_role("spinbutton").nth(1).click()
        page.keyboard.type("15")
        condition += " and created_at >= timestamp '2026-02-15'"
        headline_is(page, fleet, condition)
        choose(page, VERSIONS, "V1.2.0")
        condition += " and file_version = 'V1.2.0'"
        headline_is(page, fleet, condition)
        until(
            lambda: (
                told(page, "Success rates by group", *RATES)
                == asked(
                    fleet,
                    f"""
                with measures as (
                    select success_measures(success_sums(total, wait, processing, success, fail, stop, timeout)) as one
                    from marts.operation_outcomes
                    where {condition}
                    group by model, device_type
                )
                select {MEASURES} from (select unnest(one), success_verdict(one) as verdict from measures)
                """,
                )
            )
        )


def test_an_empty_warehouse_says_what_to_do_and_then_shows_each_publication(chromium, tmp_path):
    store = Store(tmp_path)
    some = [record(f"task-{number}", staResult=counters(success=9, fail=1)) for number in range(3)]
    targets = record()["targets"] | {"model": ODD}
    more = [record(f"odd-{number}", targets=targets, staResult=counters(success=4, fail=16)) for number in range(4)]
    with (
        serving(store.warehouse.root, tmp_path / "marimo.log") as (url, process),
        visited(chromium, url, PHONE) as page,
    ):
        expect(page.get_by_text("Nothing is published in")).to_be_visible()
        for advice in ("make demo", "iodm sync", "IODM_WAREHOUSE", str(store.warehouse.root)):
            expect(page.get_by_text(advice).first).to_be_visible()
        as_high_as_its_content(page)
        assert overlapping_texts(page) == []
        store.apply(some)
        expect(fact(page, "success rate")).to_have_text("90.0%")
        expect(page.get_by_text("Nothing is published in")).to_have_count(0)
        choose(page, VERSIONS, "V1.0")
        store.apply([*some, *more])
        expect(fact(page, "publication")).to_have_text("2")
        expect(fact(page, "success rate")).to_have_text(f"{(27 + 16) / 110:.1%}")
        choose(page, MODELS, ODD)
        expect(fact(page, "success rate")).to_have_text("20.0%")
        assert ("80", "4") in told(page, "Success rates by group", "finished", "operations finished")
        until(lambda: published_files_open(process, store.warehouse) == {store.warehouse.served_file()})


def published_files_open(process: subprocess.Popen[bytes], warehouse: Warehouse) -> set[Path]:
    """What the process has open of what was published (Linux)."""
    files = {link.readlink() for link in Path(f"/proc/{process.pid}/fd").iterdir() if link.is_symlink()}
    return {file for file in files if file.is_relative_to(warehouse.published)}
