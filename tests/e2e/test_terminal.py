"""What somebody at a terminal sees: a bar that moves, and says what is left."""

import os
import pty
import subprocess

import pytest

from support.commands import IODM

pytestmark = pytest.mark.e2e


def test_a_sync_at_a_terminal_shows_a_bar_with_the_calls_that_are_left(tmp_path, simulator):
    simulator.set_faults([])
    ours, theirs = pty.openpty()
    settings = simulator.settings | {"IODM_CALLS_PER_MINUTE": "10000", "IODM_PAGE_SIZE": "1"}
    process = subprocess.Popen(
        [IODM, "sync"],
        cwd=tmp_path,
        env={**os.environ, **settings, "TERM": "xterm"},
        stdout=subprocess.PIPE,
        stderr=theirs,
    )
    os.close(theirs)
    shown = b""
    while True:
        try:
            shown += os.read(ours, 65536)
        except OSError:  # the other end is closed
            break
    assert process.wait(60) == 0
    assert b"reading all tasks" in shown
    assert b"calls left" in shown
    assert process.stdout is not None
    assert b"counted" in process.stdout.read()
    process.stdout.close()
    os.close(ours)
