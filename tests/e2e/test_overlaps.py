"""What counts as text over text: so that the tests of pages fail where a reader would see it, and only there."""

import pytest
from playwright.sync_api import sync_playwright

from support.overlaps import overlapping_texts

pytestmark = pytest.mark.e2e

AT = "position: absolute; left: 10px; top: {}px; font: 16px/18px monospace"
LYING_ON_EACH_OTHER = {
    "two boxes": f"<p style='{AT.format(10)}; margin: 0'>one</p><p style='{AT.format(15)}; margin: 0'>other</p>",
    "labels of a chart": "<svg><text x='10' y='20'>one</text><text x='12' y='24'>other</text></svg>",
    "a chart's label and a paragraph": (
        f"<svg style='position: absolute'><text x='10' y='22'>one</text></svg><p style='{AT.format(8)}'>other</p>"
    ),
    "in a shadow root": (
        "<div id='host'></div><script>document.getElementById('host').attachShadow({mode: 'open'}).innerHTML = "
        '"<svg><text x=10 y=20>one</text><text x=12 y=24>other</text></svg>"</script>'
    ),
}
APART = {
    "neighbours": "<p>one</p><p>other</p><span>one</span><span>other</span>",
    "an element and what is in it": "<p>one <b>other</b> one</p>",
    "what touches by a pixel or two": f"<p style='{AT.format(10)}'>one</p><p style='{AT.format(27)}'>other</p>",
    "what is hidden": f"<p style='{AT.format(10)}'>one</p><p style='{AT.format(12)}; visibility: hidden'>other</p>",
    "what is transparent": (
        "<svg><text x='10' y='20'>one</text><g opacity='0'><text x='12' y='24'>other</text></g></svg>"
    ),
    "what is cut off": (
        f"<p style='{AT.format(30)}'>one</p>"
        "<div style='height: 20px; overflow: hidden'><p style='margin: 30px 10px'>other</p></div>"
    ),
}


@pytest.fixture(scope="module")
def page():
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        yield chromium.new_page()
        chromium.close()


@pytest.mark.parametrize("body", LYING_ON_EACH_OTHER.values(), ids=LYING_ON_EACH_OTHER)
def test_text_over_text_is_found_in(page, body):
    page.set_content(body)
    [found] = overlapping_texts(page)
    assert found.startswith("one × other (")


@pytest.mark.parametrize("body", APART.values(), ids=APART)
def test_no_text_over_text_is(page, body):
    page.set_content(body)
    assert overlapping_texts(page) == []


def test_a_page_without_text_is_a_mistake(page):
    page.set_content("<p></p>")
    with pytest.raises(AssertionError, match="no text"):
        overlapping_texts(page)
