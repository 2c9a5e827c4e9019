"""What a run in Dagster costs over the commands on the same work: an incremental sync, and the report page."""

import sys
from pathlib import Path
from statistics import median
from typing import Any

from processes import HERE, Run, iodm, run

from simulator.dials import Dials
from simulator.process import SimulatorProcess

OVERHEAD_SECONDS = 5
MINUTES = 15
JOB = [
    sys.executable,
    "-m",
    "dagster",
    "job",
    "execute",
    "--module-name",
    "iodm_assets.definitions",
    "--job",
    "sync_operations",
]


def dagster_overhead(tasks: int, devices: float, rounds: int, work: Path) -> dict[str, Any]:
    """Sync by turns with the command and with Dagster's job, after the same simulated time; returns what to keep."""
    folder = work / "dagster"
    home = folder / "home"
    home.mkdir(parents=True)
    (home / "dagster.yaml").write_text((HERE.parent / "dagster.yaml").read_text())
    with SimulatorProcess(Dials(tasks=tasks, devices=devices, throttle=0, speed=0)) as simulator:
        settings = {**simulator.settings, "IODM_CALLS_PER_MINUTE": "20000", "IODM_WAREHOUSE": str(folder / "warehouse")}
        commands = [iodm("sync"), iodm("report", "--html", str(folder / "page.html"))]
        programs = {"the commands": commands, "Dagster": [JOB]}
        run(iodm("sync"), folder, settings)
        runs: dict[str, list[list[Run]]] = {name: [] for name in programs}
        for _ in range(max(3, rounds)):
            for name, processes in programs.items():
                simulator.advance(MINUTES * 60)
                environment = {**settings, "DAGSTER_HOME": str(home)}
                runs[name].append([run(command, folder, environment) for command in processes])
    seconds = {name: median(sum(done.seconds for done in each) for each in every) for name, every in runs.items()}
    overhead = seconds["Dagster"] - seconds["the commands"]
    for name, every in runs.items():
        peak = max(done.peak_mib for each in every for done in each)
        print(f"{name:12} {seconds[name]:6.1f} s   peak {peak:6,} MiB")
    print(f"overhead of a run in Dagster (at most {OVERHEAD_SECONDS} s): {overhead:.1f} s")
    return {
        "tasks": tasks,
        "seconds": seconds,
        "overhead_seconds": overhead,
        "runs": {
            name: [[{"seconds": done.seconds, "peak_mib": done.peak_mib} for done in each] for each in every]
            for name, every in runs.items()
        },
    }
