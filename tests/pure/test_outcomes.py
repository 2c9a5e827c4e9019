"""What one response means: every row of the platform's error tables, and everything that no table lists."""

import json
import ssl

import pytest
import requests

from pipelines.platform.outcomes import Outcome, interpret
from pipelines.platform.structures import Page, decode_page, decode_record


def error(code, description="text"):
    return json.dumps({"error_code": code, "error_desc": description}).encode()


DOCUMENTED = [
    (400, "100247", Outcome.REFUSED),
    (400, "102202", Outcome.BAD_REQUEST),
    (400, "50400", Outcome.BAD_REQUEST),
    (401, "100208", Outcome.REFUSED),
    (500, "50252", Outcome.PASSING_FAULT),
    (401, "100025", Outcome.REFUSED),
    (400, "120015", Outcome.BAD_REQUEST),
    (400, "123029", Outcome.BEYOND_LIMIT),
    (403, "1010005", Outcome.TOKEN_DEAD),
    (403, "1010009", Outcome.THROTTLED),
    (404, "123009", Outcome.GONE),
]


@pytest.mark.parametrize(("status", "code", "outcome"), DOCUMENTED)
def test_every_documented_error_has_its_outcome(status, code, outcome):
    answer = interpret(status, error(code))
    assert answer.outcome is outcome
    assert answer.error_code == code
    assert code in answer.detail


@pytest.mark.parametrize(("status", "code", "outcome"), DOCUMENTED)
def test_an_error_code_means_the_same_on_http_200(status, code, outcome):
    assert interpret(200, error(code)).outcome is outcome


@pytest.mark.parametrize("parse", [decode_page, decode_record])
@pytest.mark.parametrize("rest", [b"}", b', "data": [{"operationId": "t"}], "totalCount": 1}', b', "x": NaN}'])
def test_an_error_code_beside_tasks_makes_them_an_error(parse, rest):
    answer = interpret(200, b'{"error_code": "1010005"' + rest, parse=parse)
    assert answer.outcome is Outcome.TOKEN_DEAD
    assert answer.content is None


def test_the_error_code_tells_a_dead_token_from_throttling_although_both_are_403():
    assert interpret(403, error("1010005")).outcome is Outcome.TOKEN_DEAD
    assert interpret(403, error("1010009")).outcome is Outcome.THROTTLED


def test_an_error_code_that_comes_as_a_number_counts_too():
    assert interpret(403, b'{"error_code": 1010009}').outcome is Outcome.THROTTLED


@pytest.mark.parametrize(
    "body", [b"", b"<html>Forbidden</html>", b'{"message": "no"}', b"null", b'"error_code"', b'{"error_code": null}']
)
def test_a_403_without_an_error_code_is_a_refusal(body):
    assert interpret(403, body).outcome is Outcome.REFUSED


@pytest.mark.parametrize("body", [b"", b"<html>Not Found</html>", b'{"status": 404}', error("100025"), error("999999")])
def test_a_404_without_123009_is_never_gone(body):
    assert interpret(404, body).outcome is Outcome.REFUSED


def test_an_unknown_error_on_http_200_passes_and_on_another_client_error_does_not():
    assert interpret(200, error("100022")).outcome is Outcome.PASSING_FAULT
    assert interpret(503, error("100022")).outcome is Outcome.PASSING_FAULT
    assert interpret(400, error("100022")).outcome is Outcome.REFUSED


@pytest.mark.parametrize("status", [500, 502, 503, 504, 408])
@pytest.mark.parametrize("body", [b"", b"<html>Bad Gateway</html>", b'{"data": []}'])
def test_a_server_error_passes_whatever_its_body(status, body):
    assert interpret(status, body).outcome is Outcome.PASSING_FAULT


def test_a_429_is_throttling():
    assert interpret(429, b"slow down").outcome is Outcome.THROTTLED


@pytest.mark.parametrize("body", [b"", b"<html>Welcome</html>", b"[]", b"null", b'{"data": [{"a"', b"\xff\xfe"])
def test_an_http_200_that_is_no_json_object_is_a_passing_fault(body):
    assert interpret(200, body).outcome is Outcome.PASSING_FAULT


@pytest.mark.parametrize("rest", [b"", b', "error_code": null', b', "error_code": null, "x": NaN'])
def test_a_page_is_a_page(rest):
    answer = interpret(200, b' {"data": [1], "totalCount": 1' + rest + b"}\n")
    assert answer.outcome is Outcome.OK
    assert answer.content == Page([b"1"], None, None, 1)


def test_what_can_not_be_read_says_why():
    answer = interpret(200, b'{"data": 5}')
    assert answer.outcome is Outcome.PASSING_FAULT
    assert "data" in answer.detail


def test_a_page_whose_records_speak_of_error_codes_is_still_a_page():
    assert interpret(200, b'{"data": [{"error_code": "1010005"}], "totalCount": 1}').outcome is Outcome.OK


@pytest.mark.parametrize("status", [301, 302, 307])
def test_a_redirect_is_refused_because_the_secret_must_not_follow_it(status):
    assert interpret(status, b"").outcome is Outcome.REFUSED


@pytest.mark.parametrize(
    "exception",
    [
        requests.ConnectionError("reset by peer"),
        requests.ReadTimeout("read timed out"),
        requests.ConnectTimeout("connect timed out"),
        requests.exceptions.ChunkedEncodingError("IncompleteRead"),
        requests.exceptions.ContentDecodingError("gzip"),
    ],
)
def test_what_the_wire_does_passes(exception):
    assert interpret(None, b"", exception).outcome is Outcome.PASSING_FAULT


def test_a_certificate_that_can_not_be_verified_is_fatal():
    wrapped = requests.exceptions.SSLError(ssl.SSLCertVerificationError("[SSL: CERTIFICATE_VERIFY_FAILED] self signed"))
    answer = interpret(None, b"", wrapped)
    assert answer.outcome is Outcome.REFUSED
    assert "certificate" in answer.detail


@pytest.mark.parametrize("alert", ["tlsv13 alert certificate required", "tlsv1 alert unknown ca"])
def test_an_alert_of_the_server_is_fatal_and_names_the_client_certificate(alert):
    answer = interpret(None, b"", requests.exceptions.SSLError(ssl.SSLError(f"[SSL] {alert}")))
    assert answer.outcome is Outcome.REFUSED
    assert "IODM_CLIENT_CERT" in answer.advice


def test_a_connection_that_the_server_closes_names_it_too_and_one_that_can_not_be_made_does_not():
    for reason in ("EOF occurred in violation of protocol", "Remote end closed connection without response"):
        answer = interpret(None, b"", requests.ConnectionError(reason))
        assert answer.outcome is Outcome.PASSING_FAULT
        assert "IODM_CLIENT_CERT" in answer.advice
    assert interpret(None, b"", requests.ConnectionError("[Errno 111] Connection refused")).advice == ""


def test_an_exception_of_another_kind_is_fatal():
    assert interpret(None, b"", requests.exceptions.InvalidURL("no")).outcome is Outcome.REFUSED


def test_details_are_short_whatever_came():
    assert len(interpret(502, b"x" * 100_000).detail) < 200
    assert len(interpret(403, error("1", "y" * 100_000)).detail) < 400
