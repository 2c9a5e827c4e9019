"""A rollback as an operator does it, with real processes."""

import json

import pytest

pytestmark = pytest.mark.e2e


def test_a_rollback_holds_publishing_says_so_everywhere_and_a_release_ends_it(iodm):
    assert "iodm sync" in iodm.fails(4, "rollback")
    iodm.ok("sync")
    assert "older" in iodm.fails(4, "rollback")
    iodm.ok("sync")
    assert "iodm rollback --release" in iodm.ok("rollback")

    done = iodm.run("sync", "--json")
    assert done.returncode == 0
    summary = json.loads(done.stdout)
    assert (summary["sync_id"], summary["publication"]) == (3, None)
    assert (summary["held"]["from_publication"], summary["held"]["to_publication"]) == (2, 1)
    warning = done.stderr.rstrip().splitlines()[-1]
    assert warning == summary["held"]["message"] + "."
    assert warning.startswith("HELD since")
    assert "publication 1 is served" in warning
    assert "iodm rollback --release" in warning
    done = iodm.run("sync")
    assert (done.returncode, "HELD" in done.stderr) == (0, True)
    assert "Nothing was published" in done.stdout

    for command in (["rebuild"], ["prune", "--keep-days", "0", "--yes"]):
        assert "iodm rollback --release" in iodm.fails(4, *command)
    assert iodm.ok("status").startswith("HELD")
    assert iodm.ok("report").startswith("HELD")
    status = json.loads(iodm.ok("status", "--json"))
    assert (status["held"]["to_publication"], status["snapshot"]["publication"]) == (1, 1)

    assert "number 3" in iodm.ok("rollback", "--release")
    status = json.loads(iodm.ok("status", "--json"))
    assert (status["held"], status["snapshot"]["publication"], status["snapshot"]["sync_id"]) == (None, 3, 4)
    assert "HELD" not in iodm.ok("report")
    assert json.loads(iodm.ok("sync", "--json"))["held"] is None
    assert "not held" in iodm.fails(4, "rollback", "--release")
