"""The throttle is a sliding minute, exact to the call; so are the statistics."""

from hypothesis import given
from hypothesis import strategies as st

from simulator.dials import Dials
from simulator.messages import PlatformError
from simulator.traffic import Traffic


def test_the_call_after_the_last_allowed_one_is_throttled_until_a_minute_has_passed(make, error):
    client = make(throttle=3)  # the login took the first slot
    client.clock.sleep(10)
    assert [client.get().status_code for _ in range(2)] == [200, 200]
    assert error(client.get()) == (403, "1010009")
    client.clock.sleep(49.9)
    assert error(client.get()) == (403, "1010009")
    client.clock.sleep(0.1)
    assert client.get().status_code == 200
    assert error(client.get()) == (403, "1010009")
    assert client.control.statistics()["throttled"] == 3


def test_a_login_can_be_throttled(make, error):
    client = make(throttle=1)
    assert error(client.refresh("x")) == (403, "1010009")


def test_logins_are_free_where_they_do_not_count(make):
    client = make(throttle=1, throttle_logins=False)
    client.log_in()
    assert client.get().status_code == 200
    assert client.get().status_code == 403
    client.log_in()


def test_one_task_calls_and_calls_with_a_dead_token_take_a_slot(make, error):
    client = make(throttle=3)
    client.headers["Authorization"] = "Bearer dead"
    assert error(client.get()) == (403, "1010005")
    assert error(client.get(operation_id="x")) == (403, "1010005")
    assert error(client.get()) == (403, "1010009")


def test_a_throttle_of_zero_is_none(make):
    client = make(throttle=0)
    assert {client.get().status_code for _ in range(300)} == {200}
    assert client.control.statistics()["max_calls_in_60_seconds"] == 301


def test_calls_are_counted_by_kind(make):
    client = make()
    client.get()
    client.get()
    client.get(operation_id="x")
    client.refresh("x")
    statistics = client.control.statistics()
    assert statistics["calls"] == {"login": 1, "list": 2, "operation": 1, "refresh": 1}
    assert statistics["errors"] == {"123009": 1, "100208": 1}
    assert statistics["total_calls"] == 5


@given(st.lists(st.floats(0, 40), max_size=40), st.integers(1, 6))
def test_accepted_calls_and_statistics_agree_with_a_count_of_every_window(gaps, limit):
    now = 0.0
    traffic = Traffic(Dials(throttle=limit), lambda: now)
    received, accepted = [], []
    for gap in gaps:
        now += gap
        received.append(now)
        traffic.receive("list")
        try:
            traffic.throttle("list")
        except PlatformError:
            assert sum(now - instant < 60 for instant in accepted) == limit
        else:
            accepted.append(now)
        assert sum(now - instant < 60 for instant in accepted) <= limit
    busiest = max((sum(0 <= end - instant < 60 for instant in received) for end in received), default=0)
    assert traffic.most_in_a_minute == busiest
    assert traffic.throttled == len(received) - len(accepted)
