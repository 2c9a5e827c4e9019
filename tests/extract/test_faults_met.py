"""Every fault of the simulator's plan, once and always, as a whole sync meets it: what is committed, or which error."""

from datetime import UTC, datetime
from typing import get_args

import pytest
import requests

from pipelines.errors import PlatformError
from pipelines.extract.raw import newest_sync
from pipelines.warehouse import storage_errors
from simulator.faults import Action, Fault, Match

pytestmark = pytest.mark.usefixtures("few_reports")

LIST = Match(kind="list")
MIDDLE = Match(kind="list", first=3)
TASKS = 330

ONCE = {
    "reset": Fault("reset", MIDDLE, times=1),
    "http_error": Fault("http_error", MIDDLE, times=1, status=502, html=True),
    "error_code": Fault("error_code", MIDDLE, times=1),
    "throttled": Fault("throttled", MIDDLE, times=1),
    "dead_token": Fault("dead_token", MIDDLE, times=1),
    "kill_token": Fault("kill_token", MIDDLE, times=1),
    "stall": Fault("stall", MIDDLE, times=1, seconds=40),
    "truncated_body": Fault("truncated_body", MIDDLE, times=1),
    "content_length": Fault("content_length", MIDDLE, times=1, by=-9),
    "invalid_json": Fault("invalid_json", MIDDLE, times=1),
    "empty_body": Fault("empty_body", MIDDLE, times=1),
    "wrong_page_no": Fault("wrong_page_no", MIDDLE, times=1),
    "wrong_page_size": Fault("wrong_page_size", MIDDLE, times=1),
    "missing_total": Fault("missing_total", MIDDLE, times=1),
    "string_total": Fault("string_total", MIDDLE, times=1),
    "wrong_total": Fault("wrong_total", MIDDLE, times=1),
    "short_page": Fault("short_page", MIDDLE, times=1),
    "empty_page": Fault("empty_page", MIDDLE, times=1),
    "repeated_page": Fault("repeated_page", MIDDLE, times=1),
    "ignore_filters": Fault("ignore_filters", MIDDLE, times=1),
}
FATAL_ONCE = {"html_403": Fault("html_403", MIDDLE, times=1)}
QUARANTINED_ONCE = {"garbage_records": Fault("garbage_records", MIDDLE, times=1)}


def test_every_action_of_the_plan_is_tried():
    assert {*ONCE, *FATAL_ONCE, *QUARANTINED_ONCE} == set(get_args(Action))


@pytest.mark.parametrize("action", ONCE)
def test_a_fault_that_happens_once_costs_no_task(make_site, action):
    site = make_site(ONCE[action])
    manifest = site.extract()
    assert site.platform.statistics()["faults_acted"] == [1]
    assert (manifest.grade, manifest.total_after) == ("counted", TASKS)


