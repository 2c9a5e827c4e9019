"""Where output goes: a bar that moves at a terminal, pipes that close, full disks, terminals without UTF-8."""

import os
import pty
import subprocess
from pathlib import Path

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


@pytest.mark.parametrize(
    "command", [["report"], ["status", "--json"], ["sql", "from core.operations", "--format", "csv"]]
)
def test_a_reader_that_has_had_enough_is_no_error(synced, command):
    process = synced.start(*command)
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait(60) == 141, "as a shell says of a program whose reader left"
    process.stderr.close()


@pytest.mark.parametrize("output_format", ["table", "csv", "json"])
def test_output_that_finds_no_room_is_an_error_of_storage(synced, output_format):
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [IODM, "report", "--format", output_format],
            env=synced.environment(),
            cwd=synced.folder,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 4
    assert done.stderr == (
        "Error: can't write what this prints: No space left on device. "
        "Free some space, then run it again: nothing is lost.\n"
    )


def test_a_terminal_without_utf_8_shows_what_it_can(synced):
    query = "select '水表' as device_type"
    for output_format in ("csv", "table"):
        assert r"\u6c34\u8868" in synced.ok("sql", query, "--format", output_format, PYTHONIOENCODING="latin-1")
