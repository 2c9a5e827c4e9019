"""The quota: never more than N calls touch any 60 s, and hardly fewer when there is work. No real second passes."""

import random
import tempfile
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.platform.quota import Quota
from support.clock import Clock, VirtualTime


@pytest.fixture
def file(tmp_path):
    return tmp_path / "calls.bin"


def most_in_any_minute(intervals):
    """Calls that the platform could count in one half-open window of 60 s: it sees a call at any moment of its way."""
    return max(sum(sent < end + 60 and answered >= end for sent, answered in intervals) for _, end in intervals)


def work(quota, time, workers, calls_each, seconds):
    """Let workers make calls that take `seconds()` each; returns when each was sent and answered."""
    intervals = []

    def worker():
        for _ in range(calls_each):
            with quota.slot():
                sent = time()
                time.sleep(seconds())
                intervals.append((sent, time()))
        time.leave()

    threads = [threading.Thread(target=worker) for _ in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return intervals


@given(st.integers(0, 2**32), st.integers(1, 6), st.integers(0, 12), st.sampled_from([0.001, 1.0, 20.0, 90.0]))
def test_no_minute_holds_more_calls_than_the_quota_however_long_calls_take(seed, workers, more, longest):
    chance = random.Random(seed)
    quota_size = workers + more
    with tempfile.TemporaryDirectory() as folder:
        time = VirtualTime(workers)
        quota = Quota(quota_size, Path(folder) / "calls.bin", clock=time, sleep=time.sleep)
        intervals = work(quota, time, workers, 15, lambda: chance.random() * longest)
    assert most_in_any_minute(intervals) <= quota_size
    assert quota.calls == len(intervals) == workers * 15


@pytest.mark.parametrize("workers", [1, 4])
def test_quick_calls_use_the_whole_quota(file, workers):
    time = VirtualTime(workers)
    quota = Quota(100, file, clock=time, sleep=time.sleep)
    began = time()
    intervals = work(quota, time, workers, 600 // workers, lambda: 0.05)
    in_five_minutes = sum(sent < began + 300 for sent, _ in intervals)
    assert in_five_minutes >= 0.95 * 500
    assert most_in_any_minute(intervals) <= 100


def test_more_workers_than_slots_wait_for_one(file):
    clock = Clock()
    quota = Quota(1, file, clock=clock, sleep=clock.sleep)
    in_flight, most = [0], [0]

    def worker():
        for _ in range(5):
            with quota.slot():
                in_flight[0] += 1
                most[0] = max(most[0], in_flight[0])
                in_flight[0] -= 1

    threads = [threading.Thread(target=worker) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert (most[0], quota.calls) == (1, 15)
    assert clock() >= 1000 + 14 * 60


@given(st.integers(0, 2**32), st.integers(1, 8), st.integers(1, 8))
def test_a_second_run_on_the_same_file_goes_on_where_the_first_ended_or_was_killed(seed, quota_size, later_size):
    chance = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        clock, intervals = Clock(), []
        file = Path(folder) / "calls.bin"
        size = quota_size
        for _ in range(4):
            quota = Quota(size, file, clock=clock, sleep=clock.sleep)
            run_intervals = []
            for _ in range(chance.randint(0, 12)):
                with quota.slot():
                    sent = clock()
                    clock.advance(chance.choice([0, 0.5, 10, 70]))
                run_intervals.append((sent, clock()))
            if chance.random() < 0.5:  # killed with calls under way
                for _ in range(chance.randint(0, size)):
                    quota._take()
                    run_intervals.append((clock(), clock()))
            intervals += [(sent, answered, size) for sent, answered in run_intervals]
            clock.advance(chance.choice([0, 1, 30, 61]))
            size = chance.choice([quota_size, later_size])
    for sent, _, allowed in intervals:  # whenever one was sent, the minute before it held no more than was allowed then
        before = sum(s <= sent and a > sent - 60 for s, a, _ in intervals) - sum(s == sent for s, _, _ in intervals)
        assert before < max(allowed, quota_size, later_size)
    plain = [(sent, answered) for sent, answered, _ in intervals]
    if plain:
        assert most_in_any_minute(plain) <= max(quota_size, later_size)


def test_calls_of_the_last_minute_count_in_the_next_run(file):
    clock = Clock()
    first = Quota(3, file, clock=clock, sleep=clock.sleep)
    for _ in range(3):
        with first.slot():
            pass
    clock.advance(10)
    second = Quota(3, file, clock=clock, sleep=clock.sleep)
    with second.slot():
        assert clock() == pytest.approx(1060)
    assert second.waited_seconds == pytest.approx(50)


def test_slots_of_an_earlier_boot_hold_nobody_up_for_more_than_a_minute(file):
    early = Clock(1e6)
    with Quota(1, file, clock=early, sleep=early.sleep).slot():
        pass
    clock = Clock(5.0)
    with Quota(1, file, clock=clock, sleep=clock.sleep).slot():
        assert clock() <= 65


@pytest.mark.parametrize("content", [b"", b"x", b"\xff" * 83, b"\x00" * 8000, b"\x7f\xf0" * 40])
def test_a_damaged_file_is_no_reason_to_fail_or_to_wait_for_ever(file, content):
    file.write_bytes(content)
    clock = Clock()
    quota = Quota(5, file, clock=clock, sleep=clock.sleep)
    for _ in range(6):
        with quota.slot():
            pass
    assert clock() <= 1000 + 2 * 60


def test_a_call_that_fails_gives_its_slot_back_all_the_same(file):
    clock = Clock()
    quota = Quota(1, file, clock=clock, sleep=clock.sleep)
    with pytest.raises(RuntimeError), quota.slot():
        raise RuntimeError
    with quota.slot():
        assert clock() == 1060
