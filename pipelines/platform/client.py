"""Calls to the platform: authenticated, paced, retried until they have an outcome that lasts.

A caller gets a `Reply` for a page, for "gone" and for "page beyond the limit"; everything else is waited for, renewed,
retried, or raised as a `PlatformError`. What an attempt means is decided in `outcomes`, not here.
"""

from __future__ import annotations

import json
import logging
import math
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import CancelledError
from datetime import UTC, datetime
from urllib.parse import quote

import msgspec
import requests
import tenacity
import urllib3

from pipelines.errors import PlatformError
from pipelines.platform.outcomes import Outcome, Response, interpret
from pipelines.platform.quota import Quota
from pipelines.platform.refusals import gave_up, refused
from pipelines.platform.structures import Page, decode_page, decode_record
from pipelines.platform.tokens import Grant, Tokens
from pipelines.platform.transport import date_of, open_transport, prepare, read_body
from pipelines.settings import Settings, require_platform

LIST_PATH = "/iodm/northbound/v1.5.0/operations"
LOGIN_PATH = "/iocm/app/sec/v1.1.0/login"
REFRESH_PATH = "/iocm/app/sec/v1.1.0/refreshToken"

HEADERS = {
    "Accept": "application/json",
    "Accept-Encoding": "gzip",
    "Content-Type": "application/json",
    "User-Agent": "iodm",
}

FAULT_DEADLINE_TIMEOUTS = 10  # a passing fault may last ten time-outs: 5 minutes by default
LOOK_UP_PATIENCE_SECONDS = 30.0
FIRST_CONTACT_SECONDS = 15.0  # a host that never answered is more likely a wrong address than a passing fault
THROTTLE_DEADLINE_SECONDS = 900.0
DEAD_TOKENS_PER_CALL = 5

log = logging.getLogger(__name__)


class Reply(msgspec.Struct, frozen=True):
    """A response that counts: what was asked, when the platform says it answered, the body, and the decoded page."""

    request: str
    outcome: Outcome
    observed_at: datetime
    body: bytes
    page: Page


class Sleeper:
    """Sleeps until `stop`, then no more: waiting workers end at once instead of holding up a run that failed."""

    def __init__(self) -> None:
        self._stopped = threading.Event()

    def __call__(self, seconds: float) -> None:
        """Wait; raises CancelledError once stopped."""
        if self._stopped.wait(seconds):
            raise CancelledError

    def stop(self) -> None:
        """End all waiting, now and later."""
        self._stopped.set()


class _AttemptFailedError(Exception):
    """One attempt that is worth another; `response` says why."""

    def __init__(self, response: Response) -> None:
        super().__init__(response.detail)
        self.response = response


