"""Log in and refresh: one application, of whose access tokens only the newest is valid."""

import secrets
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qs

import msgspec

from simulator.dials import Dials
from simulator.messages import PlatformError, Request, Response, json_response

REFRESH_TOKEN_SECONDS = 86_400.0


class Accounts:
    """The application's tokens. `clock` is in real seconds."""

    def __init__(self, dials: Dials, clock: Callable[[], float]) -> None:
        self._dials, self._clock = dials, clock
        self.secret = dials.secret or secrets.token_hex(16)
        self._access_token: str | None = None
        self._expires = self._refresh_expires = 0.0
        self._refresh_token: str | None = None

    def log_in(self, request: Request) -> Response:
        """POST /iocm/app/sec/v1.1.0/login, a form."""
        is_form = request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded")
        form = parse_qs(request.body.decode("utf-8", "replace")) if is_form else {}
        self._check({name: values[-1] for name, values in form.items()}, ("appId", "secret"))
        self._refresh_token = None if self._dials.refresh_token == "null" else secrets.token_hex(16)  # noqa: S105 - a dial
        self._refresh_expires = self._clock() + REFRESH_TOKEN_SECONDS
        return self._issue()

    def refresh(self, request: Request) -> Response:
        """POST /iocm/app/sec/v1.1.0/refreshToken, JSON."""
        try:
            fields = msgspec.json.decode(request.body, type=dict[str, str | None])
        except msgspec.DecodeError as error:
            raise PlatformError("50400") from error
        self._check(fields, ("appId", "secret", "refreshToken"))
        if fields["refreshToken"] != self._refresh_token or self._clock() >= self._refresh_expires:
            raise PlatformError("100208")
        if self._dials.refresh_token == "rotating":  # noqa: S105 - a dial
            self._refresh_token = secrets.token_hex(16)
            self._refresh_expires = self._clock() + REFRESH_TOKEN_SECONDS
        return self._issue()

    def _check(self, fields: Mapping[str, Any], required: tuple[str, ...]) -> None:
        if not all(fields.get(name) for name in required):
            raise PlatformError("102202")
        if (fields["appId"], fields["secret"]) != (self._dials.app_id, self.secret):
            raise PlatformError("100208")
        if self._dials.frozen:
            raise PlatformError("100247")

    def _issue(self) -> Response:
        self.kill_token()
        return json_response(
            {
                "accessToken": self._access_token,
                "refreshToken": self._refresh_token,
                "tokenType": self._dials.token_type,
                "expiresIn": int(self._dials.token_life),
                "scope": "default",
            }
        )

    def kill_token(self) -> None:
        """Issue a new token, as when another program logs in: the one before is dead."""
        self._access_token = secrets.token_hex(16)
        self._expires = self._clock() + self._dials.token_life

    def check_application(self, request: Request) -> None:
        """Raises 100025 unless the header names the application."""
        if request.headers.get("app_key") != self._dials.app_id:
            raise PlatformError("100025")

    def check_token(self, request: Request) -> None:
        """Raises 1010005 unless the request carries the newest token, alive."""
        is_newest = (
            self._access_token is not None and request.headers.get("authorization") == f"Bearer {self._access_token}"
        )
        if not is_newest or self._clock() >= self._expires:
            raise PlatformError("1010005")