@pytest.mark.parametrize("first", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("action", ["short_page", "empty_page", "repeated_page", "wrong_total", "missing_total"])
def test_a_page_that_lies_is_noticed_wherever_it_comes(make_site, first, action):
    site = make_site(Fault(action, Match(kind="list", first=first), times=1))
    assert site.extract().grade == "counted"


@pytest.mark.parametrize("first", [1, 3])
def test_a_page_without_json_is_refused_at_once_and_nothing_is_committed(make_site, first):
    site = make_site(Fault("html_403", Match(kind="list", first=first), times=1))
    with pytest.raises(PlatformError) as caught:
        site.extract()
    assert (caught.value.exit_code, caught.value.is_retryable) == (3, False)
    assert newest_sync(site.warehouse) is None
    assert site.platform.statistics()["calls"]["list"] <= 7


def test_a_page_of_garbage_is_quarantined_and_its_tasks_are_read_again_or_missed_loudly(make_site):
    site = make_site(QUARANTINED_ONCE["garbage_records"])
    manifest = site.extract()
    assert manifest.quarantined >= 100
    assert manifest.grade == "unproven"


LASTING = ["reset", "http_error", "error_code", "throttled", "stall", "truncated_body", "invalid_json", "empty_body"]


@pytest.mark.parametrize("action", LASTING)
@pytest.mark.parametrize("match", [LIST, MIDDLE], ids=["from the start", "from the middle"])
def test_a_fault_that_stays_ends_in_an_error_that_says_so(make_site, action, match):
    site = make_site(Fault(action, match, seconds=40))
    with pytest.raises(PlatformError) as caught:
        site.extract()
    assert caught.value.is_retryable
    assert caught.value.attempts > 1
    assert caught.value.advice
    assert newest_sync(site.warehouse) is None


@pytest.mark.parametrize("action", ["dead_token", "kill_token"])
def test_tokens_that_keep_dying_end_in_an_error(make_site, action):
    site = make_site(Fault(action, MIDDLE))
    with pytest.raises(PlatformError) as caught:
        site.extract()
    assert caught.value.exit_code == 3
    assert site.platform.statistics()["logins"] <= 6


@pytest.mark.parametrize("action", ["wrong_page_no", "wrong_page_size", "string_total", "repeated_page"])
def test_a_platform_that_always_answers_oddly_is_read_in_bounded_calls(make_site, action):
    site = make_site(Fault(action, LIST))
    manifest = site.extract()
    assert manifest.pages < 120
    if action != "repeated_page":
        assert manifest.grade == "counted"


@pytest.mark.parametrize("action", ["short_page", "empty_page", "missing_total", "wrong_total", "garbage_records"])
def test_a_platform_that_always_lies_is_never_called_complete_unless_it_is(make_site, action):
    site = make_site(Fault(action, LIST))
    manifest = site.extract()
    assert manifest.pages < 4 * (TASKS + 50) + 60  # as many as a list in pages of one task
    assert manifest.grade == "unproven" or (manifest.total_after == TASKS and action == "short_page")


@pytest.mark.parametrize(
    ("kind", "code", "status"),
    [
        ("login", "100208", 401),
        ("login", "100247", 400),
        ("login", "102202", 400),
        ("list", "100025", 401),
        ("list", "120015", 400),
    ],
)
def test_a_refusal_is_told_apart_from_a_passing_fault(make_site, kind, code, status):
    site = make_site(Fault("error_code", Match(kind=kind), error_code=code, status=status))
    with pytest.raises(PlatformError) as caught:
        site.extract()
    assert (caught.value.error_code, caught.value.status, caught.value.is_retryable) == (code, status, False)
    assert site.platform.statistics()["total_calls"] <= 3


def test_a_login_that_fails_for_a_while_is_tried_again(make_site):
    site = make_site(Fault("http_error", Match(kind="login"), times=2))
    assert site.extract().grade == "counted"


def test_a_token_that_dies_during_a_wait_is_replaced_before_the_next_try(make_site):
    site = make_site(Fault("throttled", MIDDLE, times=1), Fault("kill_token", MIDDLE, times=1))
    assert site.extract().grade == "counted"


def test_short_token_lives_are_survived(make_site):
    site = make_site(token_life=30, latency_ms=2_000, settings={"page_size": 10})
    assert site.extract().grade == "counted"


def test_no_error_and_no_file_shows_the_secret_or_a_token(make_site):
    site = make_site(Fault("error_code", Match(kind="login"), error_code="100208", status=401))
    with pytest.raises(PlatformError) as caught:
        site.extract()
    assert site.settings.secret.get_secret_value() not in f"{caught.value!r} {caught.value} {caught.value.__dict__}"
    healthy = make_site()
    healthy.sync()
    secrets = [
        healthy.settings.secret.get_secret_value(),
        healthy.platform.accounts._access_token,
        healthy.platform.accounts._refresh_token,
    ]
    for file in healthy.warehouse.root.rglob("*"):
        if file.is_file():
            content = file.read_bytes()
            assert not [secret for secret in secrets if secret.encode() in content], file


def test_an_address_that_can_be_no_host_is_not_taken_for_a_fault_of_the_disk(make_site):
    site = make_site(settings={"base_url": "https://\u0142_x.example"})
    with pytest.raises(PlatformError, match="Check IODM_BASE_URL") as caught:
        site.extract()
    assert not caught.value.is_retryable


@pytest.mark.parametrize("error", [requests.ConnectionError, requests.exceptions.InvalidHeader])
def test_an_error_of_the_network_is_not_taken_for_one_of_the_disk(error):
    with pytest.raises(error), storage_errors("write to raw/"):
        raise error("lost")


@pytest.mark.parametrize(
    "date",
    [
        "Fri, 31 Dec 9999 23:59:59 -2359",  # no date in UTC
        "Fri, 31 Dec 9999 23:59:59 GMT",
        "Mon, 01 Jan 0999 00:00:00 GMT",  # its folder would be synced_date=999-01-01
        "Wed, 31 Dec 1969 23:59:59 GMT",
        "soon",
    ],
)
def test_a_date_that_can_not_be_right_is_replaced_by_that_of_this_machine(make_site, monkeypatch, date):
    monkeypatch.setattr("simulator.platform.http_date", lambda _: date)
    site = make_site()
    before = datetime.now(UTC)
    manifest = site.extract()
    assert before <= manifest.started_at <= manifest.finished_at <= datetime.now(UTC)
    assert newest_sync(site.warehouse) == manifest
