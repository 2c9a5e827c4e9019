"""The statistics in SQL against independent implementations: scipy, numpy, and simulation."""

import datetime as dt
import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

tasks = st.lists(
    st.integers(0, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), min_size=1, max_size=25
)
proportions = st.integers(1, 10**9).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


def interval(macros, pairs):
    """Both intervals of tasks, given as (success, finished)."""
    values = ", ".join(f"({success}, {finished})" for success, finished in pairs)
    (row,) = macros.rows(
        f"""select clustered_lower(clustered_sums(success, finished)) as lower,
            clustered_upper(clustered_sums(success, finished)) as upper,
            wilson_lower(sum(success), sum(finished)) as wilson_lower,
            wilson_upper(sum(success), sum(finished)) as wilson_upper,
            clustered_half_width(clustered_sums(success, finished)) as half_width
        from (values {values}) as tasks(success, finished)"""
    )
    return row


def ratio_half_width(pairs):
    """Cochran's linearized variance of a ratio of totals over tasks, straight from the definition."""
    success, finished = (
        np.array(column, dtype=float) for column in zip(*[pair for pair in pairs if pair[1]], strict=True)
    )
    n, rate = len(finished), success.sum() / finished.sum()
    residuals = success - rate * finished
    variance = n / (n - 1) * (residuals**2).sum() / finished.sum() ** 2
    return scipy.stats.t.ppf(0.975, n - 1) * math.sqrt(variance)


@given(proportions)
def test_wilson_is_what_scipy_computes(macros, proportion):
    success, n = proportion
    expected = scipy.stats.binomtest(success, n).proportion_ci(0.95, "wilson") if n < 10**6 else None
    lower, upper = macros.value(f"[wilson_lower({success}, {n}), wilson_upper({success}, {n})]")
    assert 0 <= lower <= success / n + 1e-12
    assert success / n - 1e-12 <= upper <= 1
    if expected:
        assert (lower, upper) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_wilson_of_nothing_is_null_and_its_ends_are_exact(macros):
    assert macros.value("[wilson_lower(0, 0), wilson_upper(0, 0), wilson_lower(null, null)]") == [None, None, None]
    assert macros.value("wilson_lower(0, 10)") == 0
    assert macros.value("wilson_upper(10, 10)") == 1


@pytest.mark.parametrize("zone", ["UTC", "Asia/Shanghai", "America/New_York"])
@pytest.mark.parametrize(
    "instant",
    [
        "timestamptz '2026-03-02 00:00:00+00'",
        "timestamptz '2026-03-02 08:00:00+08'",
        "timestamp '2026-03-02 00:00:00'",
        "date '2026-03-02'",
        "'2026-03-02'",
        "'2026-03-02T00:00:00Z'",
        "'2026-03-02 00:00:00+08'",  # ignored in a text
    ],
)
def test_a_window_is_in_utc_whatever_zone_the_session_is_in(macros, zone, instant):
    macros.connection.execute(f"set TimeZone = '{zone}'")
    try:
        assert macros.value(f"utc({instant})") == dt.datetime(2026, 3, 2)  # noqa: DTZ001 - as the file's timestamps are
        assert macros.value("utc(null) is null and utc(timestamptz 'infinity') > utc('9999-01-01')")
    finally:
        macros.connection.execute("reset TimeZone")


def test_counters_that_are_missing_count_as_none(macros):
    (row,) = macros.rows(
        "select unnest(success_measures(success_sums(10, 0, 0, success, fail, 0, timeout))) "
        "from (values (9, 1, null), (8, 2, 0)) as tasks(success, fail, timeout)"
    )
    assert (row["success"], row["finished"], row["success_rate"]) == (17, 20, 0.85)
    assert row["success_rate_lower"] < 0.85 < row["success_rate_upper"] < 1


@pytest.mark.parametrize("degrees", [*range(1, 36), 60, 100, 1_000, 10**6])
def test_the_t_quantiles_are_what_scipy_computes(macros, degrees):
    assert macros.value(f"student_t_975({degrees})") == pytest.approx(scipy.stats.t.ppf(0.975, degrees), abs=2e-6)
    assert macros.value(f"student_t_999({degrees})") == pytest.approx(scipy.stats.t.ppf(0.999, degrees), abs=2e-6)


def test_the_t_quantiles_need_a_degree_of_freedom(macros):
    assert macros.value("[student_t_975(0), student_t_999(0)]") == [None, None]


