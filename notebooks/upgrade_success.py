"""How well upgrades succeed, as an app: `make notebook`. It reads the published file, and follows every publication.

All numbers come from the SQL cells; filters reach them as variables of the connection, never as text. What can be
filtered is added up anew from the tasks, sum over sum; what compares with peers keeps all of them.
"""

import marimo

__generated_with = "0.25.2"
app = marimo.App(
    width="medium", app_title="How well upgrades succeed", css_file="upgrade_success.css", sql_output="pandas"
)

with app.setup:
    import html
    import re
    import tempfile
    from datetime import UTC, date, datetime, timedelta
    from pathlib import Path
    from typing import Any, NamedTuple

    import altair as alt
    import duckdb
    import marimo as mo
    import pandas as pd

    from pipelines import charts
    from pipelines.errors import SettingsError
    from pipelines.settings import load_settings
    from pipelines.warehouse import Warehouse

    GRADES = {
        "proven": "the tasks here are the platform's list at a moment of this sync",
        "counted": "the tasks here are as many as the platform said there are",
        "unproven": "the tasks here are not as many as the platform said: `iodm status` tells why",
    }

    SHARE = re.compile(r"^(share|rate)_|_(rate|lower|upper|limit)$")

    # Grey lines serve a light and a dark page; the colour of texts is the theme's.
    CHART_STYLE: dict[str, Any] = {
        "background": "transparent",
        "view": {"stroke": None},
        "axis": {
            "gridColor": "#8884",
            "domainColor": "#888",
            "tickColor": "#888",
            "labelFontSize": 12,
            "titleFontSize": 12,
        },
        "legend": {"labelFontSize": 12},
    }

    # Names as short as they can be while each model has one of its own, and what a filter by them lets through.
    NAMES = """
        create temp view names as
        with models as (
            select distinct manufacturer_name, model, device_type
            from marts.operation_outcomes
        ),
        counted as (
            select
                *,
                count(distinct coalesce(manufacturer_name, '')) over (partition by model) as manufacturers,
                count(*) over (partition by model, manufacturer_name) as device_types
            from models
        )
        select
            * exclude (manufacturers, device_types),
            concat_ws(
                ' ',
                coalesce(model, '(no model)'),
                case when manufacturers > 1 then manufacturer_name end,
                case when device_types > 1 then device_type end
            ) as model_name
        from counted;

        create temp macro version_name(file_version) as coalesce(file_version, '(no version)');

        create temp macro is_chosen(model_name, file_version) as
        (len(getvariable('models')) = 0 or list_contains(getvariable('models'), model_name))
        and (len(getvariable('versions')) = 0 or list_contains(getvariable('versions'), version_name(file_version)));
    """
    CHOSEN = """
        create temp view chosen as
        select
            tasks.*,
            names.model_name,
            version_name(tasks.file_version) as version_name
        from marts.operation_outcomes_between(getvariable('since'), getvariable('until')) as tasks
        inner join names
            on tasks.manufacturer_name is not distinct from names.manufacturer_name
            and tasks.model is not distinct from names.model
            and tasks.device_type is not distinct from names.device_type
        where is_chosen(names.model_name, tasks.file_version);
    """


@app.class_definition
class Served(NamedTuple):
    """Where the data is: the file behind the symlink, or why there is none."""

    folder: Path
    file: Path | None = None
    is_demo: bool = False
    problem: str | None = None


@app.function
def find_published() -> Served:
    """The file that is served now; without any setting the demo's, where there is no other."""
    try:
        settings = load_settings()
    except SettingsError as error:
        return Served(Path(), problem=str(error))
    warehouse = Warehouse(settings.warehouse.absolute())
    demo = Warehouse(warehouse.root / "demo")
    if warehouse.served_file() is None and not settings.model_fields_set and demo.served_file():
        return Served(demo.root, demo.served_file(), is_demo=True)
    return Served(warehouse.root, warehouse.served_file())


