"""The small language of abort rules: what each rule means, and what is said of what is none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.errors import SettingsError
from pipelines.rules import DEFAULT_RULES, MEASURES, parse_rule


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("failure_rate > 0.1 after 50 finished", "failure_rate > 0.1 after 50 finished"),
        ("failure_rate>=10% after 50 finished", "failure_rate >= 0.1 after 50 finished"),
        ("  Failure_Rate  >  12.3 %  AFTER  1  finished ", "failure_rate > 0.123 after 1 finished"),
        ("failure_rate_of_total >= .05", "failure_rate_of_total >= 0.05"),
        ("failure_rate > 0", "failure_rate > 0"),
        ("failure_rate >= 100%", "failure_rate >= 1"),
        ("failure_rate > 0.1 after 0 finished", "failure_rate > 0.1"),
        ("hawkbit 10%", "failure_rate_of_total > 0.1"),
        ("hawkBit 0.25", "failure_rate_of_total > 0.25"),
        ("aws 10% after 50", "failure_rate >= 0.1 after 50 finished"),
        ("AWS 10.99 % after 1", "failure_rate >= 0.1099 after 1 finished"),
    ],
)
def test_a_rule_means_a_measure_an_operator_a_threshold_and_how_many_finished(text, means):
    assert parse_rule(text).means == means
    assert parse_rule(text).text == text


def test_the_default_rules_are_rules():
    assert [parse_rule(text).means for text in DEFAULT_RULES] == [
        "failure_rate > 0.1 after 50 finished",
        "failure_rate_of_total > 0.1",
        "failure_rate >= 0.1 after 50 finished",
    ]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "form"),
        ("failure_rate", "form"),
        ("failure_rate > ", "form"),
        ("failure_rate > -0.1", "form"),
        ("failure_rate > 0.1.2", "form"),
        ("failure_rate > 0.1 after fifty finished", "form"),
        ("failure_rate > 0.1 after 50", "form"),
        ("failure_rate > 0.1 after 9999999999999 finished", "form"),
        ("failure_rate > 0.1after 50 finished", "form"),
        ("failure_rate > 0.1 or hawkbit 10%", "form"),
        ("failure_rate > 0.1; drop table rollouts", "form"),
        ("success_rate > 0.1", "no measure 'success_rate'"),
        ("failure_rate < 0.1", "no operator '<'"),
        ("failure_rate = 0.1", "no operator '='"),
        ("failure_rate > 10", "10 percent is written 10%"),
        ("failure_rate > 101%", "no rate is above 1"),
        ("failure_rate > 0.1 after 50 begun", "finished, not 'begun'"),
        ("hawkbit", "hawkbit takes a threshold alone"),
        ("hawkbit 10% after 50", "hawkbit takes a threshold alone"),
        ("hawkbit 10", "10 percent is written 10%"),
        ("aws 10%", "how many must have finished"),
        ("aws 10% after 50 finished", "how many must have finished"),
    ],
)
def test_what_is_no_rule_is_refused_with_the_reason_and_what_can_be_written(text, reason):
    with pytest.raises(SettingsError) as caught:
        parse_rule(text)
    assert repr(text) in caught.value.message
    assert reason in caught.value.message
    for example in (*DEFAULT_RULES, *MEASURES, ">="):
        assert example in caught.value.advice
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("text", ["failure_rate > 110%", "failure_rate > 110", "hawkbit 100.5%", "aws 200 after 50"])
def test_no_percentage_above_100_is_advised(text):
    with pytest.raises(SettingsError) as caught:
        parse_rule(text)
    assert caught.value.message.endswith("no rate is above 1")


@given(
    measure=st.sampled_from(MEASURES),
    includes=st.booleans(),
    threshold=st.decimals(0, 1, places=6),
    after=st.integers(0, 10**9),
)
def test_what_a_rule_means_is_a_rule_that_means_the_same(measure, includes, threshold, after):
    rule = parse_rule(f"{measure} {'>=' if includes else '>'} {threshold} after {after} finished")
    assert (rule.measure, rule.includes_threshold, rule.threshold, rule.after) == (
        measure,
        includes,
        float(threshold),
        after,
    )
    again = parse_rule(rule.means)
    assert (again.means, again.threshold) == (rule.means, rule.threshold)
