"""What an operator should hear of: incidents in the published file, and the message to a webhook.

An incident has a name that stays the same as long as it lasts, and a line of text. The caller remembers which of them
were told. No text holds a secret or a device's id. Fails with `StorageError` where nothing is published.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import requests

from pipelines.errors import PlatformError
from pipelines.report import open_published
from pipelines.sql_text import scalar
from pipelines.warehouse import Warehouse

MAX_OUTSIDE_RATES = 0.01
SHOWN = 10
TIMEOUT_SECONDS = 10

_HOTSPOTS = """
select
    'hotspot/' || to_json([operation_type, manufacturer_name, model, device_type, file_version]),
    format('{} {} {} ({}): {:.1f} % of {:,} upgrades succeed, {:.1f} % of its peers',
        coalesce(manufacturer_name, '?'), coalesce(model, '?'), coalesce(file_version, '?'), coalesce(device_type, '?'),
        100 * success_rate, finished, 100 * peer_rate)
from marts.failure_hotspots
"""
_STALLED = """
select
    'stalled/' || operation_id,
    format('task {} ({} {}) stands still for {}; {:,} devices are left',
        operation_id, coalesce(model, '?'), coalesce(file_version, '?'),
        to_seconds(cast(unchanged_seconds as bigint)), coalesce(devices_left, 0))
from marts.stalled_operations
"""
_QUARANTINE = """
select 'quarantine', format('{:,} of {:,} tasks are outside the rates: their records are broken',
    operations_outside_rates, operations + operations_outside_rates)
from marts.snapshot
where operations_outside_rates > $share * (operations + operations_outside_rates)
"""
_UNPROVEN = """
select 'unproven', format('sync {} is unproven: the tasks met are not as many as the platform says there are', sync_id)
from marts.snapshot
where grade = 'unproven'
"""


def incidents(warehouse: Warehouse, stale_after: timedelta, now: datetime | None = None) -> dict[str, str]:
    """What is wrong with the data that is served, by name.

    Raises:
        StorageError: nothing is published, or the file can't be opened.
    """
    now = (now or datetime.now(UTC)).replace(tzinfo=None)
    with open_published(warehouse) as connection:
        found: dict[str, str] = {}
        for query, parameters in (
            (_UNPROVEN, {}),
            (_QUARANTINE, {"share": MAX_OUTSIDE_RATES}),
            (_HOTSPOTS, {}),
            (_STALLED, {}),
        ):
            found |= dict(connection.execute(query, parameters).fetchall())
        observed_at = scalar(connection, "select observed_at from marts.snapshot")
    if now - observed_at > stale_after:
        found["stale"] = f"the data is of {observed_at:%Y-%m-%d %H:%M} UTC: no sync was published since"
    return found


def message(begun: dict[str, str], over: dict[str, str], title: str) -> str:
    """What to say of incidents that begun and of those that are over, as Slack's mrkdwn."""
    lines = [f"*{title}*"]
    for sign, told in (("\u26a0\ufe0f", begun), ("\u2705 over:", over)):
        lines += [f"{sign} {text}" for text in list(told.values())[:SHOWN]]
        if len(told) > SHOWN:
            lines.append(f"{sign} and {len(told) - SHOWN} more")
    return "\n".join(lines)


def post(webhook: str, text: str) -> None:
    """Post a message as Slack takes it.

    Raises:
        PlatformError: it was not taken. The webhook's address is a secret and not in it.
    """
    try:
        with requests.post(webhook, json={"text": text}, timeout=TIMEOUT_SECONDS) as response:
            status = response.status_code
    except requests.RequestException as error:
        reason = type(error).__name__
        raise PlatformError(
            f"the alert could not be posted: {reason}", advice="Check IODM_ALERT_WEBHOOK", is_retryable=True
        ) from None
    if status >= 300:
        raise PlatformError(
            f"the alert was refused with HTTP {status}", advice="Check IODM_ALERT_WEBHOOK", is_retryable=True
        )