@given(tasks)
def test_the_clustered_interval_is_the_ratio_estimator_and_never_narrower_than_wilson(macros, pairs):
    row = interval(macros, pairs)
    finished = [pair for pair in pairs if pair[1]]
    assert 0 <= row["lower"] <= row["upper"] <= 1
    if len(finished) < 2:
        assert (row["lower"], row["upper"]) == (0, 1)
        return
    half_width = ratio_half_width(pairs)
    rate = sum(success for success, _ in pairs) / sum(n for _, n in pairs)
    assert row["half_width"] == pytest.approx(half_width, abs=1e-6)
    assert row["lower"] == pytest.approx(max(0, min(rate - half_width, row["wilson_lower"])), abs=1e-6)
    assert row["upper"] == pytest.approx(min(1, max(rate + half_width, row["wilson_upper"])), abs=1e-6)
    assert row["lower"] <= row["wilson_lower"] <= row["wilson_upper"] <= row["upper"]


def test_the_clustered_interval_is_about_what_a_bootstrap_over_tasks_gives(macros):
    chance = np.random.default_rng(5)
    finished = chance.integers(5, 60, 150)
    success = chance.binomial(finished, chance.beta(9, 1, 150))
    draws = chance.integers(0, 150, (4_000, 150))
    rates = success[draws].sum(axis=1) / finished[draws].sum(axis=1)
    low, high = np.quantile(rates, [0.025, 0.975])
    row = interval(macros, list(zip(success.tolist(), finished.tolist(), strict=True)))
    assert row["lower"] == pytest.approx(low, abs=0.006)
    assert row["upper"] == pytest.approx(high, abs=0.006)


def test_tasks_whose_devices_fail_together_widen_the_clustered_interval(macros):
    together = interval(macros, [(100, 100)] * 5 + [(0, 100)] * 5)
    apart = interval(macros, [(50, 100)] * 10)
    assert together["upper"] - together["lower"] > 5 * (together["wilson_upper"] - together["wilson_lower"])
    assert (apart["lower"], apart["upper"]) == (apart["wilson_lower"], apart["wilson_upper"])


def test_the_clustered_interval_covers_the_truth_as_often_as_it_says(macros):
    chance = np.random.default_rng(11)
    covered = 0
    for _ in range(100):
        finished = chance.integers(5, 40, 40)
        success = chance.binomial(finished, chance.beta(8, 2, 40))
        row = interval(macros, list(zip(success.tolist(), finished.tolist(), strict=True)))
        covered += row["lower"] <= 0.8 <= row["upper"]
    assert covered / 100 >= 0.90


@given(*[st.integers(0, 10**9)] * 3)
@settings(max_examples=30)
def test_rates_are_proportions_or_null(macros, success, fail, timeout):
    rate = macros.value(f"success_rate({success}, {fail}, {timeout})")
    total = success + fail + timeout
    assert macros.value(f"finished({success}, {fail}, {timeout})") == total
    assert rate is None if total == 0 else rate == pytest.approx(success / total)
    assert rate is None or 0 <= rate <= 1


def test_a_rate_of_nothing_is_null_and_never_everything(macros):
    assert macros.value("[success_rate(0, 0, 0), rate_of_total(0, 0), success_rate(null, null, null)]") == [
        None,
        None,
        None,
    ]
    assert macros.value("rate_of_total(1, 4)") == 0.25


@pytest.mark.parametrize(
    ("lower", "upper", "finished", "operations", "verdict"),
    [
        (0.95, 0.99, 30, 3, "ok"),
        (0.96, 0.99, 1000, 100, "ok"),
        (0.80, 0.94999, 30, 3, "bad"),
        (0.80, 0.95, 30, 3, "watch"),
        (0.94, 0.96, 30, 3, "watch"),
        (0.99, 1.0, 29, 3, "too_few"),
        (0.99, 1.0, 30, 2, "too_few"),
        (0.0, 0.1, 29, 100, "too_few"),
        (None, None, None, None, "too_few"),
        (0.0, 1.0, 0, 0, "too_few"),
    ],
)
def test_verdicts(macros, lower, upper, finished, operations, verdict):
    assert macros.value("verdict($1, $2, $3, $4, 0.95)", [lower, upper, finished, operations]) == verdict


def test_macros_take_sums_of_any_integer_type(macros):
    for kind in ("tinyint", "integer", "bigint", "hugeint", "double", "ubigint"):
        assert macros.value(f"round(success_rate(90::{kind}, 10::{kind}, 0::{kind}), 6)") == pytest.approx(0.9)
        assert macros.value(f"round(wilson_lower(90::{kind}, 100::{kind}), 6)") == pytest.approx(0.825634, abs=1e-6)


def test_counters_of_a_million_tasks_do_not_overflow(macros):
    (row,) = macros.rows(
        "select clustered_lower(clustered_sums(success, finished)) as lower, "
        "clustered_upper(clustered_sums(success, finished)) as upper "
        "from (select 900000000000::bigint as success, 1000000000000::bigint as finished from range(100000))"
    )
    assert row["lower"] == pytest.approx(0.9, abs=1e-4)
    assert row["upper"] == pytest.approx(0.9, abs=1e-4)
