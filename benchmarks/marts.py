"""What the reports cost: making all of them, asking them, and an incremental sync of a warehouse that is old and large.

And what the commands cost that look at all of it: the page, an explained rate, abort rules tried on the past.

The warehouse is a full sync of the simulator, to which a life is added: a sync every 15 minutes since its first task,
each task met in up to eight states. A real history of that size would take years to collect.
"""

import time
from concurrent.futures import ProcessPoolExecutor
from datetime import timedelta
from multiprocessing import get_context
from pathlib import Path
from statistics import mean
from typing import Any

import duckdb
from processes import Run, iodm, run

from pipelines.models import load
from pipelines.report import device_history, rows_of
from pipelines.sql_text import scalar
from pipelines.warehouse import Warehouse
from simulator.dials import Dials
from simulator.process import SimulatorProcess

MARTS_SECONDS, QUERY_SECONDS = 20, 0.1
WINDOW = timedelta(days=90)
COMMANDS = {
    "report --html": ("report", "--html", "page.html"),
    "explain all tasks": ("explain", "--mart", "success_overall"),
    "backtest by version": ("backtest",),
    "backtest by task": ("backtest", "--by", "task"),
}
# A row per task or more: asking for all of them measures the terminal.
OF_TASKS = ("operation_outcomes", "outcomes_at_age", "progress_curves")

# Numbers of the added syncs lie below that of the real one, so that what comes later is applied after all of them.
_LIFE = """
create temp table tasks as
    select operations.operation_id, operations.status, operations.created_at,
        coalesce(operations.stopped_at, (select max(finished_at) from core.syncs)) as until_at,
        results.total, results.success, results.fail, results.timeout
    from core.operations as operations
    inner join core.operation_results as results using (operation_id);
create temp table looks as
    with moments as (
        select unnest(generate_series(
            (select time_bucket(interval 15 minute, min(created_at)) from tasks),
            (select max(started_at) - interval 1 minute from core.syncs), interval 15 minute)) as started_at
    )
    select 1 - row_number() over (order by started_at desc) as sync_id, started_at from moments;
insert into core.syncs by name
    select sync_id, if(sync_id % 96 = 0, 'full', 'incremental') as mode, 'counted' as grade, started_at,
        started_at + interval 20 second as finished_at, 20 as api_calls, 20 as pages, 100 as records,
        20 as operations_new, 60 as operations_changed, 1000 as total_after, 0 as quarantined,
        [] as _undocumented_fields
    from looks;
insert into core.operation_history by name
    with steps as (select *, unnest(range(0, 8)) / 7.0 as share from tasks),
    seen as (
        select *, time_bucket(interval 15 minute, created_at + (until_at - created_at) * share) + interval 15 minute
            as started_at from steps
        qualify row_number() over (partition by operation_id, started_at order by share desc) = 1
    )
    select operation_id, started_at + interval 5 second as observed_at, sync_id,
        if(share < 1, 'processing', status) as status, total, total - (success * share)::bigint
        - (fail * share)::bigint - (timeout * share)::bigint as wait, 0 as processing,
        (success * share)::bigint as success, (fail * share)::bigint as fail, 0 as stop,
        (timeout * share)::bigint as timeout
    from seen inner join looks using (started_at);
update core.operations set _first_observed_at = first_observed_at
    from (select operation_id, min(observed_at) as first_observed_at from core.operation_history group by all) as met
    where met.operation_id = operations.operation_id and met.first_observed_at < _first_observed_at;
"""


