"""Charts draw the numbers that they are given: in colours that can be seen, and from rows with holes, too."""

import json
import re
from collections.abc import Callable, Iterator
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import altair as alt
import numpy as np
import pandas as pd
import pytest
import vl_convert

from pipelines import chart_parts, charts

RATE = {
    "success_rate": 0.91,
    "clustered_lower": 0.87,
    "clustered_upper": 0.95,
    "finished": 400,
    "operations_finished": 31,
    "verdict": "watch",
}
UNKNOWN = {
    "success_rate": None,
    "clustered_lower": 0.0,
    "clustered_upper": 1.0,
    "finished": 0,
    "operations_finished": 0,
    "verdict": "too_few",
}
GROUPS = [{"model": 'O\'Brien "x"', **RATE}, {"model": None, **UNKNOWN}, {"model": "A.b[0]", **RATE, "verdict": "bad"}]
AGES = [
    {"model": "M", "age_hours": 6, "peer_rate": 0.8, **RATE},
    {"model": "N", "age_hours": 6, "peer_rate": None, **UNKNOWN},
]
DAYS = [
    {"created_date": date(2026, 3, day), "is_under_way": day == 3, **(UNKNOWN if day == 2 else RATE)}
    for day in (1, 2, 3)
]
WEEKS = [{"created_week": date(2026, 3, 2), **RATE}, {"created_week": date(2026, 3, 9), **RATE, "verdict": "ok"}]
CURVES = [
    {
        "file_version": version,
        "age_seconds": hours * 3600,
        "share_finished": 0.1 * hours,
        "share_succeeded": 0.08 * hours,
    }
    for version in ("2.0", None)
    for hours in (0, 1, 5)
]
FUNNEL = [
    {
        "model": "M",
        "file_version": version,
        "finished": 30 * 4**index,
        "operations_finished": 7,
        "success_rate": 0.7 + index / 10,
        "peer_rate": 0.9,
        "funnel_lower": 0.75,
        "funnel_upper": 0.99,
        "is_below": index == 0,
        "is_chosen": index < 2,
    }
    for index, version in enumerate(["1", "2", None])
]
CONTROL = [
    {
        "created_week": date(2026, 3, 2 + 7 * index),
        "operations": 40,
        "finished": 900,
        "success_rate": rate,
        "centre": centre,
        "lower_limit": lower,
        "upper_limit": upper,
        "is_under_way": index == 3,
        "is_outside": index == 1,
    }
    for index, (rate, centre, lower, upper) in enumerate(
        [(0.9, 0.91, 0.8, 1.0), (0.7, 0.91, 0.82, 1.0), (0.92, None, None, None), (0.95, 0.91, 0.8, 1.0)]
    )
]
DURATIONS = [
    {
        "model": model,
        "operations_stopped": 20,
        "start_to_stop_median_seconds": seconds,
        "start_to_stop_p90_seconds": seconds and 2 * seconds,
        "start_to_stop_p95_seconds": seconds and 3 * seconds,
    }
    for model, seconds in (("M", 3600.0), ("N", 7200.0), ("nothing stopped", None))
]
STALLED = [
    {"operation_id": "1", "unchanged_seconds": 90_000.0, "usual_seconds": 7_200.0, "peers": 25, "devices_left": 3},
    {"operation_id": "2", "unchanged_seconds": 9_000.0, "usual_seconds": None, "peers": None, "devices_left": None},
]
CASES: dict[str, tuple[Callable[..., alt.LayerChart], list[dict[str, Any]]]] = {
    "rates": (lambda rows, **width: charts.rates(rows, "model", 0.95, **width), GROUPS),
    "equal age": (lambda rows, **width: charts.equal_age(rows, "model", **width), AGES),
    "days": (lambda rows, **width: charts.trend(rows, "created_date", 0.95, **width), DAYS),
    "weeks": (lambda rows, **width: charts.trend(rows, "created_week", 0.95, **width), WEEKS),
    "progress curves": (charts.progress_curves, CURVES),
    "funnel": (charts.funnel, FUNNEL),
    "control chart": (charts.control_chart, CONTROL),
    "durations": (lambda rows, **width: charts.durations(rows, "model", **width), DURATIONS),
    "stalled": (lambda rows, **width: charts.stalled(rows, "operation_id", **width), STALLED),
}
every_chart = pytest.mark.parametrize(("draw", "rows"), CASES.values(), ids=CASES)


