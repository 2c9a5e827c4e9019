"""`iodm rebuild` alone: a raw store, crawled from the simulator beforehand, made into a warehouse again."""

import json
import sys
from pathlib import Path
from typing import Any

from processes import HERE, iodm, run

from simulator.dials import Dials
from simulator.process import SimulatorProcess

CALLS_PER_MINUTE = 20_000
PEAK_MIB = 1536


def rebuild(tasks: int, devices: float, rounds: int, work: Path) -> dict[str, Any]:
    """Fill a raw store, rebuild it `rounds` times; returns what to keep, and prints a line per run."""
    folder = work / "rebuild"
    folder.mkdir()
    settings = {"IODM_CALLS_PER_MINUTE": str(CALLS_PER_MINUTE), "IODM_WAREHOUSE": str(folder / "warehouse")}
    with SimulatorProcess(Dials(tasks=tasks, devices=devices, throttle=0, speed=0)) as simulator:
        crawl = run([sys.executable, HERE / "crawl.py"], folder, {**simulator.settings, **settings})
        raw_bytes = sum(file.stat().st_size for file in (folder / "warehouse" / "raw").rglob("*") if file.is_file())
        print(
            f"raw store of {tasks:,} tasks: {crawl.seconds:.0f} s, "
            f"peak {crawl.peak_mib:,} MiB, {raw_bytes / 1e6:,.0f} MB on disk",
            flush=True,
        )
    runs = []
    for _ in range(rounds):
        done = run(iodm("rebuild"), folder, settings)
        apart = sum(seconds for step, seconds in done.steps.items() if "marts" in step or "check" in step)
        without_marts = sum(done.steps.values()) - apart
        runs.append(
            {
                "seconds": done.seconds,
                "cpu_seconds": done.cpu_seconds,
                "peak_mib": done.peak_mib,
                "log_steps": done.steps,
                "tasks_per_second": tasks / without_marts,
            }
        )
        steps = ", ".join(f"{step} {seconds:.1f}" for step, seconds in done.steps.items())
        needed = f"cpu {done.cpu_seconds:6.1f} s   peak {done.peak_mib:6,} MiB"
        print(f"rebuild    {done.seconds:7.1f} s   {needed}   ({steps})", flush=True)
    targets = run(
        iodm("sql", "select count(*) as targets from core.operation_targets", "--format", "json"), folder, settings
    )
    best = max(result["tasks_per_second"] for result in runs)
    peak = max(result["peak_mib"] for result in runs)
    scope = "apart" if apart else "included, because no log line tells them apart"
    print(f"tasks per second, marts and checks {scope} (at least 30,000): {best:,.0f}")
    print(f"peak memory (at most {PEAK_MIB:,}): {peak:,} MiB")
    return {
        "tasks": tasks,
        "targets": json.loads(targets.output)[0]["targets"],
        "crawl": {"seconds": crawl.seconds, "peak_mib": crawl.peak_mib},
        "raw_bytes": raw_bytes,
        "runs": runs,
    }
