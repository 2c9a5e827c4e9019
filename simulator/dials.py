"""Every setting of the simulator, declared once; the command line and `SimulatorProcess` derive their options."""

from dataclasses import dataclass, fields
from typing import Annotated, Literal

_FLEET, _CLOCK, _RECORDS, _LIST, _ACCESS = "Fleet", "Simulated time", "Records", "List", "Access"


@dataclass(frozen=True)
class About:
    """What `--help` says about a dial, and under which heading."""

    group: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Dials:
    """How the platform behaves. Raises ValueError for a share outside [0, 1] and for a negative number."""

    seed: Annotated[int, About(_FLEET, "Seed of everything that is drawn.")] = 1
    tasks: Annotated[
        int, About(_FLEET, "Tasks that exist at the start; they reach back tasks / tasks-per-day days.")
    ] = 20_000
    since: Annotated[
        str, About(_FLEET, "Instead of --tasks: the instant since which tasks exist, however often it restarts.")
    ] = ""
    tasks_per_day: Annotated[
        float, About(_FLEET, "Tasks created on an average day (0: none; those that exist came at 2,000 a day).")
    ] = 2000.0
    median_life_hours: Annotated[float, About(_FLEET, "Median time from creation to end of a task.")] = 6.0
    devices: Annotated[float, About(_FLEET, "Mean number of devices of a task that names them (at most 256).")] = 12.0
    retries_per_day: Annotated[float, About(_FLEET, "Failed tasks that are retried on an average day.")] = 20.0
    removals_per_day: Annotated[float, About(_FLEET, "Tasks that vanish on an average day.")] = 5.0
    launch_days: Annotated[
        float, About(_FLEET, "Days from the start to the first task with the newest version (0: it was always there).")
    ] = 0.0
    insertions: Annotated[float, About(_FLEET, "Drift: mean number of tasks created between two list calls.")] = 0.0
    removals: Annotated[float, About(_FLEET, "Drift: mean number of tasks removed between two list calls.")] = 0.0
    changes: Annotated[float, About(_FLEET, "Drift: mean number of tasks that change between two list calls.")] = 0.0

    start: Annotated[
        str, About(_CLOCK, "Simulated time at the start, as 2026-03-01T12:00:00Z. Default: the real time.")
    ] = ""
    speed: Annotated[float, About(_CLOCK, "Simulated seconds per real second; 0 freezes time.")] = 1.0
    seconds_per_call: Annotated[
        float, About(_CLOCK, "Simulated seconds that each list or one-task call takes on top.")
    ] = 0.0

    quirks: Annotated[
        float, About(_RECORDS, "What real records have beyond the documents: 1 as seen in the wild, 0 none.")
    ] = 1.0
    broken: Annotated[float, About(_RECORDS, "Share of records that are broken.")] = 0.0

    order: Annotated[
        Literal["newest", "oldest", "random", "unstable"],
        About(_LIST, "Order of the list: newest or oldest first, random but stable, or new with each call."),
    ] = "newest"
    past_end: Annotated[Literal["empty", "error"], About(_LIST, "A page past the end: empty, or error 123029.")] = (
        "empty"
    )
    empty_data: Annotated[
        Literal["list", "null", "missing"],
        About(_LIST, "What `data` is where there is no record: [], null, or missing."),
    ] = "list"
    total_name: Annotated[
        Literal["totalCount", "totalSize", "string", "missing"],
        About(_LIST, "Name of the total; `string`: totalCount as text."),
    ] = "totalCount"
    last_page_no: Annotated[
        int, About(_LIST, "Highest page number that is served, above it error 123029 (-1: no limit).")
    ] = -1
    page_size_limit: Annotated[
        int, About(_LIST, "Largest page that is served; a larger page size is silently lowered.")
    ] = 100

    app_id: Annotated[str, About(_ACCESS, "Application id.")] = "simulator"
    secret: Annotated[str, About(_ACCESS, "Its secret. Default: a new one, printed at the start.")] = ""
    token_life: Annotated[float, About(_ACCESS, "Seconds that an access token lives.")] = 3600.0
    token_type: Annotated[
        str, About(_ACCESS, "tokenType as sent; seen: `Bearer`, `Bearer ` with a blank, `bearer`.")
    ] = "bearer"  # noqa: S105
    refresh_token: Annotated[
        Literal["fixed", "rotating", "null"], About(_ACCESS, "Refresh token: kept, renewed with each use, or null.")
    ] = "fixed"  # noqa: S105
    frozen: Annotated[bool, About(_ACCESS, "The application is frozen: error 100247.")] = False
    throttle: Annotated[int, About(_ACCESS, "Calls in any 60 s; one more is error 1010009 (0: no throttle).")] = 100
    throttle_logins: Annotated[bool, About(_ACCESS, "Log in and refresh count too.")] = True
    latency_ms: Annotated[float, About(_ACCESS, "Delay of every response.")] = 0.0

    def __post_init__(self) -> None:
        """Refuse what no platform could be."""
        for name in ("quirks", "broken"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)}: give a share between 0 and 1")
        for dial in fields(self):
            value = getattr(self, dial.name)
            if isinstance(value, int | float) and value < 0 and dial.name not in ("seed", "last_page_no"):
                raise ValueError(f"{dial.name} is {value}: give 0 or more")