@app.function
def open_again(opened: list[duckdb.DuckDBPyConnection], file: Path | None) -> duckdb.DuckDBPyConnection | None:
    """The file, read-only; connections to the one before are closed, so that its space is freed once it is pruned."""
    while opened:
        opened.pop().close()
    if file is None:
        return None
    try:
        opened.append(duckdb.connect(str(file), read_only=True))
    except duckdb.Error:  # said on the page; where it was pruned just now, the next look finds its successor
        return None
    [(spills_to,)] = opened[0].execute("select current_setting('temp_directory')").fetchall()
    if spills_to != tempfile.gettempdir():  # once for all readers of the file: nobody may write beside it
        opened[0].execute("set temp_directory = $folder", {"folder": tempfile.gettempdir()})
    opened[0].execute(NAMES)
    return opened[0]


@app.function
def filtered(opened: list[duckdb.DuckDBPyConnection], filters: dict[str, Any]) -> duckdb.DuckDBPyConnection:
    """Another connection to the open file, in which the view `chosen` holds the tasks that the filters let through."""
    while len(opened) > 1:
        opened.pop().close()
    opened.append(opened[0].cursor())
    for name, value in filters.items():
        opened[1].execute(f"set variable {name} = $value", {"value": value})
    opened[1].execute(NAMES + CHOSEN)
    return opened[1]


@app.function
def day_within(day: date | None, first: date, last: date) -> date | None:
    """A day that was chosen, unless the publication that is shown now does not reach it."""
    return day if day and first <= day <= last else None


@app.function
def narrowed(connection: duckdb.DuckDBPyConnection, name: str, value: object) -> duckdb.DuckDBPyConnection:
    """The connection, with a variable set that some queries need beside the filters."""
    connection.execute(f"set variable {name} = $value", {"value": value})
    return connection


@app.function
def drawn(chart: alt.LayerChart) -> alt.LayerChart:
    """The chart in the page's theme, as SVG, without a menu that leads elsewhere."""
    return chart.properties(config=CHART_STYLE, usermeta={"embedOptions": {"renderer": "svg", "actions": False}})


@app.function
def numbers(frame: pd.DataFrame) -> mo.Html | None:
    """The rows behind a chart, folded away: what is drawn comes first, shares are percentages."""
    if frame.empty:
        return None
    drawn_first = ["operations", "finished", "success_rate", "clustered_lower", "clustered_upper", "verdict"]
    names = list(frame.columns)
    if set(drawn_first) <= set(names):
        before = names.index("operations")
        names = [*names[:before], *drawn_first, *(name for name in names[before:] if name not in drawn_first)]
    shares = {name: "{:.1%}" for name in names if name == "centre" or SHARE.search(name)}
    rows = mo.ui.table(
        frame[names],
        selection=None,
        page_size=10,
        show_column_summaries=False,
        show_data_types=False,
        format_mapping=shares,
    )
    return mo.accordion({f"The numbers ({len(frame):,} rows)": rows})


@app.function
def facts(*shown: tuple[str, str, str]) -> mo.Html:
    """Tiles of a label, a value and a note."""
    tiles = (
        f"<div><dt>{html.escape(label)}</dt><dd class='value'>{html.escape(value)}</dd>"
        f"<dd class='note'>{html.escape(note)}</dd></div>"
        for label, value, note in shown
    )
    return mo.Html(f"<dl class='facts'>{''.join(tiles)}</dl>")


@app.function
def section(title: str, says: str, caution: str, *parts: object) -> mo.Html:
    """A heading, what the chart says, how not to read it, then the chart and its numbers."""
    prose = mo.md(f"## {title}\n\n{says}\n\n**How not to read it.** {caution}")
    return mo.vstack([prose, *(part for part in parts if part is not None)], gap=1)


@app.function
def picture(draw: Any, frame: pd.DataFrame, otherwise: str) -> mo.Html | alt.LayerChart:
    """The chart of these rows, or in words why there is none."""
    return mo.callout(mo.md(otherwise), kind="neutral") if frame.empty else drawn(draw(frame))


@app.function
def ago(observed_at: datetime) -> str:
    """How long ago that was, in words; simulated time may lie ahead."""
    minutes = round((datetime.now(UTC).replace(tzinfo=None) - observed_at) / timedelta(minutes=1))
    if minutes < 0:
        return "ahead of the clock here"
    if minutes < 120:
        return f"{minutes} minutes ago"
    return f"{minutes // 60} hours ago" if minutes < 48 * 60 else f"{minutes // (24 * 60)} days ago"


