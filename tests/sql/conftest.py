"""A connection with hand-filled core tables, and one with the macros alone."""

import pytest

from support.core import Core
from support.reports import only_reports


@pytest.fixture
def core():
    made = Core()
    yield made
    made.connection.close()


@pytest.fixture(scope="session")
def macros():
    """A connection with the macros only, for everything that reads no table."""
    with only_reports():
        made = Core().marts()
    yield made
    made.connection.close()
