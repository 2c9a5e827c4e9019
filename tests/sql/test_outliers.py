"""Funnel, hotspots and weekly chart: against published numbers, an independent implementation, and simulated fleets."""

import datetime as dt
import json
from pathlib import Path

import numpy as np
import pytest
import scipy.stats

from support.core import Core
from support.fleets import EVEN, LONG_TAIL, differing_rates, draw, funnel, hotspots, observe, varied_tasks
from support.reports import only_reports

PUBLISHED = json.loads((Path(__file__).parent / "published_limits.json").read_text())
FUNNELS = PUBLISHED["funnels"]["cases"]
CHARTS = PUBLISHED["charts"]
Z = scipy.stats.norm.ppf(0.999)
KEPT_BY_WINSORIZING = 2 * scipy.stats.norm.expect(
    lambda z: min(z, scipy.stats.norm.ppf(0.9)) ** 2, lb=0, ub=10, epsabs=1e-12
)


@pytest.fixture(scope="module", autouse=True)
def _only_outliers():
    with only_reports("success_funnel", "failure_hotspots", "weekly_control_chart"):
        yield


@pytest.fixture(scope="module")
def observer():
    """One file whose outcomes are replaced by each test that simulates fleets."""
    core = Core().sync(1).marts()
    yield core
    core.connection.close()


def one_device_tasks(core, numerators, denominators):
    """A group for each pair: as many tasks of one device as the denominator, of which the numerator succeed."""
    core.sync(1).connection.execute(
        """create table tasks as
        select unnest(range(0, denominator)) < numerator as is_success, model
        from (select unnest($1) as numerator, unnest($2) as denominator, unnest(range(0, len($1))) as model)""",
        [numerators, denominators],
    )
    core.connection.execute(
        """insert into core.operations by name
        select 't' || rowid as operation_id, 'firmware_upgrade' as operation_type, format('{:02d}', model) as model,
            timestamp '2026-03-01' as created_at, '2026-03' as created_month, 'V1' as file_version,
            0 as named_device_count, 0 as device_group_count
        from tasks;
        insert into core.operation_results by name
        select 't' || rowid as operation_id, 1 as total, 0 as wait, 0 as processing, is_success::integer as success,
            (not is_success)::integer as fail, 0 as stop, 0 as timeout
        from tasks"""
    )
    return core.marts()


def limits(target, devices, tau2, t_quantile=Z):
    """Funnel around a rate, as published where both quantiles are those of the normal distribution."""
    centre = np.arcsin(np.sqrt(target))
    half_width = np.sqrt(Z**2 / (4 * np.array(devices)) + t_quantile**2 * tau2)
    angles = centre - half_width, centre + half_width
    return [np.sin(np.clip(angle, 0, np.pi / 2)) ** 2 for angle in angles]


def variance_between(phi, devices, kept=1.0):
    """The moment estimate from the mean square of z scores, of which winsorizing has kept a share."""
    weights, k = 4 * np.array(devices), len(devices)
    return max(0, (k * phi / kept - (k - 1)) / (weights.sum() - (weights**2).sum() / weights.sum()))


@pytest.mark.parametrize("name", FUNNELS)
def test_the_published_funnel_is_the_one_that_the_mart_is_compared_with(name):
    case = FUNNELS[name]
    assert variance_between(case["phi"], case["denominators"]) == pytest.approx(case["tau2"], abs=1e-10)
    for tau2, suffix in ((0, ""), (case["tau2"], "_with_tau2")):
        lower, upper = limits(case["target"], case["denominators"], tau2)
        assert lower == pytest.approx(case[f"lower{suffix}"], abs=1e-6)
        assert upper == pytest.approx(case[f"upper{suffix}"], abs=1e-6)


