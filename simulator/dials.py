"""Every setting of the simulator, declared once. The command line and `SimulatorProcess` derive their options from here."""

from dataclasses import dataclass, field
from typing import Any, Literal

Order = Literal["newest", "oldest", "random", "unstable"]


def _dial(default: Any, text: str, group: str) -> Any:
    """A field with its help text and the heading under which `--help` shows it."""
    return field(default=default, metadata={"help": text, "group": group})


_FLEET, _CLOCK, _RECORDS, _LIST, _ACCESS = "Fleet", "Simulated time", "Records", "List", "Access"


@dataclass(frozen=True, kw_only=True)
class Dials:
    """How the platform behaves. Shares are between 0 and 1."""

    seed: int = _dial(1, "Seed of everything that is drawn.", _FLEET)
    tasks: int = _dial(20_000, "Tasks that exist at the start; they reach back tasks/tasks-per-day days.", _FLEET)
    tasks_per_day: float = _dial(
        2000.0, "Tasks created on an average day (0: none, and those there are 2,000 a day).", _FLEET
    )
    median_life_hours: float = _dial(6.0, "Median time from creation to end of a task.", _FLEET)
    devices: float = _dial(12.0, "Mean number of devices of a task that names its devices (at most 256).", _FLEET)
    retries_per_day: float = _dial(20.0, "Failed tasks that are retried on an average day.", _FLEET)
    removals_per_day: float = _dial(5.0, "Tasks that vanish on an average day.", _FLEET)
    insertions: float = _dial(0.0, "Drift: mean number of tasks created between two list calls.", _FLEET)
    removals: float = _dial(0.0, "Drift: mean number of tasks removed between two list calls.", _FLEET)
    changes: float = _dial(0.0, "Drift: mean number of tasks that change between two list calls.", _FLEET)

    start: str = _dial("", "Simulated time at the start, as 2026-03-01T12:00:00Z. Default: the real time.", _CLOCK)
    speed: float = _dial(1.0, "Simulated seconds per real second; 0 freezes time.", _CLOCK)
    seconds_per_call: float = _dial(0.0, "Simulated seconds that each list or one-task call takes on top.", _CLOCK)

    quirks: float = _dial(1.0, "What real records have beyond the documents: 1 as seen in the wild, 0 none.", _RECORDS)
    broken: float = _dial(0.0, "Share of records that are broken.", _RECORDS)

    order: Order = _dial(
        "newest", "Order of the list: newest or oldest first, random but stable, or new with each call.", _LIST
    )
    past_end: Literal["empty", "error"] = _dial("empty", "A page past the end: empty, or error 123029.", _LIST)
    empty_data: Literal["list", "null", "missing"] = _dial("list", "What `data` is when there is none.", _LIST)
    total_name: Literal["totalCount", "totalSize", "string", "missing"] = _dial(
        "totalCount", "Name of the total; `string`: totalCount as text.", _LIST
    )
    last_page_no: int = _dial(-1, "Highest page number that is served, above it error 123029 (-1: no limit).", _LIST)
    page_size_limit: int = _dial(100, "Largest page served; a larger page size is silently replaced.", _LIST)

    app_id: str = _dial("simulator", "Application id.", _ACCESS)
    secret: str = _dial("", "Its secret. Default: a new one, printed at the start.", _ACCESS)
    token_life: float = _dial(3600.0, "Seconds that an access token lives.", _ACCESS)
    token_type: str = _dial("bearer", "tokenType as sent; seen: `Bearer`, `Bearer ` with a blank, `bearer`.", _ACCESS)
    refresh_token: Literal["fixed", "rotating", "null"] = _dial(
        "fixed", "Refresh token: kept, renewed with each use, or null.", _ACCESS
    )
    frozen: bool = _dial(default=False, text="The application is frozen: error 100247.", group=_ACCESS)
    throttle: int = _dial(100, "Calls in any 60 s; one more is error 1010009 (0: no throttle).", _ACCESS)
    throttle_logins: bool = _dial(default=True, text="Log in and refresh count too.", group=_ACCESS)
    latency_ms: float = _dial(0.0, "Delay of every response.", _ACCESS)
