"""How fast is it, and how much memory does it take? Prints figures, and writes them to benchmarks/results/.

    python benchmarks/run.py                                  all parts, about ten minutes
    python benchmarks/run.py compare --rounds 3               against a bare loop, dlt and pandas
    python benchmarks/run.py rebuild --rebuild-tasks 4000000  peak memory where it should not grow
    python benchmarks/run.py marts                            what reports cost in an old, large warehouse
    python benchmarks/run.py dagster                          what a run in Dagster costs over `iodm sync`

Seconds depend on the machine, ratios hardly. Needs a package registry once, for the peers' environments in .peers/.
"""

import argparse
import json
import os
import platform
import tempfile
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from compare import compare
from dagster_overhead import dagster_overhead
from marts import marts
from processes import HERE
from rebuild import rebuild

PACKAGES = ("duckdb", "pyarrow", "msgspec", "requests")


def main() -> None:
    """Parse the options, run the parts, keep the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help="compare, rebuild, marts, dagster (default: all)")
    parser.add_argument("--tasks", type=int, default=100_000, help="tasks of the comparison (%(default)s)")
    parser.add_argument(
        "--rebuild-tasks", type=int, default=1_000_000, help="tasks of the rebuild and of the marts (%(default)s)"
    )
    parser.add_argument(
        "--devices", type=float, default=12.0, help="mean number of devices of a task that names them (%(default)s)"
    )
    parser.add_argument("--rounds", type=int, default=2, help="how often each program runs (%(default)s)")
    options = parser.parse_args()
    parts = options.parts or ["compare", "rebuild", "marts", "dagster"]
    if not {"compare", "rebuild", "marts", "dagster"}.issuperset(parts):
        parser.error("a part is compare, rebuild, marts or dagster")
    (HERE / "work").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=HERE / "work") as work:
        if "compare" in parts:
            keep(f"compare-{options.tasks}", compare(options.tasks, options.devices, options.rounds, Path(work)))
        if "rebuild" in parts:
            keep(
                f"rebuild-{options.rebuild_tasks}",
                rebuild(options.rebuild_tasks, options.devices, options.rounds, Path(work)),
            )
        if "dagster" in parts:
            keep(
                f"dagster-{options.tasks}", dagster_overhead(options.tasks, options.devices, options.rounds, Path(work))
            )
        if "marts" in parts:
            keep(
                f"marts-{options.rebuild_tasks}",
                marts(options.rebuild_tasks, options.devices, options.rounds, Path(work)),
            )


def keep(name: str, result: dict[str, Any]) -> None:
    """Write a result with what it was measured on."""
    machine = {
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "architecture": platform.machine(),
        "python": platform.python_version(),
        **{package: version(package) for package in PACKAGES},
    }
    file = HERE / "results" / f"{name}.json"
    file.parent.mkdir(exist_ok=True)
    content = {"measured_at": f"{datetime.now(UTC):%Y-%m-%d}", "machine": machine, **_rounded(result)}
    file.write_text(json.dumps(content, indent=2) + "\n")
    print(f"Written to benchmarks/results/{file.name}\n")


def _rounded(value: Any) -> Any:  # noqa: ANN401 - whatever JSON can hold
    """Hundredths are more than a measurement is good for."""
    if isinstance(value, float):
        return round(value, 2)
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, list) else value


if __name__ == "__main__":
    main()