@app.cell(hide_code=True)
def _():
    look = mo.ui.refresh(options=["5s", "1m", "10m"], default_interval="5s", label="Looks for a new publication every")
    served, set_served = mo.state(find_published())
    opened: list[duckdb.DuckDBPyConnection] = []  # the file, then the same with filters
    remembered: dict[str, Any] = {}  # what was chosen outlives a publication
    mo.vstack([mo.md("# How well upgrades succeed"), look], gap=1)
    return look, opened, remembered, served, set_served


@app.cell(hide_code=True)
def _(look, served, set_served):
    look.value  # a tick runs this cell; the others only where there is something new
    _found = find_published()
    if _found != served():
        set_served(_found)
    return


@app.cell(hide_code=True)
def _(opened, served):
    file = open_again(opened, served().file)
    return (file,)


@app.cell(hide_code=True)
def _(file, served):
    _here = served()
    _callout = None
    if _here.problem:
        _callout = mo.callout(mo.md(f"**A setting is wrong.** {_here.problem}"), kind="danger")
    elif _here.file is None:
        _callout = mo.callout(
            mo.md(
                f"""
                **Nothing is published in** `{_here.folder}`

                - To see simulated data: `make demo`
                - With your platform: write its address, the application id and the secret into `.env`, then `iodm sync`
                - If the data is elsewhere: set `IODM_WAREHOUSE` to its folder, then start this notebook again

                Leave this page open: it shows the data as soon as something is published.
                """
            ),
            kind="warn",
        )
    elif file is None:
        _callout = mo.callout(mo.md(f"`{_here.file}` can't be opened. `iodm rebuild` makes a new one."), kind="danger")
    elif _here.is_demo:
        _callout = mo.callout(
            mo.md(
                "**Simulated data of the demo.** Nothing is published in `warehouse`, and no `IODM_*` setting names "
                "another folder. After a first `iodm sync` this page shows your own data."
            ),
            kind="info",
        )
    _callout
    return


@app.cell(hide_code=True)
def _(file, look):
    look.value  # for the age
    mo.stop(file is None)
    [(_observed_at,)] = file.execute("select observed_at from marts.snapshot").fetchall()
    mo.md(f"Observed {_observed_at:%Y-%m-%d %H:%M} UTC, {ago(_observed_at)}.")
    return


@app.cell(hide_code=True)
def _(file):
    mo.stop(file is None)
    connection = file
    return (connection,)


@app.cell(hide_code=True)
def _(connection):
    snapshot = mo.sql(
        """
        select
            snapshot.*,
            days.*
        from marts.snapshot as snapshot
        cross join (
            select
                coalesce(min(created_date), current_date) as first_date,
                coalesce(max(created_date), current_date) as last_date
            from marts.operation_outcomes
        ) as days
        """,
        engine=connection,
        output=False,
    )
    return (snapshot,)


@app.cell(hide_code=True)
def _(connection):
    names = mo.sql(
        """
        select
            coalesce((select list(distinct model_name order by model_name) from names), []) as models,
            coalesce(list(distinct version_name(file_version) order by version_name(file_version)), []) as versions,
            coalesce(
                list(distinct operation_type order by operation_type) filter (operation_type is not null), []
            ) as types
        from marts.operation_outcomes
        """,
        engine=connection,
        output=False,
    )
    return (names,)


