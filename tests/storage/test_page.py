"""The report page: what it says is what the file says, and nothing that data holds can break it."""

import datetime as dt
import re
from html.parser import HTMLParser

import pytest

from pipelines.errors import StorageError
from pipelines.hold import roll_back
from pipelines.page import make_page, write_page
from pipelines.page_figures import labelled, percent
from support.records import T0, Store, counters, record
from support.reports import only_reports

SHOWN = (
    *("success_overall", "success_by_day", "success_by_week", "success_by_model", "success_by_model_version"),
    *("success_at_age", "outcomes_at_age", "rollouts_at_equal_age", "stalled_operations", "success_funnel"),
    *("failure_hotspots", "weekly_control_chart", "snapshot"),
)
NOW = T0 + dt.timedelta(hours=5)
NASTY = '<b>O\'Brien & "Söhne"</b>\n${x}'


@pytest.fixture(scope="module", autouse=True)
def _only_what_is_shown():
    with only_reports(*SHOWN):
        yield


class Text(HTMLParser):
    """The page's text, by the ids of its elements; every address that it names; and what is never closed."""

    def __init__(self, html):
        super().__init__()
        self.texts, self.addresses, self.open, self.tags = {}, [], [], set()
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.tags.add(tag)
        self.addresses += [values[name] for name in ("src", "href", "xlink:href", "action") if name in values]
        if tag not in ("meta", "link", "br"):
            self.open.append((tag, values.get("id")))

    def handle_endtag(self, tag):
        assert self.open.pop()[0] == tag

    def handle_data(self, data):
        for _, name in self.open:
            self.texts[name] = self.texts.get(name, "") + data


def fleet(version="V1.0", tasks=6, created=1, **values):
    return [
        record(
            f"{version}-{values.get('status', 'success')}-{number}",
            createTime=f"202603{created + number % 3:02d}T080000Z",
            extendPara={"fileVersion": version},
            staResult=values.get("result") or counters(success=9 - number % 2, fail=number % 2 + 1),
            status=values.get("status", "success"),
            targets=record()["targets"] | {"model": values.get("model", "NB-1")},
        )
        for number in range(tasks)
    ]


