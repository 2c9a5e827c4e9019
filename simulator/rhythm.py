"""When tasks are created: a weekly pattern with quiet nights and weekends, and the way back from a count to an instant.

Instants are seconds since 1970 (UTC). The pattern depends on the calendar only, so that task number n is created at the
same instant whenever one asks.
"""

import numpy as np

from simulator.draws import Floats

DAY_SECONDS = 86_400.0
_WEEK_SECONDS = 7 * DAY_SECONDS
_MONDAY = 4 * DAY_SECONDS  # 1970-01-05
_HOURS = np.array([2, 1, 1, 1, 1, 2, 4, 8, 12, 14, 14, 12, 10, 12, 13, 12, 10, 8, 7, 6, 5, 4, 3, 2], dtype=np.float64)
_WEEKDAYS = np.array([1.1, 1.2, 1.2, 1.15, 1.0, 0.5, 0.4])
_WEIGHTS = np.outer(_WEEKDAYS, _HOURS).ravel()
_DAYS_UNTIL_HOUR = np.concatenate([[0.0], np.cumsum(_WEIGHTS) / _WEIGHTS.sum() * 7])
_HOUR_STARTS = np.arange(169) * 3600.0


def average_days(instants: Floats) -> Floats:
    """How many days of average activity lie between the first Monday of 1970 and each instant."""
    weeks, seconds = np.divmod(instants - _MONDAY, _WEEK_SECONDS)
    return np.asarray(weeks * 7 + np.interp(seconds, _HOUR_STARTS, _DAYS_UNTIL_HOUR), dtype=np.float64)


def instants_after(days: Floats) -> Floats:
    """The inverse of `average_days`."""
    weeks, rest = np.divmod(days, 7)
    return np.asarray(
        _MONDAY + weeks * _WEEK_SECONDS + np.interp(rest, _DAYS_UNTIL_HOUR, _HOUR_STARTS), dtype=np.float64
    )