@app.cell(hide_code=True)
def _(snapshot):
    _row = snapshot.iloc[0]
    _full = (
        ("never", "")
        if pd.isna(_row.last_full_at)
        else (f"{_row.last_full_at:%Y-%m-%d}", f"{_row.last_full_at:%H:%M} UTC")
    )
    _proven = "never" if pd.isna(_row.last_proven_at) else f"{_row.last_proven_at:%Y-%m-%d %H:%M} UTC"
    mo.vstack(
        [
            mo.md("## This file"),
            facts(
                ("publication", f"{_row.publication:,}", f"of sync {_row.sync_id:,}, {_row['mode']}"),
                ("grade", _row.grade, f"last proven: {_proven}"),
                ("last read as a whole", *_full),
                ("tasks known", f"{_row.operations:,}", f"{_row.operations_removed:,} gone from the platform"),
                ("tasks outside the rates", f"{_row.operations_outside_rates:,}", "their records are broken"),
                ("target", f"{_row.target_success_rate:.1%}", "what verdicts compare with"),
            ),
            mo.md(
                f"**{_row.grade}**: {GRADES.get(_row.grade, '')}. A grade says which tasks there are, not how fresh "
                "each of their counters is."
            ),
        ],
        gap=0.5,
    )
    return


@app.cell(hide_code=True)
def _(names, remembered, snapshot):
    def _remember(name: str) -> Any:
        return lambda value: remembered.update({name: value})

    _first, _end = (pd.Timestamp(snapshot[name].iloc[0]).date() for name in ("first_date", "last_date"))
    _end += timedelta(days=1)

    since, until = (
        mo.ui.date(
            _first,
            _end,
            day_within(remembered.get(name), _first, _end) or otherwise,
            label=label,
            on_change=_remember(name),
        )
        for name, otherwise, label in (("since", _first, "Created from"), ("until", _end, "before"))
    )
    models, versions = (
        mo.ui.multiselect(
            list(names[name].iloc[0]),
            [value for value in remembered.get(name, []) if value in names[name].iloc[0]],
            label=name.capitalize(),
            on_change=_remember(name),
        )
        for name in ("models", "versions")
    )
    mo.vstack(
        [
            mo.md("## Filters\n\nDays are those of creation, UTC; nothing chosen means all."),
            mo.hstack([since, until, models, versions], wrap=True, justify="start", gap=1),
        ],
        gap=1,
    )
    return models, since, until, versions


@app.cell(hide_code=True)
def _(connection, models, opened, since, until, versions):
    mo.stop(connection is None)
    tasks = filtered(
        opened, {"since": since.value, "until": until.value, "models": models.value, "versions": versions.value}
    )
    return (tasks,)


@app.cell(hide_code=True)
def _(tasks):
    overall = mo.sql(
        """
        with sums as (
            select success_sums(total, wait, processing, success, fail, stop, timeout) as sums
            from chosen
        ),

        measures as (
            select success_measures(sums) as measures
            from sums
        )

        select
            unnest(measures),
            success_verdict(measures) as verdict
        from measures
        """,
        engine=tasks,
        output=False,
    )
    return (overall,)


@app.cell(hide_code=True)
def _(overall):
    _row = overall.iloc[0]
    _rate = "none" if pd.isna(_row.success_rate) else f"{_row.success_rate:.1%}"
    _interval = f"{_row.clustered_lower:.1%} to {_row.clustered_upper:.1%}: {_row.verdict.replace('_', ' ')}"
    facts(
        ("upgrade tasks", f"{_row.operations:,}", f"{_row.operations_finished:,} with finished devices"),
        ("finished devices", f"{_row.finished:,}", f"of {_row.total:,}"),
        ("success rate", _rate, _interval if _row.finished else "nothing finished"),
        ("failed", f"{_row.fail:,}", f"and {_row.timeout:,} timed out"),
    )
    return


@app.cell(hide_code=True)
def _(tasks):
    rates_by_model = mo.sql(
        """
        with sums as (
            select
                model_name,
                success_sums(total, wait, processing, success, fail, stop, timeout) as sums
            from chosen
            group by model_name
        ),

        measures as (
            select
                model_name,
                success_measures(sums) as measures
            from sums
        )

        select
            model_name,
            unnest(measures),
            success_verdict(measures) as verdict
        from measures
        order by measures.success_rate desc nulls last, model_name
        """,
        engine=tasks,
        output=False,
    )
    return (rates_by_model,)


@app.cell(hide_code=True)
def _(tasks):
    rates_by_version = mo.sql(
        """
        with sums as (
            select
                version_name,
                success_sums(total, wait, processing, success, fail, stop, timeout) as sums
            from chosen
            group by version_name
        ),

        measures as (
            select
                version_name,
                success_measures(sums) as measures
            from sums
        )

        select
            version_name,
            unnest(measures),
            success_verdict(measures) as verdict
        from measures
        order by measures.success_rate desc nulls last, version_name
        """,
        engine=tasks,
        output=False,
    )
    return (rates_by_version,)


