"""Every documented error, with its HTTP status."""

import pytest

from simulator.dials import Dials
from simulator.messages import Request
from simulator.platform import LOGIN, OPERATIONS, REFRESH, Platform

FORM = {"content-type": "application/x-www-form-urlencoded"}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"appId=simulator", (400, "102202")),
        (b"appId=&secret=s", (400, "102202")),
        (b"", (400, "102202")),
        (b"appId=simulator&secret=wrong", (401, "100208")),
        (b"appId=other&secret=s", (401, "100208")),
    ],
)
def test_a_login_without_the_right_secret_is_refused(make, error, body, expected):
    client = make(secret="s", is_logged_in=False)
    assert error(client.session.post(client.base_url + LOGIN, data=body, headers=FORM)) == expected


def test_a_login_that_is_no_form_has_no_parameters(make, error):
    client = make(secret="s", is_logged_in=False)
    response = client.session.post(client.base_url + LOGIN, json={"appId": "simulator", "secret": "s"})
    assert error(response) == (400, "102202")


def test_a_frozen_application_can_neither_log_in_nor_refresh(make, error):
    client = make(secret="s", frozen=True, is_logged_in=False)
    form = {"appId": "simulator", "secret": "s"}
    assert error(client.session.post(client.base_url + LOGIN, data=form)) == (400, "100247")
    assert error(client.refresh("anything")) == (400, "100247")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"refreshToken": ""}, (400, "102202")),
        ({"refreshToken": None}, (400, "102202")),
        ({"refreshToken": 7}, (400, "50400")),
        ({"refreshToken": "wrong"}, (401, "100208")),
        ({"secret": "wrong"}, (401, "100208")),
    ],
)
def test_a_refresh_without_the_right_values_is_refused(make, error, changes, expected):
    client = make()
    assert error(client.refresh(client.log_in()["refreshToken"], **changes)) == expected


def test_a_refresh_that_is_no_json_is_invalid_input(make, error):
    client = make()
    assert error(client.session.post(client.base_url + REFRESH, data="appId=simulator")) == (400, "50400")


@pytest.mark.parametrize("app_key", [None, "", "other"])
def test_a_call_of_an_unknown_application_is_refused(make, error, app_key):
    client = make()
    client.headers["app_key"] = app_key
    assert error(client.get()) == (401, "100025")
    assert error(client.get(operation_id="x")) == (401, "100025")


@pytest.mark.parametrize("authorization", [None, "", "{}", "bearer {}", "Bearer  {}", "Bearer wrong"])
def test_anything_but_bearer_and_the_newest_token_is_invalid(make, error, authorization):
    client = make()
    token = client.log_in()["accessToken"]
    client.headers["Authorization"] = authorization and authorization.format(token)
    assert error(client.get()) == (403, "1010005")
    assert error(client.get(operation_id="x")) == (403, "1010005")


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("operationType=hardware_upgrade", (400, "120015")),
        ("operationStatus=fail", (400, "120015")),
        ("operationStatus=FAILED", (400, "120015")),
        ("model=" + "x" * 257, (400, "120015")),
        ("pageNo=one", (400, "120015")),
        ("pageSize=1.5", (400, "120015")),
        ("pageNo=-1", (400, "123029")),
        ("pageSize=0", (400, "123029")),
        ("pageSize=101", (400, "123029")),
    ],
)
def test_a_list_call_with_a_wrong_parameter_is_refused(make, error, query, expected):
    assert error(make().get(query)) == expected


def test_pages_beyond_the_ceiling_are_beyond_the_limit(make, error):
    client = make(last_page_no=2)
    assert client.get("pageNo=2&pageSize=1").status_code == 200
    assert error(client.get("pageNo=3&pageSize=1")) == (400, "123029")


@pytest.mark.parametrize("operation_id", ["unknown", "0" * 32, "ÿ" * 32])
def test_a_task_that_never_was_does_not_exist(make, error, operation_id):
    assert error(make().get(operation_id=operation_id)) == (404, "123009")


def test_a_path_that_the_api_does_not_have_is_a_page_without_json(make):
    client = make()
    for path in ("/", OPERATIONS + "/a/b", LOGIN):
        response = client.session.get(client.base_url + path)
        assert (response.status_code, response.headers["content-type"]) == (404, "text/html")


def test_a_platform_with_default_dials_answers():
    response = Platform(Dials(tasks=5)).handle(Request("POST", LOGIN, headers=FORM, body=b"appId=simulator&secret=x"))
    assert response.status == 401