@pytest.mark.parametrize("name", FUNNELS)
def test_the_funnel_has_the_published_dispersion_and_limits_with_the_whole_variance_between_peers(core, name):
    case = FUNNELS[name]
    devices = case["denominators"]
    one_device_tasks(core, case["numerators"], devices)
    rows = core.rows("from marts.success_funnel order by model")
    assert [(row["success"], row["finished"]) for row in rows] == list(zip(case["numerators"], devices, strict=True))
    tau2 = variance_between(case["phi"], devices, KEPT_BY_WINSORIZING)
    assert tau2 >= case["tau2"]
    lower, upper = limits(case["target"], devices, tau2, scipy.stats.t.ppf(0.999, len(devices) - 2))
    assert [row["funnel_lower"] for row in rows] == pytest.approx(list(lower), abs=1e-6)
    assert [row["funnel_upper"] for row in rows] == pytest.approx(list(upper), abs=1e-6)
    for row in rows:
        assert (row["correlation"], row["design_effect"], row["comparisons"]) == (0, 1, len(devices))
        assert row["peer_rate"] == pytest.approx(case["target"], abs=1e-11)
        assert row["dispersion"] == pytest.approx(case["phi"], abs=1e-9)
        assert row["variance_between"] == pytest.approx(tau2, abs=1e-9)
        assert row["standard_error"] == pytest.approx(np.sqrt(1 / (4 * row["finished"]) + tau2), abs=1e-9)
        assert row["is_below"] == (row["success_rate"] < row["funnel_lower"])
        assert row["is_above"] == (row["success_rate"] > row["funnel_upper"])


def test_without_more_variation_than_chance_the_funnel_has_the_published_limits(core):
    case = FUNNELS["alike"]
    one_device_tasks(core, case["numerators"], case["denominators"])
    rows = core.rows("from marts.success_funnel order by model")
    assert {row["variance_between"] for row in rows} == {0}
    assert [row["funnel_lower"] for row in rows] == pytest.approx(case["lower"], abs=1e-6)
    assert [row["funnel_upper"] for row in rows] == pytest.approx(case["upper"], abs=1e-6)


def correlation_within_tasks(outcomes):
    """The analysis-of-variance estimate, device by device, from the sums of squares as they are defined."""
    between = within = tasks_less_groups = devices = sizes = 0.0
    for group in np.unique(outcomes.group):
        members = outcomes.group == group
        success, finished = outcomes.success[members], outcomes.finished[members]
        every = np.concatenate([np.r_[np.ones(ok), np.zeros(n - ok)] for ok, n in zip(success, finished, strict=True)])
        of_task = np.repeat(success / finished, finished)
        between += ((of_task - every.mean()) ** 2).sum()
        within += ((every - of_task) ** 2).sum()
        tasks_less_groups += len(finished) - 1
        devices += finished.sum() - len(finished)
        sizes += finished.sum() - (finished**2).sum() / finished.sum()
    between, within, size = between / tasks_less_groups, within / devices, sizes / tasks_less_groups
    return max(0, (between - within) / (between + (size - 1) * within))


@pytest.mark.parametrize("seed", range(5))
def test_correlation_and_design_effect_are_what_the_devices_one_by_one_give(observer, seed):
    chance = np.random.default_rng(seed)
    shape = (1, 8)
    tasks = varied_tasks(chance, shape, 5, 40)
    rates = differing_rates(chance, shape, 0.9, 0.1)
    outcomes = draw(chance, rates, tasks, correlation=[0, 0.01, 0.1, 0.3, 0.6][seed])
    expected = correlation_within_tasks(outcomes)
    columns = funnel(observe(observer, outcomes))
    assert len(columns["group"]) == 8
    assert columns["correlation"] == pytest.approx(expected, abs=1e-9)
    for group, design_effect in zip(columns["group"], columns["design_effect"], strict=True):
        finished = outcomes.finished[outcomes.group == group]
        mean_size_met = (finished**2).sum() / finished.sum()
        assert design_effect == pytest.approx(1 + (mean_size_met - 1) * expected)