@app.cell(hide_code=True)
def _(tasks):
    rates_by_model_version = mo.sql(
        """
        with sums as (
            select
                model_name,
                version_name,
                success_sums(total, wait, processing, success, fail, stop, timeout) as sums
            from chosen
            group by model_name, version_name
        ),

        measures as (
            select
                model_name,
                version_name,
                success_measures(sums) as measures
            from sums
        )

        select
            concat_ws(' · ', model_name, version_name) as model_version,
            model_name,
            version_name,
            unnest(measures),
            success_verdict(measures) as verdict
        from measures
        order by measures.success_rate desc nulls last, model_version
        """,
        engine=tasks,
        output=False,
    )
    return (rates_by_model_version,)


@app.cell(hide_code=True)
def _():
    by = mo.ui.radio(["model", "version", "model and version"], "model", label="By", inline=True)
    return (by,)


@app.cell(hide_code=True)
def _(by, rates_by_model, rates_by_model_version, rates_by_version, snapshot):
    _frame, _label = {
        "model": (rates_by_model, "model_name"),
        "version": (rates_by_version, "version_name"),
        "model and version": (rates_by_model_version, "model_version"),
    }[by.value]
    _target = float(snapshot.target_success_rate.iloc[0])
    _most = _frame.loc[_frame.finished.nlargest(30).index.sort_values()]
    _rest = len(_frame) - len(_most)
    section(
        "Success rates",
        "success / (success + fail + timeout), sum over sum over all tasks of the group. The line is the "
        "clustered 95 % interval: it knows that devices of one task fail together. The dashed line is the "
        "target; `ok` and `bad` mean that the whole interval is on one side of it, `watch` that the data "
        "can't tell.",
        "Not a point without its line, and not as a ranking where lines overlap: among many groups one is "
        "always the worst, and whether by more than chance is for the funnel below. Below 10 tasks a line is "
        "wide, or wrong. A rollout under way looks other than it will end: quick devices come first, timeouts "
        "last.",
        by,
        picture(
            lambda frame: charts.rates(frame, _label, _target),
            _most,
            "No task was created in this window that the filters let through.",
        ),
        mo.md(f"The 30 groups with the most finished devices; {_rest:,} more are among the numbers.")
        if _rest
        else None,
        numbers(_frame),
    )
    return


@app.cell(hide_code=True)
def _(tasks):
    rates_by_day = mo.sql(
        """
        with sums as (
            select
                created_date,
                success_sums(total, wait, processing, success, fail, stop, timeout) as sums
            from chosen
            group by created_date
        ),

        measures as (
            select
                created_date,
                success_measures(sums) as measures
            from sums
        )

        select
            created_date,
            created_date + interval 1 day > (select max(finished_at) from core.syncs) as is_under_way,
            unnest(measures),
            success_verdict(measures) as verdict
        from measures
        order by created_date
        """,
        engine=tasks,
        output=False,
    )
    return (rates_by_day,)


@app.cell(hide_code=True)
def _(tasks):
    rates_by_week = mo.sql(
        """
        with sums as (
            select
                created_week,
                success_sums(total, wait, processing, success, fail, stop, timeout) as sums
            from chosen
            group by created_week
        ),

        measures as (
            select
                created_week,
                success_measures(sums) as measures
            from sums
        )

        select
            created_week,
            created_week + interval 7 day > (select max(finished_at) from core.syncs) as is_under_way,
            unnest(measures),
            success_verdict(measures) as verdict
        from measures
        order by created_week
        """,
        engine=tasks,
        output=False,
    )
    return (rates_by_week,)