def svg(chart: alt.LayerChart, **config: Any) -> str:
    """The picture, without the numbers that the converter gives to its clip paths."""
    return re.sub(r"clip\d+", "clip", vl_convert.vegalite_to_svg({**chart.to_dict(), "config": config}))


def datasets(chart: alt.LayerChart) -> list[list[dict[str, Any]]]:
    return list(chart.to_dict()["datasets"].values())


def frame_of(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """The rows as `.df()` gives them: days have become instants."""
    frame = pd.DataFrame(rows)
    for name in frame.columns.intersection(["created_date", "created_week"]):
        frame[name] = pd.to_datetime(frame[name])
    return frame


def parts(value: object) -> Iterator[dict[str, Any]]:
    """Every object within a specification."""
    if isinstance(value, dict):
        yield value
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from parts(part)


@every_chart
def test_the_numbers_in_the_specification_are_those_of_the_rows(draw, rows):
    [shown] = [data for data in datasets(draw(rows)) if len(data) == len(rows)]
    for row, drawn in zip(rows, shown, strict=True):
        for name, value in row.items():
            if isinstance(value, date):
                assert drawn[name] == value.isoformat()
            elif value is None and name in ("model", "file_version") and drawn[name]:
                assert drawn[name] == "(none)"
            else:
                assert drawn[name] == value


@every_chart
def test_a_data_frame_draws_the_same_picture_as_its_rows(draw, rows):
    assert svg(draw(frame_of(rows), width=500)) == svg(draw(rows, width=500))


@every_chart
def test_there_is_a_picture_of_no_rows(draw, rows):
    assert svg(draw([], width=340)).startswith("<svg")
    assert svg(draw(pd.DataFrame(columns=list(rows[0])), width=340)).startswith("<svg")


@every_chart
@pytest.mark.parametrize("width", [340, 700])
def test_a_chart_is_as_wide_as_it_was_told_labels_included(draw, rows, width):
    drawn = float(re.search(r'<svg [^>]*width="([\d.]+)"', svg(draw(rows, width=width)))[1])
    assert width <= drawn <= width + 10


@every_chart
def test_every_encoding_says_its_type_and_the_container_gives_the_width_unless_told(draw, rows):
    specification = draw(rows).to_dict()
    assert specification["width"] == "container"
    for part in parts(specification):
        for channel, encoding in part.get("encoding", {}).items():
            for definition in encoding if isinstance(encoding, list) else [encoding]:
                if "field" in definition and channel not in ("x2", "y2"):
                    assert definition["type"] in ("quantitative", "temporal", "nominal"), (channel, definition)


@every_chart
def test_ink_comes_from_the_page(draw, rows):
    ink = "var(--ink)"
    text = svg(draw(rows, width=500), axis={"labelColor": ink, "titleColor": ink}, legend={"labelColor": ink})
    fills = re.findall(r'<text [^>]*fill="([^"]+)"', text)
    assert fills
    assert set(fills) == {ink}


@every_chart
def test_every_colour_can_be_told_from_white_and_from_a_dark_page(draw, rows):
    colours = set(re.findall(r"#[0-9a-fA-F]{6}", json.dumps(draw(rows).to_dict())))
    assert colours
    for colour in colours:
        assert contrast(colour, "#ffffff") >= 3
        assert contrast(colour, "#181c1a") >= 3


def contrast(one: str, other: str) -> float:
    """Contrast of two colours (WCAG 2.2)."""
    brighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (brighter + 0.05) / (darker + 0.05)


def luminance(colour: str) -> float:
    shares = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    red, green, blue = [share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares]
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("looks", [chart_parts.VERDICTS, charts.OUTSIDE_LOOKS, charts.BELOW_LOOKS])
def test_no_two_kinds_of_points_have_a_shape_or_a_colour_in_common(looks):
    assert len({look.shape for look in looks.values()}) == len({look.colour for look in looks.values()}) == len(looks)


def test_forty_two_series_look_different():
    looks = chart_parts.series_looks(str(number) for number in range(42))
    assert len(set(looks.values())) == 42


def test_rows_stay_in_the_order_given():
    drawn = svg(charts.rates(GROUPS, "model", 0.95, width=500))
    places = [drawn.index(text) for text in ("O'Brien", "(none)", "A.b[0]")]
    assert places == sorted(places)


def test_an_interval_that_says_nothing_does_not_squeeze_the_others_and_goes_on_in_an_arrow():
    axes = [
        encoding["x"]["scale"]["domain"]
        for layer in charts.rates(GROUPS, "model", 0.95).to_dict()["layer"]
        if "domain" in (encoding := layer["encoding"])["x"].get("scale", {})
    ]
    assert axes
    assert {lowest for lowest, _ in axes} == {0.85}
    arrows = [svg(charts.rates(rows, "model", 0.95, width=500)).count("M-") for rows in (GROUPS, GROUPS[:1])]
    assert arrows[0] > arrows[1]


@pytest.mark.parametrize("zone", ["America/Los_Angeles", "Pacific/Auckland"])
def test_days_are_those_of_utc_wherever_the_reader_is(zone, monkeypatch):
    monkeypatch.setenv("TZ", zone)
    for rows in (DAYS, frame_of(DAYS)):
        drawn = svg(charts.trend(rows, "created_date", 0.95, width=500))
        assert re.findall(r">(\d\d Mar)<", drawn) == ["01 Mar", "02 Mar", "03 Mar"]
        assert set(re.findall(r"created date: ([\d-]+)", drawn)) == {"2026-03-01", "2026-03-02", "2026-03-03"}


def test_days_without_end_have_few_labels():
    days = [{"created_date": day.date(), **RATE} for day in pd.date_range("2026-01-01", periods=300)]
    labels = re.findall(r">\d\d [A-Z][a-z]{2}<", svg(charts.trend(days, "created_date", 0.95, width=340)))
    assert 3 <= len(labels) <= 8


def test_days_of_several_years_are_told_apart():
    days = [{"created_date": date(year, 3, 1), **RATE} for year in (2025, 2026)]
    assert re.findall(r">(\d\d Mar[ \d]*)<", svg(charts.trend(days, "created_date", 0.95, width=500))) == [
        "01 Mar 25",
        "01 Mar 26",
    ]


def test_what_is_under_way_is_hollow_and_the_legend_says_so():
    drawn = svg(charts.trend(DAYS, "created_date", 0.95, width=500))
    points = re.findall(
        r'<path aria-label="[^"]*; kind: ([^;]+);[^"]*" [^>]*aria-roledescription="point"([^>]*)>', drawn
    )
    assert [(kind, "fill=" in look) for kind, look in points] == [("watch", True), ("watch, under way", False)]
    assert ">watch, under way<" in drawn
    assert "under way" not in svg(charts.trend(DAYS[:2], "created_date", 0.95, width=500))
    assert "within the limits, under way" in svg(charts.control_chart(CONTROL, width=500))


def test_a_week_without_limits_is_not_within_them():
    drawn = svg(charts.control_chart([{**CONTROL[2], "is_outside": False}], width=500))
    assert ">without limits<" in drawn
    assert "within" not in drawn


def test_groups_that_were_not_chosen_are_faint_but_there():
    drawn = svg(charts.funnel(FUNNEL, width=500))
    assert drawn.count('opacity="0.2"') >= 1
    assert 'opacity="0.2"' not in svg(charts.funnel([{**row, "is_chosen": True} for row in FUNNEL], width=500))


def test_seconds_are_shown_in_hours():
    drawn = svg(charts.stalled(STALLED, "operation_id", width=500))
    assert "unchanged hours: 25.0" in drawn
    assert "usual hours: 2.0" in drawn
    assert "start to stop median hours: 2.0" in svg(charts.durations(DURATIONS, "model", width=500))


def test_values_of_the_database_of_pandas_and_of_numpy_become_those_of_json():
    rows = [
        {
            "day": date(2026, 3, 1),
            "at": datetime(2026, 3, 1, 2),  # noqa: DTZ001 - times of the published file have no zone
            "sum": Decimal("2.5"),
            "count": np.int64(3),
            "rate": np.float64("nan"),
            "none": pd.NA,
            "never": pd.NaT,
            "is_so": np.bool_(True),
        }
    ]
    assert chart_parts.table_of(rows) == [
        {
            "day": "2026-03-01",
            "at": "2026-03-01T02:00:00",
            "sum": 2.5,
            "count": 3,
            "rate": None,
            "none": None,
            "never": None,
            "is_so": True,
        }
    ]