@pytest.mark.parametrize("sizes", [EVEN, LONG_TAIL])
@pytest.mark.parametrize("tasks", [(3, 10), (20, 100)])
@pytest.mark.parametrize("correlation", [0.05, 0.2])
def test_the_correlation_within_tasks_is_found_also_where_tasks_are_few_and_uneven(observer, sizes, tasks, correlation):
    chance = np.random.default_rng(7)
    shape = (40, 30)
    counts = varied_tasks(chance, shape, *tasks)
    rates = differing_rates(chance, shape, 0.85, 0.05)
    columns = funnel(observe(observer, draw(chance, rates, counts, correlation=correlation, sizes=sizes)))
    of_fleets = dict(zip(columns["fleet"], columns["correlation"], strict=True))
    assert np.mean(list(of_fleets.values())) == pytest.approx(correlation, rel=0.07)


@pytest.mark.parametrize(("correlation", "between"), [(0.0, 0.0), (0.05, 0.0), (0.0, 0.02)])
def test_a_version_that_is_10_points_worse_is_a_hotspot(observer, correlation, between):
    chance = np.random.default_rng(3)
    shape = (50, 30)
    counts = varied_tasks(chance, shape, 20, 100)
    counts[:, 0] = 100
    rates = differing_rates(chance, shape, 0.95, between)
    rates[:, 0] = 0.85
    found = hotspots(observe(observer, draw(chance, rates, counts, correlation=correlation)))
    assert sum(group == 0 for _, group in found) >= 48
    assert sum(group != 0 for _, group in found) <= 3


