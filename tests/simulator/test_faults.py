"""Each action of the fault plan, over real HTTP and in process: the same exceptions, the same bodies."""

import json

import msgspec
import pytest
import requests

from simulator.faults import Fault, Match, parse_plan

LIST = Match(kind="list")


@pytest.fixture
def plan(either):
    def set_plan(*faults):
        either.control.set_faults(faults)
        return either

    return set_plan


def test_reset_closes_the_connection_without_a_response(plan):
    client = plan(Fault("reset", LIST, times=1))
    with pytest.raises(requests.ConnectionError, match=r"Remote end closed|reset by peer"):
        client.get()
    assert client.get().status_code == 200


def test_stall_runs_into_the_read_timeout(plan):
    client = plan(Fault("stall", LIST, times=1, seconds=0.4))
    with pytest.raises(requests.ReadTimeout):
        client.get(timeout=0.1)
    assert client.get().status_code == 200


def test_a_short_stall_is_only_slow(plan):
    assert plan(Fault("stall", LIST, times=1, seconds=0.05)).get().status_code == 200


@pytest.mark.parametrize(
    "fault", [Fault("truncated_body", LIST, times=1), Fault("content_length", LIST, times=1, by=9)]
)
def test_a_body_shorter_than_its_content_length_is_noticed(plan, fault):
    client = plan(fault)
    with pytest.raises(requests.exceptions.ChunkedEncodingError, match="IncompleteRead"):
        client.get()
    assert client.get().status_code == 200


def test_a_content_length_that_is_too_small_cuts_the_body(plan):
    client = plan(Fault("content_length", LIST, times=1, by=-9))
    with pytest.raises(requests.JSONDecodeError):
        client.get().json()
    assert client.get().json()["totalCount"] == 400


@pytest.mark.parametrize("action", ["invalid_json", "empty_body"])
def test_a_body_can_be_no_json(plan, action):
    response = plan(Fault(action, LIST, times=1)).get()
    assert response.status_code == 200
    with pytest.raises(requests.JSONDecodeError):
        response.json()


def test_a_forbidden_page_has_no_json(plan):
    response = plan(Fault("html_403", LIST)).get()
    assert (response.status_code, response.headers["content-type"]) == (403, "text/html")
    assert "error_code" not in response.text


@pytest.mark.parametrize("status", [500, 502, 503])
def test_a_server_error_comes_as_json_or_as_a_page(plan, error, status):
    client = plan(
        Fault("http_error", LIST, status=status, times=1), Fault("http_error", LIST, status=status, html=True)
    )
    assert error(client.get()) == (status, "50252")
    response = client.get()
    assert (response.status_code, response.headers["content-type"]) == (status, "text/html")


def test_an_error_code_can_come_with_status_200(plan, error):
    fault = Fault("error_code", LIST, error_code="100217", error_desc="The application hasn't been authorized.")
    client = plan(fault)
    assert error(client.get()) == (200, "100217")
    assert client.get().json()["error_desc"] == fault.error_desc


def test_a_documented_error_code_keeps_the_status_that_the_plan_gives(plan, error):
    assert error(plan(Fault("error_code", LIST, error_code="123009", status=404)).get()) == (404, "123009")


def test_throttled_and_dead_token_are_as_documented(plan, error):
    client = plan(Fault("throttled", LIST, times=1), Fault("dead_token", LIST, times=1))
    assert error(client.get()) == (403, "1010009")
    assert error(client.get()) == (403, "1010005")
    assert client.get().status_code == 200


def test_a_killed_token_stays_dead_until_the_next_login(plan, error):
    client = plan(Fault("kill_token", LIST, times=1))
    assert error(client.get()) == (403, "1010005")
    assert error(client.get()) == (403, "1010005")
    client.log_in()
    assert client.get().status_code == 200


