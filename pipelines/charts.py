"""Charts of the marts' rows, for the notebook and for the report page: rows in, an Altair chart out, no I/O.

Columns have the names that they have in the marts. Numbers are shown as they are given: what must be added up is added
up in SQL, sum over sum. `width` is that of the whole chart with its labels, in pixels, or `"container"`. Where a chart
takes a `label`, that column holds the text of a row, each text once; rows stay in the order given.
"""

from __future__ import annotations

import altair as alt

from pipelines.chart_parts import (
    BLUE,
    NEUTRAL,
    RATE_TIPS,
    RED,
    VERDICTS,
    Look,
    Rows,
    Table,
    Width,
    drawn,
    in_hours,
    label_axis,
    layered,
    legend,
    line_at,
    looks_of,
    ranges,
    rows_of_lines,
    series_looks,
    share_axis,
    table_of,
    time_axis,
    tips_of,
    trusted_ends,
    under_way,
    with_hollow,
)

PLOT_HEIGHT = 260
OUTSIDE = {False: "within the limits", True: "outside the limits"}
NO_LIMITS = "without limits"
OUTSIDE_LOOKS = {
    OUTSIDE[False]: Look(BLUE, "circle"),
    OUTSIDE[True]: Look(RED, "triangle-down"),
    NO_LIMITS: Look(NEUTRAL, "square"),
}
BELOW = {False: "as far as chance goes", True: "below the funnel"}
BELOW_LOOKS = {BELOW[False]: Look(BLUE, "circle"), BELOW[True]: Look(RED, "triangle-down")}


def rates(rows: Rows, label: str, target: float, *, width: Width = "container") -> alt.LayerChart:
    """Success rates with their clustered intervals and verdicts, a row each, against the target.

    Takes rows of a `marts.success_by_*`. An interval that goes on beyond the picture has an arrow; only those with too
    few tasks do, so that they don't squeeze the others.
    """
    table = table_of(rows, label=label)
    axis = share_axis([target, *trusted_ends(table)])
    tips = tips_of(table, label, *RATE_TIPS)
    looks = looks_of(table, "verdict", VERDICTS, columns=4)
    base = drawn(table).encode(y=label_axis(table, label, width))
    rule = line_at(target, alt.X("target:Q", **axis))
    points = base.mark_point(size=70, opacity=1).encode(**looks, x=alt.X("success_rate:Q", **axis), tooltip=tips)
    layers = [rule, *ranges(base, looks["stroke"], axis, tips), points]
    return layered(layers, width, "Success rates by group", rows_of_lines(table, label))


def equal_age(rows: Rows, label: str, *, width: Width = "container") -> alt.LayerChart:
    """Success rates of rollouts with their clustered intervals, and as a tick the rate of their peers at the same age.

    Takes rows of `marts.success_at_age` with a `peer_rate` beside them, null where there are no peers.
    """
    table = table_of(rows, label=label)
    axis = share_axis([*(row["peer_rate"] for row in table), *trusted_ends(table)])
    tips = tips_of(table, label, "age_hours", *RATE_TIPS, "peer_rate")
    looks = looks_of(table, "verdict", VERDICTS, columns=4)
    base = drawn(table).encode(y=label_axis(table, label, width), tooltip=tips)
    peers = base.mark_tick(color=NEUTRAL, thickness=4, size=18, opacity=1).encode(x=alt.X("peer_rate:Q", **axis))
    points = base.mark_point(size=70, opacity=1).encode(**looks, x=alt.X("success_rate:Q", **axis))
    layers = [peers, *ranges(base, looks["stroke"], axis, tips), points]
    return layered(layers, width, "Success rates at equal age", rows_of_lines(table, label))


def trend(rows: Rows, time: str, target: float, *, width: Width = "container") -> alt.LayerChart:
    """Success rates of days or weeks with their clustered intervals, against the target.

    Takes rows of `marts.success_by_day` or `_week`; `time` is `created_date` or `created_week`. A point is hollow where
    a boolean column `is_under_way`, if there is one, is true.
    """
    table = table_of(rows, day=time)
    for row in table:
        row["kind"] = under_way(row["verdict"]) if row.get("is_under_way") else row["verdict"]
    tips = tips_of(table, time, *RATE_TIPS)
    looks = looks_of(table, "kind", with_hollow(VERDICTS), columns=2 if any(map(_is_hollow, table)) else 4)
    axis = share_axis([target, *trusted_ends(table)])
    base = drawn(table).encode(x=time_axis(table, time), tooltip=tips)
    rule = line_at(target, alt.Y("target:Q", **axis))
    intervals = base.mark_rule(strokeWidth=2, clip=True).encode(
        stroke=looks["stroke"], y=alt.Y("clustered_lower:Q", **axis), y2="clustered_upper"
    )
    rate = alt.Y("success_rate:Q", **axis)
    line = base.mark_line(color=NEUTRAL, strokeWidth=1).encode(y=rate)
    points = base.mark_point(size=60, opacity=1).encode(**looks, y=rate)
    return layered([rule, line, intervals, points], width, "Success rate over time", PLOT_HEIGHT)


