"""The warehouse that docs/cookbook.md asks, the same on every machine and at any time, and its answers as text."""

import contextlib
import io
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pipelines.demo import demo_dials, demo_settings
from pipelines.output import show
from pipelines.progress import Silent
from pipelines.report import query
from pipelines.run import extract, refresh
from pipelines.settings import load_settings
from pipelines.warehouse import Warehouse, open_warehouse
from simulator.process import SimulatorProcess

COOKBOOK = Path(__file__).parents[2] / "docs" / "cookbook.md"
START = datetime(2026, 3, 2, 2, tzinfo=UTC)
HOURS_BEFORE_SYNCS = (0, *[2] * 12, *[1] * 12)
FULL_SYNCS = (0, 12, 24)
ENTRY = re.compile(
    r"(?<=^## )(?P<question>.+)\n\n```sql\n(?P<sql>[^`]+)```\n\n```text\n(?P<answer>[^`]*)```", re.MULTILINE
)


def sync_the_fleet(folder: Path) -> Warehouse:
    """A fleet like the demo's, but a month old, synced for a day and a half and published once.

    Simulated time stands still during a sync, so that no content depends on how long one takes.
    """
    dials = replace(demo_dials(START), tasks=12_000, tasks_per_day=400, launch_days=0, speed=0)
    with SimulatorProcess(dials) as simulator:
        plain = load_settings(warehouse=folder, memory_limit="1GB", target_success_rate=0.95)
        settings = demo_settings(plain, simulator.base_url)
        for number, hours in enumerate(HOURS_BEFORE_SYNCS):
            simulator.advance(timedelta(hours=hours).total_seconds())
            extract(settings, Silent(), is_full=number in FULL_SYNCS)
    refresh(settings, Silent())
    return open_warehouse(settings)


def committed() -> dict[str, tuple[str, str]]:
    """Each question of the cookbook with its query and its answer."""
    return {entry["question"]: (entry["sql"], entry["answer"]) for entry in ENTRY.finditer(COOKBOOK.read_text("utf-8"))}


def answer(warehouse: Warehouse, sql: str) -> str:
    """What `iodm sql` prints, without the blanks around it."""
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        show(query(warehouse, sql), "table")
    return "".join(f"{line.strip()}\n" for line in printed.getvalue().splitlines() if line.strip())


def write_answers(warehouse: Warehouse) -> None:
    """Put the answers of this warehouse into the cookbook."""

    def with_answer(entry: re.Match[str]) -> str:
        return entry[0].replace(f"```text\n{entry['answer']}```", f"```text\n{answer(warehouse, entry['sql'])}```")

    COOKBOOK.write_text(ENTRY.sub(with_answer, COOKBOOK.read_text("utf-8")), "utf-8")
