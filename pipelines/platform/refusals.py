"""What a user is told when a call ended for good: what was asked, what came back, what to try."""

from __future__ import annotations

from pipelines.errors import PlatformError
from pipelines.platform.outcomes import Outcome, Response

_REFUSED_ADVICE = {
    "100208": "Check IODM_APP_ID and IODM_SECRET",
    "100025": "Check IODM_APP_ID",
    "100247": "Ask the platform's operator to unfreeze this application",
    "120015": "Check the filters: IODM_OPERATION_TYPE, IODM_DEVICE_TYPE, IODM_MODEL, IODM_MANUFACTURER_NAME",
}


def refused(method: str, url: str, status: int | None, response: Response) -> PlatformError:
    """The error for a call that the platform will answer in the same way next time."""
    advice = response.advice or _REFUSED_ADVICE.get(
        response.error_code or "", "Check IODM_BASE_URL, IODM_APP_ID and what this application may do"
    )
    return PlatformError(
        f"{method} {url} was refused: {response.detail}",
        advice=advice,
        method=method,
        url=url,
        status=status,
        error_code=response.error_code,
    )


def gave_up(
    method: str, url: str, response: Response, *, attempts: int, seconds: float, has_answered: bool
) -> PlatformError:
    """The error for a call that kept failing; `has_answered` is whether the host ever did in this run."""
    advice = "Run it again later"
    if not has_answered:
        advice = "Check IODM_BASE_URL, and that this machine may reach it"
        advice += f". {response.advice}" if response.advice and url.startswith("https") else ""
    if response.outcome is Outcome.THROTTLED:
        advice = "Another program uses this application's quota: lower IODM_CALLS_PER_MINUTE, or stop it"
    if response.outcome is Outcome.TOKEN_DEAD:
        advice = "Check IODM_APP_ID: the platform does not take the tokens that it gives"
    return PlatformError(
        f"gave up on {method} {url} after {attempts} attempts in {seconds:.0f} s: {response.detail}",
        advice=advice,
        method=method,
        url=url,
        error_code=response.error_code,
        attempts=attempts,
        is_retryable=True,
    )