@app.cell(hide_code=True)
def _(rates_by_day, rates_by_week, snapshot):
    _frame, _time = (rates_by_day, "created_date") if len(rates_by_day) <= 62 else (rates_by_week, "created_week")
    _target = float(snapshot.target_success_rate.iloc[0])
    section(
        "Over time",
        "Rates of the tasks created on a day; of a week, where there are more than 62 days. Hollow: the day "
        "or week is not over.",
        "A fall at the right end may be no fall: the newest tasks still have devices under way, and those "
        "that finish late fail more often. Neighbouring points differ by chance as far as their lines reach.",
        picture(lambda frame: charts.trend(frame, _time, _target), _frame, "No task passes the filters."),
        numbers(_frame),
    )
    return


@app.cell(hide_code=True)
def _():
    horizon = mo.ui.dropdown({"6 hours": 6, "1 day": 24, "2 days": 48, "7 days": 168}, "1 day", label="Followed for")
    return (horizon,)


@app.cell(hide_code=True)
def _(horizon, tasks):
    tasks_followed = narrowed(tasks, "horizon_hours", horizon.value)
    return (tasks_followed,)


@app.cell(hide_code=True)
def _(tasks_followed):
    progress = mo.sql(
        """
        -- The same tasks at every age: those that are old enough, and that syncs watched closely from their creation to
        -- the horizon, without a gap of more than an hour or 10 % of the horizon. A state holds until the next one;
        -- each change is added at the end of its step, a 96th of the horizon.
        with settings as (
            select
                getvariable('horizon_hours') * 3600 as horizon_seconds,
                to_minutes(greatest(60, 6 * getvariable('horizon_hours'))) as tolerance
        ),

        looks as (
            select
                finished_at,
                lead(finished_at) over (order by finished_at) as next_finished_at
            from core.syncs
            where mode <> 'interrupted'
        ),

        gaps as (
            select
                looks.finished_at,
                looks.next_finished_at
            from looks
            cross join settings
            where looks.next_finished_at - looks.finished_at > settings.tolerance
        ),

        followed as (
            select
                chosen.operation_id,
                chosen.version_name
            from chosen
            cross join settings
            where
                chosen.total > 0
                and chosen.first_observed_at <= chosen.created_at + settings.tolerance
                and chosen.created_at + to_seconds(settings.horizon_seconds) <= (select max(finished_at) from looks)
                and not exists (
                    select 1
                    from gaps
                    where
                        gaps.finished_at < chosen.created_at + to_seconds(settings.horizon_seconds)
                        and gaps.next_finished_at > chosen.created_at
                )
        ),

        -- Before it was first met a task had as many devices as then, and none was through.
        changes as (
            select
                followed.operation_id,
                followed.version_name,
                ceil(curves.age_seconds * 96 / settings.horizon_seconds) * settings.horizon_seconds / 96 as age_seconds,
                curves.total as known_total,
                row_number() over task = 1 as is_first,
                curves.total - lag(curves.total, 1, curves.total) over task as total,
                curves.finished - lag(curves.finished, 1, 0) over task as finished,
                curves.success - lag(curves.success, 1, 0) over task as success
            from followed
            inner join marts.progress_curves as curves on followed.operation_id = curves.operation_id
            cross join settings
            where
                curves.total is not null
                and curves.age_seconds between 0 and settings.horizon_seconds
            window task as (partition by curves.operation_id order by curves.sync_id)
        ),

        versions as (
            select
                version_name,
                count(distinct operation_id) as operations,
                sum(known_total) filter (where is_first) as first_total
            from changes
            group by version_name
            having count(distinct operation_id) >= 3 and sum(known_total) filter (where is_first) >= 30
        ),

        steps as (
            select
                version_name,
                age_seconds,
                sum(total) as total,
                sum(finished) as finished,
                sum(success) as success
            from (
                select version_name, age_seconds, total, finished, success
                from changes
                union all
                select version_name, 0, first_total, 0, 0
                from versions
                union all
                select version_name, settings.horizon_seconds, 0, 0, 0
                from versions
                cross join settings
            ) as with_ends
            group by version_name, age_seconds
        )

        select
            versions.version_name as file_version,
            steps.age_seconds,
            versions.operations,
            sum(steps.total) over story as total,
            sum(steps.finished) over story / sum(steps.total) over story as share_finished,
            sum(steps.success) over story / sum(steps.total) over story as share_succeeded
        from steps
        inner join versions on steps.version_name = versions.version_name
        window story as (partition by versions.version_name order by steps.age_seconds)
        order by versions.first_total desc, file_version, steps.age_seconds
        """,
        engine=tasks_followed,
        output=False,
    )
    return (progress,)


