"""Our sync, a bare loop, dlt and a pandas script, one after the other against one simulator; each in its own process.

`ours` is `iodm sync` into an empty warehouse: every response durable before anything is made of it, then flattened,
written as Parquet, published with marts and checks. Every round runs all four, so that a slow minute of the machine
hits all alike; ratios are between the best runs.
"""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import requests
from processes import HERE, Run, iodm, peer_python, run

from simulator.dials import Dials
from simulator.process import SimulatorProcess

CALLS_PER_MINUTE = 20_000  # more than are made, so that the quota is never what is measured


def compare(tasks: int, devices: float, rounds: int, work: Path) -> dict[str, Any]:
    """Run every contestant `rounds` times; returns what to keep, and prints a line per run."""
    contestants: dict[str, Callable[[SimulatorProcess, Path], dict[str, Any]]] = {
        "bare loop": lambda simulator, folder: _script(sys.executable, "bare_loop.py", simulator, folder),
        "ours": _ours,
        "dlt": lambda simulator, folder: _script(peer_python("dlt"), "dlt_pipeline.py", simulator, folder),
        "pandas": lambda simulator, folder: _script(peer_python("pandas"), "pandas_script.py", simulator, folder),
    }
    peer_python("dlt"), peer_python("pandas")
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in contestants}
    with SimulatorProcess(Dials(tasks=tasks, devices=devices, throttle=0, speed=0), prerender=True) as simulator:
        for _ in range(rounds):
            for name, contestant in contestants.items():
                folder = work / "contestant"
                folder.mkdir()
                cpu_before = simulator.statistics()["cpu_seconds"]
                result = contestant(simulator, folder)
                result["simulator_cpu_seconds"] = simulator.statistics()["cpu_seconds"] - cpu_before
                shutil.rmtree(folder)
                runs[name].append(result)
                _print_run(name, result)
    _check_same_rows(runs)
    return {"tasks": tasks, "runs": runs, "ratios": _print_ratios(runs)}


def _ours(simulator: SimulatorProcess, folder: Path) -> dict[str, Any]:
    settings = {"IODM_CALLS_PER_MINUTE": str(CALLS_PER_MINUTE), "IODM_WAREHOUSE": str(folder / "warehouse")}
    done = run(iodm("sync", "--json"), folder, {**simulator.settings, **settings})
    summary = json.loads(done.output)
    if summary["waited_seconds"]:
        raise RuntimeError(f"calls waited {summary['waited_seconds']} s for the quota: raise CALLS_PER_MINUTE")
    reading = sum(seconds for step, seconds in done.steps.items() if step.startswith("reading"))
    phases = {"crawl": reading, "publish": sum(done.steps.values()) - reading}
    devices = summary["rows"]["operation_targets"]
    counts = {"operations": summary["rows"]["operations"], "targets": devices, "grade": summary["grade"]}
    return {**_measured(done), "steps": phases, "log_steps": done.steps, **counts}


def _script(python: str | Path, script: str, simulator: SimulatorProcess, folder: Path) -> dict[str, Any]:
    command = [str(python), str(HERE / script), simulator.base_url, _log_in(simulator), simulator.app_id, str(folder)]
    done = run(command, folder)
    return {**_measured(done), **json.loads(done.output.splitlines()[-1])}


def _log_in(simulator: SimulatorProcess) -> str:
    form = {"appId": simulator.app_id, "secret": simulator.secret}
    answer = requests.post(f"{simulator.base_url}/iocm/app/sec/v1.1.0/login", data=form, timeout=30)
    return str(answer.json()["accessToken"])


def _measured(done: Run) -> dict[str, Any]:
    return {"seconds": done.seconds, "cpu_seconds": done.cpu_seconds, "peak_mib": done.peak_mib}


def _check_same_rows(runs: dict[str, list[dict[str, Any]]]) -> None:
    """A contestant that lands fewer tasks is not faster, it is wrong."""
    landed = {
        name: {result["operations"] for result in results if "operations" in result} for name, results in runs.items()
    }
    if len(set().union(*landed.values())) != 1:
        raise RuntimeError(f"the contestants landed different numbers of tasks: {landed}")


def _print_run(name: str, result: dict[str, Any]) -> None:
    steps = ", ".join(f"{step} {seconds:.1f}" for step, seconds in result["steps"].items())
    print(
        f"{name:<10} {result['seconds']:7.1f} s   cpu {result['cpu_seconds']:6.1f} s   peak {result['peak_mib']:6,} MiB"
        f"   simulator cpu {result['simulator_cpu_seconds']:5.1f} s   ({steps})",
        flush=True,
    )


def _print_ratios(runs: dict[str, list[dict[str, Any]]]) -> dict[str, dict[str, float]]:
    """How often the one goes into the other, between best runs and between medians."""

    def seconds(name: str, step: str | None = None) -> list[float]:
        return [result["steps"][step] if step else result["seconds"] for result in runs[name]]

    pairs = {
        "crawl / bare loop (at most 2)": (seconds("ours", "crawl"), seconds("bare loop", "fetch")),
        "dlt / ours (at least 4)": (seconds("dlt"), seconds("ours")),
        "pandas / ours (at least 2.5)": (seconds("pandas"), seconds("ours")),
    }
    ratios = {
        name: {"best": min(above) / min(below), "median": median(above) / median(below)}
        for name, (above, below) in pairs.items()
    }
    for name, ratio in ratios.items():
        print(f"{name:<32} {ratio['best']:5.2f} between best runs, {ratio['median']:5.2f} between medians")
    return ratios
