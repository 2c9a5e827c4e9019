"""How often are the intervals and the hotspots right? Simulated fleets with known true rates, judged by the SQL itself.

    python benchmarks/coverage.py                   1,000 fleets each, three minutes; fewer tell too little
    python benchmarks/coverage.py --fleets 10000    smaller errors of simulation

Prints shares, and writes them to benchmarks/results/coverage.json; docs/metrics.md shows them. Ends with 1 if the
Wilson interval of independent devices holds the true rate in fewer than 93 % or more than 97 % of a setting's fleets,
or if more than 0.2 % of the comparisons of a setting without a worse version are hotspots.
"""

import argparse
import itertools
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
from processes import HERE
from run import keep

sys.path.insert(0, str(HERE.parent / "tests"))  # the fleets of tests/sql/test_coverage.py, only more of them

from support.core import Core
from support.fleets import (
    EVEN,
    LONG_TAIL,
    VARIED,
    covering,
    differing_rates,
    draw,
    hotspots,
    observe,
    varied_tasks,
)

SEED = 20261123
TASKS = (5, 10, 30, 100)
RATES = (0.5, 0.8, 0.95)
CORRELATIONS = (0.0, 0.02, 0.05, 0.1, 0.2)
HOLDS = (0.93, 0.97)
MOST_FALSE_ALARMS = 0.002
PEERS = (5, 10, 30, 100)
TASKS_OF_PEERS = ((3, 10), (3, 50), (10, 100))
HIGH_RATES = (0.8, 0.95)
CLUSTERS = (0.0, 0.05, 0.2)
BETWEEN = (0.0, 0.03)  # standard deviation on the arcsine scale: 2.4 points at a rate of 80 %, 1.3 at 95 %
WORSE = 0.1
TASKS_OF_THE_WORSE = (10, 30, 100)