def progress_curves(rows: Rows, *, width: Width = "container") -> alt.LayerChart:
    """How far rollouts are at each age: the shares of devices that finished (dashed) and that succeeded, by version.

    Takes rows of `file_version`, `age_seconds`, `share_finished` (finished / total) and `share_succeeded` (success /
    total), each of a version's tasks taken together; a share holds until the version's next age.
    """
    table = table_of(rows, label="file_version")
    tips = tips_of(table, "file_version", "age_hours", "share_finished", "share_succeeded", "operations", "total")
    looks = looks_of(table, "file_version", series_looks(row["file_version"] for row in table))
    dashes = alt.Scale(domain=["succeeded", "finished"], range=[[1, 0], [3, 3]])
    age = alt.X("age_hours:Q", title="age of the tasks, hours", axis=alt.Axis(tickCount=6))
    axis = share_axis([0], "share of devices")
    lines = (
        in_hours(drawn(table), "age_seconds")
        .transform_calculate(succeeded="datum.share_succeeded", finished="datum.share_finished")
        .transform_fold(["succeeded", "finished"], as_=["measure", "share"])
        .mark_line(interpolate="step-after", strokeWidth=2)
        .encode(
            x=age,
            y=alt.Y("share:Q", **axis),
            stroke=looks["stroke"],
            strokeDash=alt.StrokeDash("measure:N", scale=dashes, legend=legend(2, "top")),
            detail=["file_version:N", "measure:N"],
            tooltip=tips,
        )
    )
    marked = in_hours(drawn(_one_each(table)), "age_seconds").mark_point(size=70, strokeWidth=2, opacity=1)
    points = marked.encode(**looks, x=age, y=alt.Y("share_succeeded:Q", **axis), tooltip=tips)
    return layered([lines, points], width, "Shares of devices that finished and succeeded, by age", PLOT_HEIGHT)


def funnel(rows: Rows, *, width: Width = "container") -> alt.LayerChart:
    """Success rates over finished devices, each with the limits within which chance would keep it.

    Takes rows of `marts.success_funnel`, of one operation type: each type has peers of its own. Where a boolean column
    `is_chosen`, if there is one, is false, a group is faint; it stays, because it is a peer of the others.
    """
    table = table_of(rows)
    for row in table:
        row["kind"] = BELOW[bool(row["is_below"])]
        row["group"] = " ".join(str(row[name]) for name in ("model", "file_version") if row[name] is not None)
    tips = tips_of(
        table, "group", "success_rate", "peer_rate", "funnel_lower", "funnel_upper", "finished", "operations_finished"
    )
    axis = share_axis([row[name] for row in table for name in ("success_rate", "funnel_lower")])
    powers = alt.Axis(format="~s", values=[step * 10**power for power in range(8) for step in (1, 3)], grid=False)
    size = alt.X(
        "finished:Q", title="finished devices", axis=powers, scale=alt.Scale(type="log", nice=False, padding=10)
    )
    base = drawn(table).encode(x=size, opacity=alt.condition("datum.is_chosen !== false", alt.value(1), alt.value(0.2)))
    peers = drawn(table).mark_line(color=NEUTRAL, strokeDash=[6, 4]).encode(x=size, y=alt.Y("peer_rate:Q", **axis))
    spans = base.mark_rule(color=NEUTRAL, strokeWidth=0.5).encode(y=alt.Y("funnel_lower:Q", **axis), y2="funnel_upper")
    ends = [
        base.mark_tick(color=NEUTRAL, orient="horizontal", size=10, thickness=1.5).encode(y=alt.Y(f"{name}:Q", **axis))
        for name in ("funnel_lower", "funnel_upper")
    ]
    points = base.mark_point(size=60).encode(
        **looks_of(table, "kind", BELOW_LOOKS, columns=2), y=alt.Y("success_rate:Q", **axis), tooltip=tips
    )
    return layered([peers, spans, *ends, points], width, "Success rates in the funnel of their peers", PLOT_HEIGHT)