class Client:
    """The platform, for one application. Safe for threads. `clock` and `sleep` are the quota's and the retries'."""

    def __init__(
        self,
        settings: Settings,
        quota: Quota,
        *,
        session: requests.Session | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        require_platform(settings)
        self.quota = quota
        self._settings = settings
        self._clock, self._sleep = clock, sleep
        self._transport = open_transport(settings, session)
        fixed = settings.access_token.get_secret_value() if settings.access_token else None
        self._tokens = Tokens(self, fixed, clock=clock)
        self._has_answered = threading.Event()

    @property
    def has_answered(self) -> bool:
        """True once anything came back: the address is right, and so is its certificate."""
        return self._has_answered.is_set()

    def authenticate(self) -> None:
        """Have a token: log in, unless there is one.

        Raises:
            PlatformError: as `log_in`.
        """
        self._tokens.current()

    def list_page(self, filters: Mapping[str, str], page_no: int, page_size: int) -> Reply:
        """Read one page of the task list.

        Raises:
            PlatformError: the platform refused the request, can't be reached, or kept failing.
        """
        query = "&".join(
            f"{name}={quote(value, safe='')}"
            for name, value in {**filters, "pageNo": str(page_no), "pageSize": str(page_size)}.items()
        )
        return self._call("GET", f"{LIST_PATH}?{query}", parse=decode_page)

    def get_operation(self, operation_id: str) -> Reply:
        """Read one task; its page holds the one record, or none with outcome GONE.

        Raises:
            PlatformError: the platform refused the request, can't be reached, or kept failing, if only for a while:
                one task that it can't show must not hold up all others.
        """
        path = f"{LIST_PATH}/{quote(operation_id, safe='')}"
        return self._call("GET", path, parse=decode_record, patience_seconds=LOOK_UP_PATIENCE_SECONDS)

    def log_in(self) -> Grant:
        """Ask for a token with application id and secret; kills earlier tokens.

        Raises:
            PlatformError: id or secret wrong, application frozen, or the platform can't be reached.
        """
        form = {"appId": self._settings.app_id or "", "secret": self._secret()}
        reply = self._call("POST", LOGIN_PATH, data=form, parse=_decode_grant, with_token=False)
        return _decode_grant(reply.body)

    def refresh(self, refresh_token: str) -> Grant | None:
        """Ask for a token with a refresh token; None if the platform refuses it."""
        content = json.dumps({"appId": self._settings.app_id, "secret": self._secret(), "refreshToken": refresh_token})
        try:
            reply = self._call("POST", REFRESH_PATH, data=content, parse=_decode_grant, with_token=False)
        except PlatformError as error:
            if error.status is None or error.is_retryable:
                raise
            return None
        return _decode_grant(reply.body)

    def _secret(self) -> str:
        return self._settings.secret.get_secret_value() if self._settings.secret else ""

    def _call(
        self,
        method: str,
        path: str,
        *,
        parse: Callable[[bytes], object],
        data: Mapping[str, str] | str | None = None,
        with_token: bool = True,
        patience_seconds: float = math.inf,
    ) -> Reply:
        started = self._clock()
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(_AttemptFailedError),
            wait=_seconds_to_wait,
            stop=lambda state: self._must_give_up(state, started, patience_seconds),
            sleep=self._sleep,
            before_sleep=lambda state: _log_wait(state, method, path),
        )
        try:
            return retrying(self._attempt, method, path, data, parse, with_token)
        except tenacity.RetryError as error:
            failure = error.last_attempt.exception()
            assert isinstance(failure, _AttemptFailedError)  # noqa: S101 - the only type that is retried
            raise gave_up(
                method,
                f"{self._settings.base_url}{path}",
                failure.response,
                attempts=error.last_attempt.attempt_number,
                seconds=self._clock() - started,
                has_answered=self.has_answered,
            ) from None

    def _attempt(
        self,
        method: str,
        path: str,
        data: Mapping[str, str] | str | None,
        parse: Callable[[bytes], object],
        with_token: bool,  # noqa: FBT001 - tenacity passes it on by place
    ) -> Reply:
        token = self._tokens.current() if with_token else None
        status, body, observed_at, response = self._send(method, path, data, token, parse)
        if response.outcome in {Outcome.OK, Outcome.GONE, Outcome.BEYOND_LIMIT}:
            page = response.content if isinstance(response.content, Page) else Page([], None, None, None)
            return Reply(path, response.outcome, observed_at, body, page)
        if response.outcome is Outcome.TOKEN_DEAD and token is not None:
            self._tokens.replace(token)
        elif response.outcome not in {Outcome.THROTTLED, Outcome.PASSING_FAULT}:
            raise refused(method, f"{self._settings.base_url}{path}", status, response)
        raise _AttemptFailedError(response)

    def _send(
        self,
        method: str,
        path: str,
        data: Mapping[str, str] | str | None,
        token: str | None,
        parse: Callable[[bytes], object],
    ) -> tuple[int | None, bytes, datetime, Response]:
        headers = {**HEADERS, "app_key": self._settings.app_id or ""}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        if isinstance(data, Mapping):
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        deadline = time.monotonic() + self._settings.timeout_seconds
        with self.quota.slot():
            try:
                request = prepare(method, f"{self._settings.base_url}{path}", headers, data)
                with self._transport(request) as answer:
                    body = read_body(answer, deadline)
            except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
                return None, b"", datetime.now(UTC), interpret(None, b"", error)
        self._has_answered.set()
        return answer.status_code, body, date_of(answer), interpret(answer.status_code, body, parse=parse)

    def _must_give_up(self, state: tenacity.RetryCallState, started: float, patience_seconds: float) -> bool:
        failure = state.outcome.exception() if state.outcome else None
        if not isinstance(failure, _AttemptFailedError):
            return False
        if failure.response.outcome is Outcome.TOKEN_DEAD:
            return state.attempt_number >= DEAD_TOKENS_PER_CALL
        deadline = self._deadline_seconds(failure.response.outcome, patience_seconds)
        return self._clock() - started >= deadline

    def _deadline_seconds(self, outcome: Outcome, patience_seconds: float) -> float:
        if outcome is Outcome.THROTTLED:
            return THROTTLE_DEADLINE_SECONDS
        patience = min(patience_seconds, self._settings.timeout_seconds * FAULT_DEADLINE_TIMEOUTS)
        return patience if self.has_answered else min(patience, FIRST_CONTACT_SECONDS)


def _decode_grant(body: bytes) -> Grant:
    return msgspec.json.decode(body, type=Grant, strict=False)


_back_off = tenacity.wait_random_exponential(multiplier=1, max=30)  # full jitter
_throttle_back_off = tenacity.wait_random_exponential(multiplier=5, max=60, min=1)


def _seconds_to_wait(state: tenacity.RetryCallState) -> float:
    failure = state.outcome.exception() if state.outcome else None
    outcome = failure.response.outcome if isinstance(failure, _AttemptFailedError) else Outcome.PASSING_FAULT
    if outcome is Outcome.TOKEN_DEAD:
        return 0.0
    return _throttle_back_off(state) if outcome is Outcome.THROTTLED else _back_off(state)


def _log_wait(state: tenacity.RetryCallState, method: str, path: str) -> None:
    failure = state.outcome.exception() if state.outcome else None
    log.warning(
        "%s %s: %s; attempt %d follows in %.1f s", method, path, failure, state.attempt_number + 1, state.upcoming_sleep
    )