@pytest.mark.parametrize("peers", [5, 10, 30])
@pytest.mark.parametrize(("correlation", "between"), [(0.0, 0.0), (0.1, 0.0), (0.0, 0.05), (0.1, 0.03)])
def test_without_a_worse_version_no_more_are_hotspots_than_the_report_says(observer, peers, correlation, between):
    chance = np.random.default_rng(peers)
    shape = (4_500 // peers, peers)
    counts = varied_tasks(chance, shape, 3, 40)
    rates = differing_rates(chance, shape, 0.9, between)
    observe(observer, draw(chance, rates, counts, correlation=correlation))
    (expected,) = observer.rows(
        """select sum(chance) as groups from (
            select any_value(comparisons) / 1000 as chance
            from marts.success_funnel_between(null, null)
            group by operation_type
        )"""
    )
    assert expected["groups"] > 3.5
    assert len(hotspots(observer)) <= scipy.stats.poisson.ppf(0.99, expected["groups"])


def outlying(core):
    """Six versions of one model that succeed in 95 of 100 devices a task, and one of another model in 60."""
    core.sync(1)
    for version in range(6):
        for task in range(4):
            core.task(
                f"{version}-{task}",
                file_version=f"V{version}",
                success=94 + (version + task) % 3,
                fail=6 - (version + task) % 3,
            )
    for task in range(4):
        core.task(f"bad-{task}", model="NB-2", success=60 + task, fail=30 - task, timeout=10, created_at="2026-03-02")
    return core


def test_the_funnel_compares_groups_with_30_devices_in_3_tasks(core):
    outlying(core)
    core.task("a", model="two tasks", success=50).task("b", model="two tasks", success=50)
    for number in range(9):
        core.task(f"few-{number}", model="29 devices", success=3, fail=1 if number < 2 else 0)
    core.task("c", model="not finished", wait=500).task("silent", model="silent")
    for number in range(3):
        core.task(f"other-{number}", operation_type="software_upgrade", success=8, fail=2)
    rows = core.marts().rows("from marts.success_funnel")
    assert [(row["operation_type"], row["model"], row["file_version"], row["comparisons"]) for row in rows] == [
        *(("firmware_upgrade", "NB-1", f"V{version}", 7) for version in range(6)),
        ("firmware_upgrade", "NB-2", "V1.0", 7),
        ("software_upgrade", "NB-1", "V1.0", 1),
    ]
    bad = rows[6]
    assert (bad["operations"], bad["operations_finished"], bad["success"], bad["finished"]) == (4, 4, 246, 400)
    assert bad["success_rate"] == pytest.approx(0.615)
    assert bad["peer_rate"] == pytest.approx((246 + 6 * 380) / 2800, abs=0.001)
    alone = rows[7]
    assert (alone["success_rate"], alone["variance_between"]) == (alone["peer_rate"], 0)
    assert 0 <= alone["funnel_lower"] < alone["peer_rate"] < alone["funnel_upper"] <= 1
    assert (alone["is_below"], alone["is_above"]) == (False, False)


def test_a_hotspot_says_how_many_devices_more_failed_than_at_the_rate_of_its_peers(observer):
    chance = np.random.default_rng(1)
    rates = np.full((1, 30), 0.95)
    rates[0, 4], rates[0, 9] = 0.7, 0.6
    outcomes = draw(chance, rates, np.full((1, 30), 40), sizes=EVEN)
    (first, second) = observe(observer, outcomes).rows("from marts.failure_hotspots_between(null, null)")
    peer_rate = outcomes.success.sum() / outcomes.finished.sum()
    assert (first["model"], second["model"]) == ("9", "4")
    for row in (first, second):
        success = outcomes.success[outcomes.group == int(row["model"])].sum()
        assert (row["operation_type"], row["file_version"], row["comparisons"]) == ("0", "V1.0", 30)
        assert (row["operations_finished"], row["finished"], row["success"]) == (40, 600, success)
        assert row["success_rate"] == pytest.approx(success / 600)
        assert row["peer_rate"] == pytest.approx(peer_rate)
        assert row["rate_below_peers"] == pytest.approx(peer_rate - success / 600)
        assert row["failures_above_peers"] == round(600 * peer_rate - success)
        assert row["expected_by_chance"] == pytest.approx(0.03)
        assert row["success_rate"] < row["funnel_lower"]


@pytest.mark.parametrize("mart", ["success_funnel", "failure_hotspots", "weekly_control_chart"])
def test_a_window_holds_what_was_created_in_it_and_an_open_one_everything(core, mart):
    outlying(core).marts()
    everything = core.rows(f"from marts.{mart} order by all")
    assert core.rows(f"from marts.{mart}_between(null, null) order by all") == everything
    assert core.rows(f"from marts.{mart}_between('2026-04-01', null)") == []
    assert core.rows(f"from marts.{mart}_between(null, '2026-03-01')") == []


def test_the_window_of_the_funnel_decides_who_the_peers_are(core):
    outlying(core).marts()
    comparisons = {
        window: core.value(f"(select any_value(comparisons) from marts.success_funnel_between({window}))")
        for window in ("null, null", "null, '2026-03-02'", "'2026-03-02', null")
    }
    assert comparisons == {"null, null": 7, "null, '2026-03-02'": 6, "'2026-03-02', null": 1}


@pytest.mark.parametrize(("success", "fail"), [(20, 0), (0, 20)])
def test_peers_that_all_succeed_or_all_fail_are_no_outliers(core, success, fail):
    core.sync(1)
    for number in range(12):
        core.task(str(number), model=f"NB-{number % 4}", success=success, fail=fail)
    rows = core.marts().rows("from marts.success_funnel")
    assert len(rows) == 4
    for row in rows:
        assert (row["is_below"], row["is_above"], row["dispersion"], row["variance_between"]) == (False, False, 0, 0)
        assert row["funnel_lower"] <= row["success_rate"] <= row["funnel_upper"]
    assert core.rows("from marts.failure_hotspots") == []


def weeks(core, numerators, denominators, **values):
    """One task a week from Monday 2024-01-01 on."""
    monday = dt.date(2024, 1, 1)
    for number, (success, finished) in enumerate(zip(numerators, denominators, strict=True)):
        created_at = dt.datetime.combine(monday + dt.timedelta(weeks=number, days=number % 7), dt.time(23, 59, 59))
        name = f"{values.get('operation_type', 'task')}-{number}"
        core.task(name, created_at=created_at, success=success, fail=finished - success, **values)
    return core


def test_the_weekly_chart_has_the_published_limits_and_screens_no_moving_range(core):
    core.sync(1)
    for name, case in CHARTS.items():
        weeks(core, case["numerators"], case["denominators"], operation_type=name)
    core.marts()
    assert {row["operation_type"] for row in core.rows("from marts.weekly_control_chart")} == set(CHARTS)
    for name, case in CHARTS.items():
        rows = core.rows("from marts.weekly_control_chart where operation_type = $1 order by created_week", [name])
        assert [(row["success"], row["finished"]) for row in rows] == list(
            zip(case["numerators"], case["denominators"], strict=True)
        )
        for row in rows:
            assert row["centre"] == pytest.approx(case["centre"], abs=1e-11)
            assert row["spread"] == pytest.approx(case["sigma_z"], abs=1e-9)
            assert row["is_outside"] == (not row["lower_limit"] <= row["success_rate"] <= row["upper_limit"])
        assert [row["lower_limit"] for row in rows] == pytest.approx(case["lower"], abs=1e-10)
        assert [row["upper_limit"] for row in rows] == pytest.approx(case["upper"], abs=1e-10)
        assert {row["is_under_way"] for row in rows} == {False}
    outside = core.rows("select operation_type, success from marts.weekly_control_chart where is_outside")
    assert outside == [{"operation_type": "freak_point", "success": 96}]


def test_a_week_is_one_row_with_its_sums(core):
    core.sync(1)
    core.task("sunday", created_at="2026-02-15 23:59:59", success=9, fail=1)
    core.task("monday", created_at="2026-02-16 00:00:00", success=8, timeout=2)
    core.task("next sunday", created_at="2026-02-22 23:59:59", success=9, fail=1)
    core.task("waiting", created_at="2026-02-23", wait=5)
    core.marts()
    rows = core.rows("from marts.weekly_control_chart")
    assert [(row["created_week"], row["operations"], row["success"], row["finished"]) for row in rows] == [
        (dt.date(2026, 2, 9), 1, 9, 10),
        (dt.date(2026, 2, 16), 2, 17, 20),
    ]
    assert [row["success_rate"] for row in rows] == pytest.approx([0.9, 0.85])
    since = core.rows("from marts.weekly_control_chart_between('2026-02-16', null)")
    assert [(row["created_week"], row["centre"], row["spread"]) for row in since] == [
        (dt.date(2026, 2, 16), pytest.approx(0.85), None)
    ]


def test_the_week_under_way_is_shown_and_takes_no_part(core):
    weeks(core.sync(1), [90, 95, 92, 91], [100] * 4)
    core.task("young", created_at="2026-03-03", success=5, fail=95).marts()
    rows = core.rows("from marts.weekly_control_chart")
    assert [row["is_under_way"] for row in rows] == [False] * 4 + [True]
    young = rows[-1]
    assert young["created_week"] == dt.date(2026, 3, 2)
    assert young["centre"] == pytest.approx(0.92)
    standard_error = np.sqrt(0.92 * 0.08 / 100)
    assert young["spread"] == pytest.approx(np.mean([0.05, 0.03, 0.01]) / standard_error / 1.128)
    assert young["is_outside"]
    assert [row["is_outside"] for row in rows[:4]] == [False] * 4


def test_a_week_is_over_with_the_first_sync_after_its_sunday(core):
    core.sync(1, finished_at="2026-03-09 00:00:00").task("a", created_at="2026-03-08 23:00:00", success=9, fail=1)
    assert core.marts().rows("select is_under_way from marts.weekly_control_chart") == [{"is_under_way": False}]


@pytest.mark.parametrize("whole_weeks", [0, 1])
def test_fewer_than_two_whole_weeks_have_no_limits(core, whole_weeks):
    weeks(core.sync(1), [5, 9][:whole_weeks], [10, 10][:whole_weeks])
    core.task("young", created_at="2026-03-03", success=1, fail=99).marts()
    rows = core.rows("from marts.weekly_control_chart")
    assert len(rows) == whole_weeks + 1
    for row in rows:
        assert (row["lower_limit"], row["upper_limit"], row["spread"], row["is_outside"]) == (None, None, None, False)


@pytest.mark.parametrize("success", [0, 10])
def test_weeks_without_any_failure_or_any_success_have_no_limits_and_no_outlier(core, success):
    weeks(core.sync(1), [success] * 5, [10] * 5).marts()
    for row in core.rows("from marts.weekly_control_chart"):
        assert (row["centre"], row["lower_limit"], row["upper_limit"]) == (success / 10, None, None)
        assert not row["is_outside"]