def control_chart(rows: Rows, *, width: Width = "container") -> alt.LayerChart:
    """Success rate of each week, with centre (dashed) and limits; a week outside stands out, one under way is hollow.

    Takes rows of `marts.weekly_control_chart`, of one operation type. Centre and limits are not drawn where null.
    """
    table = table_of(rows, day="created_week")
    for row in table:
        kind = NO_LIMITS if row["lower_limit"] is None else OUTSIDE[bool(row["is_outside"])]
        row["kind"] = under_way(kind) if row["is_under_way"] else kind
    tips = tips_of(
        table, "created_week", "success_rate", "centre", "lower_limit", "upper_limit", "finished", "operations"
    )
    axis = share_axis([row[name] for row in table for name in ("success_rate", "lower_limit")])
    base = drawn(table).encode(x=time_axis(table, "created_week"))
    centre = base.mark_line(color=NEUTRAL, strokeDash=[6, 4]).encode(y=alt.Y("centre:Q", **axis))
    limits = [
        base.mark_line(color=NEUTRAL, interpolate="step").encode(y=alt.Y(f"{name}:Q", **axis))
        for name in ("lower_limit", "upper_limit")
    ]
    line = base.mark_line(color=BLUE, strokeWidth=1).encode(y=alt.Y("success_rate:Q", **axis))
    looks = looks_of(table, "kind", with_hollow(OUTSIDE_LOOKS), columns=2)
    points = base.mark_point(size=60, opacity=1).encode(**looks, y=alt.Y("success_rate:Q", **axis), tooltip=tips)
    return layered([centre, *limits, line, points], width, "Weekly control chart of the success rate", PLOT_HEIGHT)


def durations(rows: Rows, label: str, *, width: Width = "container") -> alt.LayerChart:
    """How long tasks take from start to stop, in hours: from the median, marked by a tick, to the 95 % percentile.

    Takes rows of `marts.operation_durations`.
    """
    table = table_of(rows, label=label)
    median, slow = "start_to_stop_median_hours", "start_to_stop_p95_hours"
    seconds = [f"start_to_stop_{name}_seconds" for name in ("median", "p90", "p95")]
    tips = tips_of(table, label, median, "start_to_stop_p90_hours", slow, "operations_stopped")
    hours = alt.X(f"{median}:Q", title="hours: median to 95 %", scale=alt.Scale(zero=True), axis=alt.Axis(tickCount=6))
    base = in_hours(drawn(table), *seconds).encode(y=label_axis(table, label, width), x=hours, tooltip=tips)
    bars = base.mark_bar(color=BLUE, opacity=0.5, height=10).encode(x2=slow)
    ticks = base.mark_tick(color=BLUE, thickness=4, size=18, opacity=1)
    return layered([bars, ticks], width, "How long upgrade tasks take, from the median to the 95 % percentile")


def stalled(rows: Rows, label: str, *, width: Width = "container") -> alt.LayerChart:
    """How long active tasks have stood still, in hours, and as a tick what 95 % of their peers never exceeded.

    Takes rows of `marts.stalled_operations`.
    """
    table = table_of(rows, label=label)
    tips = tips_of(table, label, "unchanged_hours", "usual_hours", "peers", "devices_left")
    hours = alt.X(
        "unchanged_hours:Q", title="hours without a change", scale=alt.Scale(zero=True), axis=alt.Axis(tickCount=6)
    )
    base = in_hours(drawn(table), "unchanged_seconds", "usual_seconds").encode(
        y=label_axis(table, label, width), tooltip=tips
    )
    bars = base.mark_bar(color=RED, opacity=0.6, height=10).encode(x=hours)
    ticks = base.mark_tick(color=NEUTRAL, thickness=4, size=18, opacity=1).encode(x=alt.X("usual_hours:Q"))
    return layered([bars, ticks], width, "Active tasks that stand still, beside what is usual")


def _is_hollow(row: dict[str, object]) -> bool:
    return bool(row.get("is_under_way"))


def _one_each(table: Table) -> Table:
    """A row of each version to put its shape on, one after the other along the ages, so that shapes lie apart."""
    rows = sorted(table, key=lambda row: row["age_seconds"])
    versions = list(dict.fromkeys(row["file_version"] for row in table))
    oldest = rows[-1]["age_seconds"] if rows else 0
    marked = {}
    for place, version in enumerate(versions, start=1):
        of_version = [row for row in rows if row["file_version"] == version]
        reached = [row for row in of_version if row["age_seconds"] <= oldest * place / len(versions)]
        marked[version] = (reached or of_version)[-1 if reached else 0]
    return list(marked.values())
