"""The access token: logged in once, renewed with a margin, replaced once when the platform says that it is dead.

Only the newest token is valid and each login kills the earlier ones, so never two logins at a time, and a token that
keeps dying means that another program uses this application. No token is ever written to a file or a log.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Annotated, Protocol

import msgspec

from pipelines.errors import PlatformError
from pipelines.settings import fits_a_header

MARGIN_SECONDS = 120.0
KILLED_TOKENS, KILLED_WITHIN_SECONDS = 3, 600.0


class Grant(msgspec.Struct, rename="camel"):
    """The answer to a login or a refresh."""

    access_token: Annotated[str, msgspec.Meta(min_length=1)]
    refresh_token: str | None = None
    expires_in: float = 3600

    def __repr__(self) -> str:
        return "Grant(***)"


class Authenticator(Protocol):
    """Asks the platform for a token: `log_in`, or `refresh`, which returns None if the platform refuses it."""

    def log_in(self) -> Grant:
        """Ask with application id and secret."""

    def refresh(self, refresh_token: str) -> Grant | None:
        """Ask with a refresh token."""


class Tokens:
    """Hands out the valid token to all workers."""

    def __init__(
        self, authenticator: Authenticator, fixed: str | None = None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._authenticator = authenticator
        self._clock = clock
        self._lock = threading.Lock()
        self._fixed = fixed
        self._grant = Grant(fixed, None) if fixed else None
        self._renew_at = float("inf") if fixed else 0.0
        self._killed: deque[float] = deque(maxlen=KILLED_TOKENS)
        self._failure: PlatformError | None = None

    def current(self) -> str:
        """Return a token that should still live for a while; logs in or refreshes if there is none.

        Raises:
            PlatformError: the platform refused the login, or gave a token that no header can carry.
        """
        with self._one_at_a_time():
            if self._grant is None or self._clock() >= self._renew_at:
                self._renew(self._grant.refresh_token if self._grant else None)
            return self._token

    def replace(self, dead: str) -> str:
        """Return the token after `dead`, which the platform no longer takes; renews once per token, whoever asks.

        Raises:
            PlatformError: tokens keep dying, the given token can't be replaced, or the login was refused.
        """
        with self._one_at_a_time():
            if self._grant is not None and self._grant.access_token != dead:
                return self._token
            if self._fixed:
                raise PlatformError(
                    "the access token in IODM_ACCESS_TOKEN is not valid",
                    advice="Give a new one, or set IODM_SECRET instead",
                )
            self._note_death()
            self._renew(None)
            return self._token

    @contextlib.contextmanager
    def _one_at_a_time(self) -> Iterator[None]:
        """Who waited for a login that failed shares its failure: asking again would fail again, as slowly."""
        before = self._failure
        with self._lock:
            if self._failure is not None and self._failure is not before:
                raise self._failure
            try:
                yield
            except PlatformError as error:
                self._failure = error
                raise

    @property
    def _token(self) -> str:
        assert self._grant is not None  # noqa: S101 - both callers have just renewed
        return self._grant.access_token

    def _note_death(self) -> None:
        now = self._clock()
        if now >= self._renew_at:
            return
        self._killed.append(now)
        if len(self._killed) == KILLED_TOKENS and now - self._killed[0] <= KILLED_WITHIN_SECONDS:
            raise PlatformError(
                f"{KILLED_TOKENS} access tokens died within {KILLED_WITHIN_SECONDS / 60:.0f} minutes",
                advice="Another program logs in with this application id, and each login ends the other's session. "
                "Stop it, or use an id of its own",
                error_code="1010005",
                is_retryable=True,
            )

    def _renew(self, refresh_token: str | None) -> None:
        grant = self._authenticator.refresh(refresh_token) if refresh_token else None
        self._grant = _usable(grant or self._authenticator.log_in())
        life = max(self._grant.expires_in, 1.0)
        self._renew_at = self._clock() + life - min(MARGIN_SECONDS, life / 10)


def _usable(grant: Grant) -> Grant:
    """The grant with its access token as a header takes it; an error of `requests` would show the token."""
    token = grant.access_token.strip()
    if not token or not fits_a_header(token):
        raise PlatformError(
            "the platform gave an access token that no header can carry",
            advice="Check that IODM_BASE_URL is the platform's own address and ask its operator; "
            "a token of yours in IODM_ACCESS_TOKEN needs no login",
        )
    return msgspec.structs.replace(grant, access_token=token)