@app.cell(hide_code=True)
def _(horizon, progress):
    _largest = progress.file_version.drop_duplicates().head(6)
    _rest = progress.file_version.nunique() - len(_largest)
    section(
        "Progress at equal age",
        "Of all devices of a version's tasks, the share that had succeeded (solid) and finished (dashed) when "
        "the tasks were that old; the space between the two is what failed or timed out. So a young rollout "
        "can be compared with an old one.",
        "Only tasks that are old enough and were watched closely since their creation are in, the same ones "
        "at every age: that may be few, see the numbers. A curve moves when a sync looked, so it is late by "
        "up to the time between two syncs. It is the share of all devices, not the success rate. It has no "
        "interval: small differences mean nothing.",
        horizon,
        picture(
            lambda frame: charts.progress_curves(frame[frame.file_version.isin(_largest)]),
            progress,
            f"No version has three tasks that syncs watched closely for {horizon.selected_key}. That takes a sync "
            f"every {'hour' if horizon.value < 20 else f'{horizon.value // 10} hours'} from their creation on.",
        ),
        mo.md(f"The six versions with the most devices; {_rest:,} more are among the numbers.") if _rest else None,
        numbers(progress),
    )
    return


@app.cell(hide_code=True)
def _(names, remembered):
    _types = list(names.types.iloc[0])
    operation_type = mo.ui.dropdown(
        {str(name).replace("_", " "): name for name in _types},
        remembered.get("operation_type") or next((str(name).replace("_", " ") for name in _types), None),
        label="Type of upgrade",
        on_change=lambda value: remembered.update(operation_type=value and value.replace("_", " ")),
    )
    return (operation_type,)


@app.cell(hide_code=True)
def _(operation_type, tasks):
    tasks_of_type = narrowed(tasks, "operation_type", operation_type.value)
    return (tasks_of_type,)


@app.cell(hide_code=True)
def _(tasks_of_type):
    funnel = mo.sql(
        """
        select
            is_chosen(names.model_name, groups.file_version) as is_chosen,
            groups.* replace (names.model_name as model)
        from marts.success_funnel_between(getvariable('since'), getvariable('until')) as groups
        inner join names
            on groups.manufacturer_name is not distinct from names.manufacturer_name
            and groups.model is not distinct from names.model
            and groups.device_type is not distinct from names.device_type
        where groups.operation_type = getvariable('operation_type')
        order by is_chosen desc, groups.is_below desc, groups.success_rate, names.model_name, groups.file_version
        """,
        engine=tasks_of_type,
        output=False,
    )
    return (funnel,)


@app.cell(hide_code=True)
def _(funnel, operation_type):
    section(
        "Funnel: which groups are worse than chance explains",
        "A point is a model and version with at least 30 finished devices in 3 tasks; the ticks above and "
        "below are the limits within which chance keeps it around its peers' common rate (dashed). A triangle "
        "is below: look there.",
        "The filters for models and versions make the others faint, but leave them in: they are the peers, "
        "and a funnel without them would be another one. Below 10 peers nothing is ever found. A point inside "
        "is no proof of health: all peers may be bad together. Above the funnel is no praise: near 100 % "
        "small groups get there by chance.",
        operation_type,
        picture(charts.funnel, funnel, "No model and version has 30 finished devices in 3 tasks in this window."),
        numbers(funnel),
    )
    return


@app.cell(hide_code=True)
def _(tasks_of_type):
    weeks = mo.sql(
        """
        from marts.weekly_control_chart_between(getvariable('since'), getvariable('until'))
        where operation_type = getvariable('operation_type')
        order by created_week
        """,
        engine=tasks_of_type,
        output=False,
    )
    return (weeks,)