def main() -> None:
    """Parse the options, run all settings, keep the result; exit with 1 where a promise is broken."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fleets", type=int, default=1000, help="fleets of each setting (%(default)s)")
    options = parser.parse_args()
    core = Core().sync(1).marts()
    core.connection.execute("set threads = 1")
    chance = np.random.default_rng(SEED)
    intervals = list(interval_settings(core, chance, options.fleets))
    show_intervals(intervals)
    alarms, found = (list(part(core, chance, options.fleets)) for part in (false_alarms, power))
    show_hotspots(alarms, found)
    result = {"intervals": intervals, "false_alarms": alarms, "power": found}
    keep("coverage", {"fleets": options.fleets, "seed": SEED, **result})
    if broken := broken_promises(intervals, alarms):
        sys.exit("\n".join(broken))


def interval_settings(core: Core, chance: np.random.Generator, fleets: int) -> Iterator[dict[str, Any]]:
    """Share of the fleets whose true rate lies in each interval, in percent."""
    for sizes, correlation, rate, tasks in itertools.product((EVEN, VARIED, LONG_TAIL), CORRELATIONS, RATES, TASKS):
        shape = (fleets, 1)
        drawn = draw(chance, np.full(shape, rate), np.full(shape, tasks), correlation=correlation, sizes=sizes)
        found = covering(observe(core, drawn), rate)
        shares = {
            name: 100 * found[name] for name in ("wilson", "clustered", "clustered_too_high", "clustered_too_low")
        }
        widths = {name: 100 * found[name] for name in ("wilson_width", "clustered_width")}
        yield {"sizes": sizes, "correlation": correlation, "rate": rate, "tasks": tasks, **shares, **widths}


def false_alarms(core: Core, chance: np.random.Generator, fleets: int) -> Iterator[dict[str, Any]]:
    """Hotspots in percent of the comparisons, where no version is worse than its peers usually are."""
    settings = itertools.product(PEERS, TASKS_OF_PEERS, HIGH_RATES, CLUSTERS, BETWEEN)
    for peers, (fewest, most), rate, correlation, between in settings:
        shape = (max(fleets, 30 * fleets // peers), peers)  # as many comparisons where peers are few
        tasks, rates = varied_tasks(chance, shape, fewest, most), differing_rates(chance, shape, rate, between)
        observe(core, draw(chance, rates, tasks, correlation=correlation))
        compared = core.value("(select count(*) from marts.success_funnel_between(null, null))")
        yield {
            "peers": peers,
            "tasks": f"{fewest} to {most}",
            "rate": rate,
            "correlation": correlation,
            "between": between,
            "comparisons": compared,
            "false_alarms": 100 * len(hotspots(core)) / compared,
        }


def power(core: Core, chance: np.random.Generator, fleets: int) -> Iterator[dict[str, Any]]:
    """Percent of the fleets whose one version that is 10 points worse is a hotspot; its peers have 10 to 100 tasks."""
    settings = itertools.product((10, 30), HIGH_RATES, CLUSTERS, BETWEEN, TASKS_OF_THE_WORSE)
    for peers, rate, correlation, between, tasks_of_the_worse in settings:
        shape = (fleets, peers)
        tasks, rates = varied_tasks(chance, shape, 10, 100), differing_rates(chance, shape, rate, between)
        tasks[:, 0], rates[:, 0] = tasks_of_the_worse, rate - WORSE
        found = hotspots(observe(core, draw(chance, rates, tasks, correlation=correlation)))
        yield {
            "peers": peers,
            "rate": rate,
            "correlation": correlation,
            "between": between,
            "tasks_of_the_worse": tasks_of_the_worse,
            "found": 100 * sum(group == 0 for _, group in found) / fleets,
            "others_beside_it": 100 * sum(group > 0 for _, group in found) / (fleets * (peers - 1)),
        }


def broken_promises(intervals: list[dict[str, Any]], alarms: list[dict[str, Any]]) -> list[str]:
    """What docs/metrics.md says and these fleets deny."""
    low, high = (100 * share for share in HOLDS)
    # Few devices have so few possible rates that the share of any interval moves in steps.
    independent = [each for each in intervals if not each["correlation"] and each["tasks"] >= 10]
    return [
        *(f"Wilson does not hold: {each}" for each in independent if not low <= each["wilson"] <= high),
        *(f"Too many hotspots: {each}" for each in alarms if each["false_alarms"] > 100 * MOST_FALSE_ALARMS),
    ]


def show_intervals(intervals: list[dict[str, Any]]) -> None:
    """A line a setting: coverage of Wilson and clustered, side by side for each number of tasks."""
    print("Share of 95 % intervals that hold the true rate, Wilson / clustered")
    print(f"{'task sizes':<10} {'correlation':>11} {'rate':>5}  " + "  ".join(f"{n:>7} tasks" for n in TASKS))
    key = ("sizes", "correlation", "rate")
    for (sizes, correlation, rate), rows in itertools.groupby(intervals, lambda row: tuple(row[name] for name in key)):
        cells = "  ".join(f"{row['wilson']:5.1f} / {row['clustered']:5.1f}" for row in rows)
        print(f"{sizes:<10} {correlation:>11} {rate:>5}  {cells}")


def show_hotspots(alarms: list[dict[str, Any]], found: list[dict[str, Any]]) -> None:
    """A line a setting: false alarms, then power."""
    print("Hotspots in percent of the comparisons where no version is worse")
    for row in alarms:
        share, compared = row["false_alarms"], row["comparisons"]
        print(f"{row['peers']:>3} peers, {row['tasks']:>9} tasks, {nature(row)}: {share:.3f} of {compared:,}")
    print("Fleets in percent in which the one version that is 10 points worse is a hotspot")
    for row in found:
        tasks = f"{row['tasks_of_the_worse']:>3} tasks"
        print(f"{row['peers']:>3} peers, {tasks}, {nature(row)}: {row['found']:5.1f}")


def nature(row: dict[str, Any]) -> str:
    """What the fleets of a setting are like."""
    return f"rate {row['rate']:<4}, correlation {row['correlation']:<4}, between {row['between']:<4}"


if __name__ == "__main__":
    main()
