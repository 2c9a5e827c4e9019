"""What every ring uses: no settings of the machine, few and bounded examples, warehouses and platforms that go away."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from support.platforms import Site
from support.records import Store

settings.register_profile("repository", deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("repository")


@pytest.fixture(autouse=True)
def _no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("IODM_")]:
        monkeypatch.delenv(name)


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