def marts(tasks: int, devices: float, rounds: int, work: Path) -> dict[str, Any]:
    """Make an old warehouse, sync it `rounds` times, ask it for each report; returns what to keep."""
    folder = work / "marts"
    folder.mkdir()
    warehouse = Warehouse(folder / "warehouse")
    settings = {"IODM_CALLS_PER_MINUTE": "20000", "IODM_WAREHOUSE": str(warehouse.root)}
    with SimulatorProcess(Dials(tasks=tasks, devices=devices, throttle=0, speed=0)) as simulator:
        environment = {**simulator.settings, **settings}
        first = run(iodm("sync"), folder, environment)
        print(f"first sync of {tasks:,} tasks: {first.seconds:.0f} s, peak {first.peak_mib:,} MiB", flush=True)
        with ProcessPoolExecutor(1, get_context("spawn")) as aside:  # a child's peak memory begins with its parent's
            sizes = aside.submit(add_a_life, warehouse).result()
        print(", ".join(f"{table} {rows:,}" for table, rows in sizes.items()), flush=True)
        run(iodm("sync"), folder, environment)  # writes the added life to the lake, once
        kept = rows_of_history(warehouse)
        if kept < sizes["operation_history"]:
            raise RuntimeError(f"of {sizes['operation_history']:,} states only {kept:,} came through the lake")
        syncs = []
        for _ in range(rounds):
            simulator.advance(timedelta(minutes=15).total_seconds())
            syncs.append(run(iodm("sync"), folder, environment))
            print(f"incremental sync: {_steps(syncs[-1])}", flush=True)
    commands = {name: run(iodm(*arguments), folder, settings) for name, arguments in COMMANDS.items()}
    for name, done in commands.items():
        print(f"{name:34} {done.seconds:7.1f} s    peak {done.peak_mib:,} MiB", flush=True)
    queries = ask(warehouse)
    making = mean(done.steps["making the marts"] for done in syncs)
    print(f"all marts (at most {MARTS_SECONDS} s): {making:.1f} s; peak {max(done.peak_mib for done in syncs):,} MiB")
    return {
        "tasks": tasks,
        "rows": sizes,
        "first_sync_seconds": first.seconds,
        "making_the_marts_seconds": making,
        "incremental_syncs": [
            {"seconds": done.seconds, "peak_mib": done.peak_mib, "log_steps": done.steps} for done in syncs
        ],
        "query_milliseconds": queries,
        "commands": {name: {"seconds": done.seconds, "peak_mib": done.peak_mib} for name, done in commands.items()},
    }


def add_a_life(warehouse: Warehouse) -> dict[str, int]:
    """Give the served file the history of a warehouse that was synced all the time; returns its rows by table."""
    file = warehouse.served_file()
    file.chmod(0o644)
    with duckdb.connect(str(file)) as connection:
        connection.execute("set preserve_insertion_order = false")
        for statement in _LIFE.strip().split(";\n"):
            connection.execute(statement)
        tables = [
            name
            for (name,) in connection.execute(
                "select table_name from duckdb_tables() where schema_name = 'core'"
            ).fetchall()
        ]
        sizes = {
            name: connection.execute(f"select count(*) from core.{name}").fetchall()[0][0] for name in sorted(tables)
        }
    file.chmod(0o444)
    for written in warehouse.lake.glob("**/*.parquet"):  # without the life; what is missing is written from the file
        written.unlink()
    return sizes


def rows_of_history(warehouse: Warehouse) -> int:
    """How many states the served file has."""
    with duckdb.connect(str(warehouse.served_file()), read_only=True) as connection:
        return int(scalar(connection, "select count(*) from core.operation_history"))


def ask(warehouse: Warehouse) -> dict[str, dict[str, float]]:
    """Milliseconds of each report, the best of three, opening the file included: all tasks, and those of a window."""
    with duckdb.connect(str(warehouse.served_file()), read_only=True) as connection:
        device = scalar(connection, "select max(target_id) from core.operation_targets where target_type = 'device'")
    history = _milliseconds(lambda: device_history(warehouse, device))
    print(f"{'device_history':34} {history:7.0f} ms{' *' if history > 1000 * QUERY_SECONDS else ''}")
    since = rows_of(warehouse, "success_by_day", every_column=True).rows[-1][0] - WINDOW
    found = {"device_history": {"all": history}}
    for name, model in load("marts").items():
        if not model.has_window or name in OF_TASKS:
            continue
        found[name] = {
            "all": _milliseconds(lambda name=name: rows_of(warehouse, name, every_column=True)),
            "window": _milliseconds(lambda name=name: rows_of(warehouse, name, since, every_column=True)),
        }
        is_slow = max(found[name].values()) > 1000 * QUERY_SECONDS
        print(
            f"{name:34} {found[name]['all']:7.0f} ms   90 days {found[name]['window']:7.0f} ms{' *' if is_slow else ''}"
        )
    return found


def _milliseconds(question: Any) -> float:  # noqa: ANN401 - any function without arguments
    seconds = []
    for _ in range(3):
        started = time.perf_counter()
        question()
        seconds.append(time.perf_counter() - started)
    return 1000 * min(seconds)


def _steps(done: Run) -> str:
    steps = ", ".join(f"{step} {seconds:.1f}" for step, seconds in done.steps.items())
    return f"{done.seconds:.1f} s, peak {done.peak_mib:,} MiB ({steps})"