def test_a_token_can_be_killed_as_soon_as_it_is_given(plan, error):
    client = plan(Fault("kill_token", Match(kind="login")))
    client.log_in()
    assert error(client.get()) == (403, "1010005")


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (Fault("wrong_page_no", LIST, by=2), {"pageNo": 3}),
        (Fault("wrong_page_size", LIST, by=-5), {"pageSize": 95}),
        (Fault("missing_total", LIST), {"totalCount": None}),
        (Fault("string_total", LIST), {"totalCount": "400"}),
        (Fault("wrong_total", LIST, by=-3), {"totalCount": 397}),
        (Fault("short_page", LIST), {"records": 50}),
        (Fault("empty_page", LIST), {"records": 0}),
    ],
)
def test_a_page_can_lie_about_itself(plan, fault, expected):
    client = plan(fault)
    page = client.page(pageNo=1)
    told = {name: page.get(name) for name in ("pageNo", "pageSize", "totalCount")} | {"records": len(page["data"])}
    assert told == {"pageNo": 1, "pageSize": 100, "totalCount": 400, "records": 100} | expected


def test_a_repeated_page_has_the_records_of_the_page_before_under_the_right_number(plan):
    client = plan(Fault("repeated_page", Match(kind="list", first=2)))
    before, repeated = client.page(pageNo=0), client.page(pageNo=1)
    assert repeated == before | {"pageNo": 1}


def test_filters_can_be_ignored(plan):
    client = plan(Fault("ignore_filters", LIST))
    assert client.page(operationStatus="stop")["totalCount"] == 400


def test_garbage_can_be_sent_in_place_of_records(plan):
    page = plan(Fault("garbage_records", LIST)).page()
    assert len(page["data"]) == 100
    assert not any(isinstance(record, dict) and isinstance(record.get("operationId"), str) for record in page["data"])


def test_faults_of_logins_refreshes_and_one_task_calls(plan, error):
    client = plan(*(Fault("http_error", Match(kind=kind)) for kind in ("refresh", "operation")))
    assert error(client.refresh("x")) == (500, "50252")
    assert error(client.get(operation_id="x")) == (500, "50252")
    assert client.get().status_code == 200
    client.control.set_faults([Fault("reset", Match(kind="login"))])
    with pytest.raises(requests.ConnectionError):
        client.log_in()


def statuses(client, count, query=""):
    return [client.get(query).status_code for _ in range(count)]


def test_a_match_chooses_calls_by_number(plan):
    assert statuses(plan(Fault("http_error", Match(kind="list", first=2, last=3))), 5) == [200, 500, 500, 200, 200]
    assert statuses(plan(Fault("http_error", Match(kind="list", first=2, every=2))), 5) == [200, 500, 200, 500, 200]
    assert statuses(plan(Fault("http_error", Match(kind="list", every=2), times=2)), 5) == [500, 200, 500, 200, 200]


def test_a_match_chooses_calls_by_query(plan):
    client = plan(Fault("http_error", Match(query="pageNo=3&", first=2)))
    assert statuses(client, 2, "pageNo=2&pageSize=5") == [200, 200]
    assert statuses(client, 2, "pageNo=3&pageSize=5") == [200, 500]


def test_the_first_fault_that_matches_acts_and_the_others_count_on(plan):
    client = plan(Fault("http_error", LIST, times=1), Fault("http_error", Match(kind="list", first=2), status=503))
    assert statuses(client, 3) == [500, 503, 503]
    assert client.control.statistics()["faults_acted"] == [1, 2]


def test_page_faults_do_not_touch_other_calls(plan):
    client = plan(Fault("empty_page", times=1))
    client.log_in()
    assert client.get().json()["data"] == []


def test_a_plan_is_read_from_json_and_says_where_it_is_wrong():
    text = {"match": {"kind": "list", "query": "pageNo=3", "last": 9}, "action": "stall", "times": 1, "seconds": 40}
    wanted = Fault("stall", Match(kind="list", query="pageNo=3", last=9), times=1, seconds=40)
    assert parse_plan(json.dumps([text]).encode()) == [wanted]
    with pytest.raises(msgspec.ValidationError, match=r"\$\[0\]\.action"):
        parse_plan(b'[{"action": "explode"}]')
    with pytest.raises(msgspec.ValidationError, match="unknown field"):
        parse_plan(b'[{"action": "reset", "time": 1}]')


def test_latency_delays_every_response(make):
    client = make(latency_ms=250)
    before = client.clock.seconds
    client.get()
    assert client.clock.seconds == before + 0.25
    with pytest.raises(requests.ReadTimeout):
        client.get(timeout=0.2)
