"""The report page in a real browser: wide and narrow, light and dark, on paper; its numbers are those of the file.

With `SCREENSHOTS=docs/images` the pictures of the documents are taken anew.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from pipelines.report import query
from pipelines.warehouse import Warehouse
from support.commands import Iodm
from support.cookbook import sync_the_fleet
from support.overlaps import overlapping_texts

pytestmark = pytest.mark.e2e
SCREENS = {"desktop": (1280, 900), "phone": (390, 844), "small-phone": (320, 640)}


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory) -> Warehouse:
    """A month-old fleet that was watched for a day and a half: something of everything."""
    return sync_the_fleet(tmp_path_factory.mktemp("page"))


@pytest.fixture(scope="module")
def page_file(warehouse) -> Path:
    file = warehouse.root / "page.html"
    shown = Iodm(warehouse.root, {"IODM_WAREHOUSE": warehouse.root}).ok("report", "--html", str(file))
    assert str(file) in shown
    return file


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("screen", SCREENS)
def test_the_page_is_whole_quiet_and_readable(warehouse, page_file, chromium, screen, scheme):
    width, height = SCREENS[screen]
    context = chromium.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
    page = context.new_page()
    said, asked = [], []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(page_file.as_uri())
    if screen != "small-phone" and (folder := os.environ.get("SCREENSHOTS")):
        page.screenshot(path=Path(folder) / f"page-{screen}-{scheme}.png", full_page=True)
    assert said == []
    assert [url for url in asked if not url.startswith("data:")] == [page_file.as_uri()]
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    assert overlapping_texts(page) == []
    page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
    assert overlapping_texts(page) == []
    assert_numbers_are_those_of(warehouse, page)
    background, ink = page.evaluate(
        "[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]"
    )
    assert (brightness(background) > brightness(ink)) == (scheme == "light")
    context.close()


def test_on_paper_the_numbers_stand_beside_the_charts(page_file, chromium):
    page = chromium.new_page(color_scheme="dark")
    page.goto(page_file.as_uri())
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
    assert page.evaluate("[...document.querySelectorAll('figure table')].every(each => each.checkVisibility())")
    assert not page.evaluate("[...document.querySelectorAll('.narrow')].some(each => each.checkVisibility())")
    assert page.pdf(format="A4").startswith(b"%PDF")
    page.close()


def test_charts_have_a_text_for_those_who_hear_the_page(page_file, chromium):
    page = chromium.new_page(viewport={"width": 1280, "height": 900})
    page.goto(page_file.as_uri())
    images = page.get_by_role("img").all()
    assert len(images) == page.locator("figure").count() >= 4  # of the two widths one is hidden
    assert all(len(image.get_attribute("aria-label")) > 40 for image in images)
    page.close()


def test_what_can_not_be_written_is_said_and_a_page_of_before_stays(warehouse, tmp_path):
    iodm = Iodm(tmp_path, {"IODM_WAREHOUSE": warehouse.root})
    assert "nowhere/page.html" in iodm.fails(4, "report", "--html", "nowhere/page.html")
    assert "four kinds of report" in iodm.fails(2, "report", "--html", "page.html", "--by", "day")
    (tmp_path / "page.html").write_text("before")
    assert "nothing is published" in iodm.fails(4, "report", "--html", "page.html", IODM_WAREHOUSE=tmp_path / "none")
    assert (tmp_path / "page.html").read_text() == "before"
    iodm.ok("report", "--html", "page.html", "--since", "2026-03-01")
    assert "from 2026-03-01 00:00:00 UTC on" in (tmp_path / "page.html").read_text()
    assert [file.name for file in tmp_path.iterdir()] == ["page.html"]


def assert_numbers_are_those_of(warehouse, page) -> None:
    [overall] = query(warehouse, "from marts.success_overall").dicts()
    assert page.locator("#rate").inner_text() == f"{overall['success_rate']:.1%}"
    assert (
        page.locator("#interval").inner_text()
        == f"{overall['clustered_lower']:.1%} to {overall['clustered_upper']:.1%}"
    )
    assert page.locator("#finished").inner_text() == f"{overall['finished']:,}"
    assert page.locator("#operations").inner_text() == f"{overall['operations']:,}"
    [(worst, model, version, rate)] = query(
        warehouse,
        "select clustered_upper, model, file_version, success_rate from marts.success_by_model_version "
        "where verdict <> 'too_few' order by 1, 4 limit 1",
    ).rows
    first = page.locator("h3:has-text('Worst') + figure tbody tr").first.inner_text()
    assert model in first
    assert version in first
    assert f"{rate:.1%}" in first
    assert f"to {worst:.1%}" in first
    [(stalled,)] = query(warehouse, "select count(*) from marts.stalled_operations").rows
    assert stalled > 1
    assert page.locator("#stalled").inner_text() == f"{stalled:,} active tasks stand still"
    days = query(
        warehouse, "select created_week, success_rate, finished from marts.success_by_week order by all"
    ).dicts()
    cells = page.locator("h2:has-text('Trend') + figure tbody tr").all_inner_texts()
    assert [cell.split("\t")[:2] for cell in cells] == [
        [str(day["created_week"]), f"{day['success_rate']:.1%}"] for day in days
    ]


def brightness(colour: str) -> int:
    """Of `rgb(1, 2, 3)`."""
    return sum(int(each) for each in colour.removeprefix("rgb(").removesuffix(")").split(","))
