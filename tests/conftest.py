"""What every ring uses: no settings of the machine, few and bounded examples, warehouses and platforms that go away."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from support.platforms import Site
from support.records import Store
from support.reports import only_reports
from support.tally import TALLY

LONGEST = ("test_killed_runs.py", "test_dagster.py", "test_command_line.py")  # minutes, most of them spent waiting

settings.register_profile("repository", deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("repository")


@pytest.fixture(autouse=True)
def _no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("IODM_")]:
        monkeypatch.delenv(name)


@pytest.fixture(scope="module")
def few_reports() -> Iterator[None]:
    """Publications hold these reports alone: half the time, for tests of what is published and when.

    That all of `sql/marts` and `sql/checks` can be published, and what is in it, is tested in `tests/sql`, and wherever
    this fixture is not used.
    """
    with only_reports("snapshot", "success_by_day", "lake_months"):
        yield


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An empty warehouse whose syncs the test writes."""
    return Store(tmp_path)


@pytest.fixture
def make_site(tmp_path: Path) -> Callable[..., Site]:
    """Makes a simulated platform in process with a warehouse of its own; numbered folders, if there are several."""
    made: list[Site] = []

    def make(*faults, **dials) -> Site:
        folder = tmp_path / f"site-{len(made)}"
        folder.mkdir()
        made.append(Site(folder, faults, **dials))
        return made[-1]

    return make


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whatever the drawn order, the longest begin: nobody waits for them alone at the end."""
    items.sort(key=lambda item: item.path.name not in LONGEST)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """How often syncs were complete, where that was counted."""
    if TALLY.schedules:
        terminalreporter.section(f"grades of syncs in {TALLY.schedules:,} schedules")
        for line in TALLY.lines():
            terminalreporter.write_line(line)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """One process of several hands over what it counted."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["tally"] = TALLY.counts()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """The others take it in; a process that died has nothing to hand over."""
    TALLY.take_in(getattr(node, "workeroutput", {}).get("tally", [0]))
