"""A crawl of several minutes: the platform never counts a call above the quota, and hardly one below it is left unused.

Seconds pass in virtual time only; with the same workers and latencies every run makes the same calls at the same times.
"""

import pytest

from simulator.dials import Dials
from simulator.faults import Fault, Match
from simulator.platform import Platform
from support.platforms import Site
from support.workers import Workers

QUOTA = 100


def crawl(make_site, workers, *faults, quota=QUOTA, **dials):
    """A first sync of so many pages of one task each; the platform's statistics, and the instants of its calls."""
    site: Site = make_site(tasks=3 * quota + 50, settings={"page_size": 1, "calls_per_minute": quota})
    time = site.clock = Workers(workers)
    values = {name: getattr(site.platform.dials, name) for name in Dials.__dataclass_fields__}
    site.platform = Platform(Dials(**(values | {"throttle": quota} | dials)), faults, clock=time)
    site.client = site.connect()
    instants = []
    handle = site.platform.handle

    def handle_and_note(request):
        instants.append(time())
        return handle(request)

    site.platform.handle = handle_and_note
    manifest = site.extract(workers=time)
    assert manifest.grade == "counted"
    return site.platform.statistics(), instants


def used(instants, quota=QUOTA):
    """The share of the quota that was used, in the whole minutes from the first call on."""
    minutes = int((instants[-1] - instants[0]) // 60)
    assert minutes >= 3
    return sum(instant < instants[0] + minutes * 60 for instant in instants) / (minutes * quota)


# A worker alone makes at most 60 s / latency calls a minute.
@pytest.mark.parametrize(("workers", "latency_ms"), [(1, 0), (1, 500), (4, 50), (4, 2_000)])
def test_no_call_is_above_the_quota_and_nearly_all_of_it_is_used(make_site, workers, latency_ms):
    statistics, instants = crawl(make_site, workers, latency_ms=latency_ms)
    assert (statistics["throttled"], statistics["max_calls_in_60_seconds"]) == (0, QUOTA)
    assert used(instants) >= 0.95


@pytest.mark.parametrize(("workers", "quota"), [(1, 25), (4, 133)])
def test_it_is_so_for_every_quota(make_site, workers, quota):
    statistics, instants = crawl(make_site, workers, quota=quota, latency_ms=200)
    assert (statistics["throttled"], statistics["max_calls_in_60_seconds"]) == (0, quota)
    assert used(instants, quota) >= 0.95


@pytest.mark.parametrize("workers", [1, 4])
def test_slow_calls_and_passing_faults_never_lead_above_it(make_site, workers):
    faults = [
        Fault("stall", Match(kind="list", every=7), seconds=9),
        Fault("reset", Match(kind="list", first=3, every=31)),
        Fault("http_error", Match(kind="list", first=5, every=37)),
    ]
    statistics, _ = crawl(make_site, workers, *faults, latency_ms=100)
    assert statistics["throttled"] == 0
    assert statistics["max_calls_in_60_seconds"] <= QUOTA


def test_a_crawl_with_four_workers_is_the_same_every_time(make_site):
    first, again = (crawl(make_site, 4, latency_ms=300)[1] for _ in range(2))
    assert first == again
