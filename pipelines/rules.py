"""Abort rules: when to stop a rollout, in a small language that one function reads. What they would do: `backtest`.

    <measure> <operator> <number>[%] [after <n> finished]      failure_rate > 0.1 after 50 finished
    hawkbit <number>[%]                                        failure_rate_of_total > <number>
    aws <number>[%] after <n>                                  failure_rate >= <number> after <n> finished

`failure_rate` is (fail + timeout) / (success + fail + timeout) of the devices so far; `failure_rate_of_total` is
(fail + timeout) / all devices of the rollout. Operators are `>` and `>=`. Fails with `SettingsError`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal

from pipelines.errors import SettingsError

DEFAULT_RULES = ("failure_rate > 0.1 after 50 finished", "hawkbit 10%", "aws 10% after 50")
MEASURES = ("failure_rate", "failure_rate_of_total")

_NUMBER = r"(?P<number>\d+(?:\.\d+)?|\.\d+) ?(?P<percent>%?)"
_OWN = re.compile(rf"(?P<measure>\w+) ?(?P<operator>[<>=!]+) ?{_NUMBER}(?: after (?P<after>\d{{1,12}}) (?P<base>\w+))?")
_HAWKBIT = re.compile(rf"hawkbit {_NUMBER}")
_AWS = re.compile(rf"aws {_NUMBER} after (?P<after>\d{{1,12}})")
_ADVICE = (
    'Write "failure_rate > 0.1 after 50 finished" (or failure_rate_of_total; > or >=; a number up to 1, or a '
    'percentage; "after … finished" may be left out), "hawkbit 10%" or "aws 10% after 50"'
)


@dataclass(frozen=True)
class Rule:
    """Stop once `after` devices have finished and the measure is above the threshold, or, if it is included, at it."""

    text: str
    measure: str
    includes_threshold: bool
    threshold: float
    after: int

    @property
    def means(self) -> str:
        """The rule with a measure and an operator, however it was written."""
        operator = ">=" if self.includes_threshold else ">"
        threshold = f"{self.threshold:.12f}".rstrip("0").rstrip(".")
        after = f" after {self.after} finished" if self.after else ""
        return f"{self.measure} {operator} {threshold}{after}"


def parse_rule(text: str) -> Rule:
    """Read one rule.

    hawkBit stops when error / total > threshold, with no least number (`ThresholdRolloutGroupErrorCondition`, the error
    condition THRESHOLD). AWS IoT Jobs cancels "if at least 20% of the complete executions failed after 100 executions
    are complete" (developer guide, jobs-configurations-specify; here with `failureType` ALL).

    Raises:
        SettingsError: it is no rule; says why, and what can be written.
    """
    folded = " ".join(text.split()).lower()
    if found := _HAWKBIT.fullmatch(folded):
        return Rule(text, "failure_rate_of_total", includes_threshold=False, threshold=_share(text, found), after=0)
    if found := _AWS.fullmatch(folded):
        after = int(found["after"])
        return Rule(text, "failure_rate", includes_threshold=True, threshold=_share(text, found), after=after)
    if folded.startswith(("hawkbit", "aws")):
        raise _no_rule(text, "hawkbit takes a threshold alone, aws a threshold and how many must have finished")
    found = _OWN.fullmatch(folded)
    if found is None:
        raise _no_rule(text, "it has not that form")
    if found["measure"] not in MEASURES:
        raise _no_rule(text, f"there is no measure {found['measure']!r}")
    if found["operator"] not in (">", ">="):
        raise _no_rule(text, f"there is no operator {found['operator']!r}")
    if found["base"] not in (None, "finished"):
        raise _no_rule(text, f"'after' counts devices that are finished, not {found['base']!r}")
    includes_threshold, after = found["operator"] == ">=", int(found["after"] or 0)
    return Rule(text, found["measure"], includes_threshold, threshold=_share(text, found), after=after)


def _share(text: str, found: re.Match[str]) -> float:
    number = Decimal(found["number"])
    share = number / (100 if found["percent"] else 1)  # a decimal: 12.3 % is 0.123, not almost
    if share > 1:
        is_meant_as_percent = not found["percent"] and number <= 100
        hint = f"; {number} percent is written {number}%" if is_meant_as_percent else ""
        raise _no_rule(text, f"no rate is above 1{hint}")
    return float(share)


def _no_rule(text: str, reason: str) -> SettingsError:
    return SettingsError(f"{text!r} is no rule: {reason}", advice=_ADVICE)
