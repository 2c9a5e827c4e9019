"""What the user may set: `IODM_*` in the environment or in `.env`. The command line and Dagster read the same class.

Nothing else in the project reads the environment. A wrong value becomes one `SettingsError` that names the variable
and says what to write; secrets are `SecretStr`, so that no repr, log or error shows them.
"""

from __future__ import annotations

import contextlib
import functools
import ipaddress
import logging
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from dotenv import dotenv_values
from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from pipelines.errors import SettingsError

FILTERS = ("operation_type", "device_type", "model", "manufacturer_name", "device_id")
"""The scope: settings that are the API's own list filters, in the API's order."""


log = logging.getLogger("iodm")

_ADDRESS = re.compile(r"https?://(\w[\w.-]*|\[[\da-f:.]+\])(:\d+)?/*", re.IGNORECASE)
Cron = Annotated[str, Field(pattern=r"^\s*\S+(\s+\S+){4}\s*$")]


class Schedule(BaseSettings):
    """When Dagster runs what, in UTC; apart from the others, because Dagster asks for it before any run."""

    model_config = SettingsConfigDict(env_prefix="IODM_", env_file=".env", env_ignore_empty=True, extra="ignore")

    sync_cron: Cron = "*/15 * * * *"
    full_cron: Cron = "5 2 * * *"


class Settings(Schedule):
    """All settings with their defaults; see the README for a table of them."""

    base_url: str | None = None
    app_id: str | None = None
    secret: SecretStr | None = None
    access_token: SecretStr | None = None
    ca_file: Path | None = None
    client_cert: Path | None = None
    client_key: Path | None = None
    tls_server_name: str | None = None
    calls_per_minute: Annotated[int, Field(ge=1, le=100_000)] = 100
    page_size: Annotated[int, Field(ge=1, le=100)] = 100
    timeout_seconds: Annotated[float, Field(gt=0, le=600)] = 30
    operation_type: Literal["firmware_upgrade", "software_upgrade"] | None = None
    device_type: str | None = None
    model: str | None = None
    manufacturer_name: str | None = None
    device_id: str | None = None
    warehouse: Path = Path("warehouse")
    memory_limit: Annotated[str, Field(pattern=r"^[0-9]{1,7}(\.[0-9]+)? ?([KMGT]i?B)$")] = "1GB"
    target_success_rate: Annotated[float, Field(gt=0, lt=1)] = 0.95
    resume_hours: Annotated[float, Field(ge=0, le=100_000)] = 24
    alert_webhook: SecretStr | None = None

    @field_validator("app_id", "access_token", mode="before")
    @classmethod
    def _is_fit_for_a_header(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        text = value.strip()  # files of secrets end with a line break
        if not fits_a_header(text):
            raise ValueError("it has characters that a header can't carry, quotes or dashes of a text editor perhaps")
        return text

    @field_validator("warehouse")
    @classmethod
    def _is_no_pattern(cls, value: Path) -> Path:
        folder = value.expanduser()
        if set("*?\\") & set(str(folder.absolute())):
            raise ValueError("DuckDB takes `*`, `?` and `\\` in a folder's name for a pattern: choose another folder")
        return folder

    @field_validator("alert_webhook")
    @classmethod
    def _is_web_address(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and urlsplit(value.get_secret_value()).scheme not in {"http", "https"}:
            raise ValueError("write the https:// address of a webhook that takes Slack's JSON")
        return value

    @field_validator("base_url")
    @classmethod
    def _is_https_or_loopback(cls, value: str | None) -> str | None:
        if value is None:
            return None
        value = value.strip()
        if not _ADDRESS.fullmatch(value):  # urlsplit drops tabs, and takes passwords, which would go into source.json
            raise ValueError("write https://host:8743, without blanks, user, password, path, query or fragment")
        parts = urlsplit(value)
        _ = parts.port  # raises ValueError for a port that is none
        if parts.scheme == "http" and not _is_loopback(parts.hostname or ""):
            raise ValueError("plain http to another machine would send the secret in clear: write https://")
        return value.rstrip("/")

    @field_validator("ca_file", "client_cert", "client_key")
    @classmethod
    def _is_readable(cls, value: Path | None) -> Path | None:
        if value is not None and not value.is_file():
            raise ValueError(f"no such file: {value}")
        return value

    @model_validator(mode="after")
    def _has_both_halves_of_the_client_certificate(self) -> Settings:
        if self.client_key and not self.client_cert:
            raise ValueError("IODM_CLIENT_KEY without IODM_CLIENT_CERT: set both, or a certificate that holds its key")
        return self

    @property
    def filters(self) -> dict[str, str]:
        """The scope as query parameters in the API's spelling, without those not set."""
        values = {_camel(name): getattr(self, name) for name in FILTERS}
        return {name: value for name, value in values.items() if value is not None}

    @property
    def is_local(self) -> bool:
        """True if the platform is on this machine, as the simulator is."""
        return self.base_url is not None and _is_loopback(urlsplit(self.base_url).hostname or "")


def load_settings(**overrides: object) -> Settings:
    """Read the environment and `.env`; `overrides` win over both. A name that is no setting's is warned of, once.

    Raises:
        SettingsError: a value is wrong; the message names the variable and what to write.
    """
    known = {f"IODM_{name.upper()}" for name in Settings.model_fields}
    for name in sorted({*os.environ, *dotenv_values(".env")}):
        if name.upper().startswith("IODM_") and name.upper() not in known:
            _warn_of(name)
    with _named_errors():
        return Settings(**overrides)  # type: ignore[arg-type]


@functools.cache
def _warn_of(name: str) -> None:
    log.warning("%s is no setting, and changes nothing: is it misspelt?", name)


def load_schedule() -> Schedule:
    """Read when to run what, and nothing else.

    Raises:
        SettingsError: a value is wrong.
    """
    with _named_errors():
        return Schedule()


@contextlib.contextmanager
def _named_errors() -> Iterator[None]:
    try:
        yield
    except ValidationError as error:
        problems = "; ".join(_describe(dict(item)) for item in error.errors())
        raise SettingsError(problems, advice="Correct it in the environment or in .env") from None


def require_platform(settings: Settings) -> None:
    """Check that the settings name a platform and a way to log in.

    Raises:
        SettingsError: which variables to set.
    """
    missing = {}
    if settings.base_url is None:
        missing["IODM_BASE_URL is not set"] = "Set IODM_BASE_URL to https://host:8743, or try `iodm demo`"
    if settings.app_id is None:
        missing["IODM_APP_ID is not set"] = "Set IODM_APP_ID to the application id that the platform allocated"
    if settings.secret is None and settings.access_token is None:
        missing["neither IODM_SECRET nor IODM_ACCESS_TOKEN is set"] = "Set IODM_SECRET to the application's secret"
    if missing:
        raise SettingsError("; ".join(missing), advice=". ".join(missing.values()))


def fits_a_header(text: str) -> bool:
    """True if a header can carry the text as it is: no line breaks, no letters beyond ASCII."""
    return text.isascii() and text.isprintable()


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.title() for word in rest)


def _describe(problem: dict[str, object]) -> str:
    message = str(problem["msg"]).removeprefix("Value error, ")
    location = problem["loc"]
    if not isinstance(location, tuple) or not location:
        return message
    if problem["type"] == "string_pattern_mismatch":
        message = f"write it like {Settings.model_fields[location[0]].default!r}"
    return f"IODM_{str(location[0]).upper()}: {message}"