@app.cell(hide_code=True)
def _(models, versions, weeks):
    section(
        "Control chart: which weeks differ from the usual",
        "Success rate of each week of creation, with the usual rate (dashed) and the limits within which "
        "weeks usually come and go. A triangle is outside: look for a cause. The week under way is hollow and "
        "takes no part.",
        "It is of all models and versions: those two filters don't apply, because limits come from how whole "
        "weeks differ (the chart over time follows them). With fewer than 12 weeks the limits still move with "
        "each new one; below two whole weeks there are none. A slow decline doesn't show: each week is near "
        "the one before.",
        mo.callout(mo.md("Models or versions are chosen above; this chart shows all of them."), kind="info")
        if models.value or versions.value
        else None,
        picture(charts.control_chart, weeks, "No week of this window has finished devices."),
        numbers(weeks),
    )
    return


@app.cell(hide_code=True)
def _(tasks):
    durations = mo.sql(
        """
        -- marts.operation_durations of the chosen tasks: a percentile can't be made from those of other groups.
        with durations as (
            select
                concat_ws(' ', model_name, replace(operation_type, '_upgrade', '')) as name,
                case when started_at >= created_at then epoch(started_at) - epoch(created_at) end as create_to_start,
                case when stopped_at >= started_at then epoch(stopped_at) - epoch(started_at) end as start_to_stop
            from chosen
        )

        select
            name,
            count(*) as operations,
            count(create_to_start) as operations_started,
            count(start_to_stop) as operations_stopped,
            quantile_cont(create_to_start, 0.5) as create_to_start_median_seconds,
            quantile_cont(create_to_start, 0.9) as create_to_start_p90_seconds,
            quantile_cont(create_to_start, 0.95) as create_to_start_p95_seconds,
            quantile_cont(start_to_stop, 0.5) as start_to_stop_median_seconds,
            quantile_cont(start_to_stop, 0.9) as start_to_stop_p90_seconds,
            quantile_cont(start_to_stop, 0.95) as start_to_stop_p95_seconds
        from durations
        group by name
        order by start_to_stop_p95_seconds desc nulls last, name
        """,
        engine=tasks,
        output=False,
    )
    return (durations,)


@app.cell(hide_code=True)
def _(durations):
    _most = durations[durations.operations_stopped > 0].head(30)
    section(
        "Durations",
        "From start to stop: half of the tasks take no longer than the tick, 95 % no longer than the bar.",
        "Only what is over counts: in a window that ends today the quick tasks are in and the slow ones still "
        "run, so it looks fast. The 95 % of 20 tasks is about the slowest one. Percentiles can't be added up "
        "or averaged.",
        picture(lambda frame: charts.durations(frame, "name"), _most, "No chosen task has ended."),
        mo.md("The 30 slowest.") if len(durations) > len(_most) == 30 else None,
        numbers(durations),
    )
    return


@app.cell(hide_code=True)
def _(tasks):
    stalled = mo.sql(
        """
        select
            concat_ws(
                ' ', names.model_name, version_name(still.file_version), '…' || right(still.operation_id, 6)
            ) as name,
            still.*
        from marts.stalled_operations_between(getvariable('since'), getvariable('until')) as still
        inner join names
            on still.manufacturer_name is not distinct from names.manufacturer_name
            and still.model is not distinct from names.model
            and still.device_type is not distinct from names.device_type
        where is_chosen(names.model_name, still.file_version)
        order by still.unchanged_seconds desc, still.operation_id
        """,
        engine=tasks,
        output=False,
    )
    return (stalled,)


@app.cell(hide_code=True)
def _(stalled):
    section(
        "Stalled tasks",
        "Active tasks whose counters have not moved for longer (bar) than 95 % of their peers ever paused "
        "(tick). A list to work through from the top.",
        "By its making one healthy task in twenty is here at some time. It isn't failure: a task for devices "
        "that are switched off waits rightly. What is usual comes from all peers, whatever the filters.",
        picture(
            lambda frame: charts.stalled(frame.head(20), "name"),
            stalled,
            "No active task stands still for longer than usual, or too few tasks have ended to say what is usual.",
        ),
        mo.md("The 20 that stand still for longest.") if len(stalled) > 20 else None,
        numbers(stalled),
    )
    return


if __name__ == "__main__":
    app.run()
