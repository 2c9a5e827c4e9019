"""Simulated fleets with known true rates: the outcomes of their tasks, put where all reports begin."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from support.core import Core

Counts = np.ndarray
EVEN, VARIED, LONG_TAIL = "even", "varied", "long tail"


@dataclass(frozen=True)
class Outcomes:
    """A task's fleet, group, devices that succeeded and devices that finished, as columns."""

    fleet: Counts
    group: Counts
    success: Counts
    finished: Counts


def task_sizes(chance: np.random.Generator, kind: str, tasks: int) -> Counts:
    """Devices of tasks: 15 each; about 11, nearly all 4 to 27; or about 13, with a long tail: one in 100 above 80."""
    if kind == EVEN:
        return np.full(tasks, 15)
    median, spread = (10, 0.5) if kind == VARIED else (8, 1.0)
    return np.maximum(1, np.rint(chance.lognormal(np.log(median), spread, tasks))).astype(int)


def draw(
    chance: np.random.Generator,
    rates: Counts,
    tasks: Counts,
    *,
    correlation: float = 0.0,
    sizes: str = LONG_TAIL,
) -> Outcomes:
    """Outcomes of fleets x groups with these true rates and numbers of tasks (both of that shape).

    Each task draws its own rate from a beta distribution, so that two devices of a task have this correlation.
    """
    fleets, groups = rates.shape
    row = np.repeat(np.arange(fleets * groups), tasks.ravel())
    finished = task_sizes(chance, sizes, len(row))
    rate = rates.ravel()[row]
    if correlation:
        weight = (1 - correlation) / correlation
        rate = chance.beta(rate * weight, (1 - rate) * weight)
    return Outcomes(row // groups, row % groups, chance.binomial(finished, rate), finished)


def varied_tasks(chance: np.random.Generator, shape: tuple[int, int], fewest: int, most: int) -> Counts:
    """Numbers of tasks, evenly spread on the logarithmic scale: many groups are small, a few large."""
    spread = np.exp(chance.uniform(np.log(fewest), np.log(most + 1), shape))
    return np.clip(spread.astype(int), fewest, most)


def differing_rates(chance: np.random.Generator, shape: tuple[int, int], rate: float, between: float) -> Counts:
    """True rates around a common one, with this standard deviation on the arcsine scale."""
    angles = np.arcsin(np.sqrt(rate)) + between * chance.standard_normal(shape)
    return np.sin(np.clip(angles, 0.02, np.pi / 2 - 0.02)) ** 2


def observe(core: Core, outcomes: Outcomes) -> Core:
    """Put these in the place of all tasks: a fleet is an operation type, a group is a model, all of one version."""
    core.connection.register(
        "drawn",
        pa.table({name: getattr(outcomes, name) for name in ("fleet", "group", "success", "finished")}),
    )
    core.connection.execute("truncate marts.operation_outcomes")
    core.connection.execute(
        """insert into marts.operation_outcomes by name
        select fleet::varchar as operation_type, "group"::varchar as model, 'Acme' as manufacturer_name,
            'WaterMeter' as device_type, 'V1.0' as file_version, timestamp '2026-03-01' as created_at,
            finished as total, 0 as wait, 0 as processing, success, finished - success as fail, 0 as stop, 0 as timeout,
            finished
        from drawn"""
    )
    core.connection.unregister("drawn")
    return core


def funnel(core: Core) -> dict[str, Counts]:
    """The columns of the funnel of what is observed; `fleet` and `group` as numbers."""
    return core.connection.execute(
        """select operation_type::integer as fleet, model::integer as "group", *
        from marts.success_funnel_between(null, null)"""
    ).fetchnumpy()


def hotspots(core: Core) -> set[tuple[int, int]]:
    """Fleet and group of every hotspot of what is observed."""
    return set(
        core.connection.execute(
            "select operation_type::integer, model::integer from marts.failure_hotspots_between(null, null)"
        ).fetchall()
    )


def covering(core: Core, rate: float) -> dict[str, float]:
    """Shares of the groups observed whose intervals hold this true rate: of each interval, and above and below each."""
    # A fleet and a group is a model here: `success_by_model` knows no operation type.
    core.connection.execute("update marts.operation_outcomes set model = operation_type || ' ' || model")
    (row,) = core.rows(
        """select count(*) as groups,
            avg((success_rate_lower <= $rate and $rate <= success_rate_upper)::integer) as wilson,
            avg((clustered_lower <= $rate and $rate <= clustered_upper)::integer) as clustered,
            avg((clustered_lower > $rate)::integer) as clustered_too_high,
            avg((clustered_upper < $rate)::integer) as clustered_too_low,
            avg(success_rate_upper - success_rate_lower) as wilson_width,
            avg(clustered_upper - clustered_lower) as clustered_width
        from marts.success_by_model_between(null, null)""",
        {"rate": rate},
    )
    return row