def test_the_page_says_what_the_file_says(store):
    store.apply([*fleet(), *fleet("V2.0", status="processing", result=counters(success=1, wait=3)), None])
    page = make_page(store.warehouse, now=NOW)
    text = Text(page.html)
    overall = store.row("from marts.success_overall")
    snapshot = store.row("from marts.snapshot")
    assert text.open == []
    assert text.texts["rate"] == f"{overall['success_rate']:.1%}"
    assert text.texts["interval"] == f"{overall['clustered_lower']:.1%} to {overall['clustered_upper']:.1%}"
    assert text.texts["verdict"] == overall["verdict"]
    assert text.texts["finished"] == str(overall["finished"])
    assert text.texts["operations"] == "12"
    assert text.texts["open"] == "18"
    assert text.texts["grade"] == snapshot["grade"]
    assert text.texts["observed"] == f"{snapshot['observed_at']:%Y-%m-%d %H:%M}"
    assert text.texts["age"] == "4 hours"
    passed = store.row("select count(*) filter (where offending_rows = 0) as n, count(*) as of from marts.data_quality")
    assert text.texts["checks"] == f"{passed['n']} of {passed['of']} data checks passed."
    assert "1 task is outside all rates" in page.html
    assert (page.headline, page.snapshot["publication"]) == (overall, 1)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The page of two versions of two models."""
    store = Store(tmp_path_factory.mktemp("page"))
    store.apply([*fleet(), *fleet("V2.0", model="NB-2")])
    return make_page(store.warehouse)


def test_it_needs_no_network_and_no_script(page):
    text = Text(page.html)
    assert "script" not in text.tags
    assert set(text.addresses) <= {"data:,"}
    assert "default-src 'none'" in page.html
    assert not re.search(r"url\((?!#)|@import", page.html)


def test_every_chart_has_its_numbers_as_a_table_and_a_text(page):
    figures = re.findall(r"<figure>.*?</figure>", page.html, re.DOTALL)
    assert len(figures) >= 3
    for figure in figures:
        assert figure.count('<svg role="img" aria-label="') == 2
        assert figure.count("<tr>") >= 2
    ids = re.findall(r' id="([^"]+)"', page.html)
    assert len(ids) == len(set(ids))


def test_control_characters_in_names_do_not_end_the_process_that_draws(store):
    characters = "\0\x01\x0b\x1b\uffff"
    store.apply(fleet(f"V1{characters}") + fleet("V2", model=f"NB{characters}"))
    html = make_page(store.warehouse).html
    assert not set(characters) & set(html)
    assert f"V1{len(characters) * chr(0xFFFD)}" in html


def test_groups_whose_names_read_alike_have_a_line_each(store):
    alike = [("V1 A", "B", None), ("V1 A", "B", ""), ("V1", "A B", "x"), ("V1 A", "B", "x"), ("V1", "A B", "")]
    rows = [
        {"manufacturer_name": manufacturer, "model": model, "device_type": kind, "file_version": version}
        for manufacturer, model, kind in alike
        for version in (None, "", "(no version)", "V1")
    ]
    labels = [row["label"] for row in labelled(rows, rows)]
    assert len(set(labels)) == len(rows)


def test_the_worst_and_the_best_are_those_that_surely_are(store):
    good, bad = counters(success=50), counters(success=20, fail=30)
    store.apply(
        [
            *fleet("good", result=good),
            *fleet("bad", result=bad),
            *fleet("lucky", tasks=2, result=counters(success=15)),  # too few to tell
        ]
    )
    html = make_page(store.warehouse).html
    worst, best = (html.split(f"<h3>{name}</h3>")[1].split("</figure>")[0] for name in ("Worst", "Best"))
    assert "NB-1 bad 40.0%, bad" in worst
    assert "lucky" not in worst + best
    assert "NB-1 good 100.0%" in best


def test_what_stands_still_and_what_is_under_way_is_there(store):
    ended = [each | {"stopTime": "20260304T121500Z"} for each in fleet(tasks=25, result=counters(success=2))]
    begun = [each | {"status": "processing", "staResult": counters(processing=2)} for each in ended]
    active = fleet("V2.0", tasks=1, status="processing", result=counters(success=1, processing=4))
    store.sync([], at=T0 - dt.timedelta(minutes=10))  # what the first sync met under way is nobody's peer
    store.sync([*begun, *active], at=T0)
    store.sync([*begun, *active], at=T0 + dt.timedelta(minutes=10))
    store.sync([*ended, *active], at=T0 + dt.timedelta(minutes=20))
    store.sync([*ended, *active], at=T0 + dt.timedelta(hours=30))
    store.publish()
    [stalled] = store.rows("from marts.stalled_operations")
    text = Text(make_page(store.warehouse).html)
    assert text.texts["stalled"] == "1 active task stands still"
    assert stalled["operation_id"] in text.texts[None]
    assert "1 version of a model is being rolled out" in " ".join(text.texts[None].split())


def test_a_window_is_of_creation_times_and_said(store, page):
    store.apply([*fleet(), *fleet("V2.0", tasks=3, created=20, result=counters(success=1, fail=3))])
    since, until = (dt.datetime.fromisoformat(day) for day in ("2026-03-15", "2026-04-01"))
    late = make_page(store.warehouse, since, until)
    text = Text(late.html)
    assert (text.texts["rate"], text.texts["operations"]) == ("25.0%", "3")
    assert "tasks created from 2026-03-15 00:00:00 to 2026-04-01 00:00:00 UTC" in late.html
    explained = "<code>iodm explain --mart success_overall{}</code>"
    assert explained.format(" --since 2026-03-15 --until 2026-04-01") in late.html
    afternoon = make_page(store.warehouse, until=dt.datetime.fromisoformat("2026-03-15 12:00"))
    assert explained.format(" --until 2026-03-15T12:00:00") in afternoon.html
    assert explained.format("") in page.html
    assert "V1.0" not in late.html


def test_names_that_look_like_markup_stay_text(store):
    store.apply([*fleet(NASTY, model=NASTY), *fleet(NASTY, model="NB-2")])
    html = make_page(store.warehouse).html
    assert Text(html).open == []
    assert "<b>O" not in html
    assert "O&#39;Brien" in html


def test_an_empty_platform_has_a_page_too(store):
    store.apply([])
    text = Text(make_page(store.warehouse).html)
    assert (text.texts["rate"], text.texts["interval"], text.texts["verdict"]) == ("-", "0.0% to 100.0%", "too few")
    assert "No upgrade has finished." in text.texts[None]


def test_what_makes_it_doubtful_is_said_at_the_top(store):
    store.apply([])
    store.apply([], grade="unproven")
    assert 'role="note">Unproven' in make_page(store.warehouse).html
    roll_back(store.warehouse)
    html = make_page(store.warehouse).html
    assert "HELD since" in html
    assert 'role="note">Unproven' not in html


def test_without_a_published_file_there_is_no_page(store):
    with pytest.raises(StorageError, match="nothing is published"):
        make_page(store.warehouse)


def test_a_page_is_written_whole_or_not_at_all(page, tmp_path):
    write_page(page, tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text() == page.html
    with pytest.raises(StorageError, match=r"nowhere/page\.html"):
        write_page(page, tmp_path / "nowhere" / "page.html")


@pytest.mark.parametrize(
    ("rate", "text"),
    [
        (None, "-"),
        (0, "0.0%"),
        (0.0004, "<0.1%"),
        (0.5, "50.0%"),
        (0.9994, "99.9%"),
        (0.99951, ">99.9%"),
        (1, "100.0%"),
    ],
)
def test_only_all_and_nothing_are_called_so(rate, text):
    assert percent(rate) == text
