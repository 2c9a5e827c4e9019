"""Helpers of the tests: raw syncs from JSON records, platforms in process, commands as real processes."""

import pytest

pytest.register_assert_rewrite("support.schedules", "support.interruptions")  # their assertions tell what they compared
