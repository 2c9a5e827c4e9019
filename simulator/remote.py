"""The control calls of a simulator that runs in another process: a method for each."""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import requests
from requests.adapters import HTTPAdapter

from simulator.faults import Fault
from simulator.server import Ready

_TIMEOUT_SECONDS = 120.0


class _NamedHost(HTTPAdapter):
    """Expects a host name in the certificate that is not the one in the address."""

    def __init__(self, name: str) -> None:
        self._name = name
        super().__init__()

    def init_poolmanager(self, *positional: Any, **named: Any) -> None:  # noqa: ANN401 - passed on
        """Called by requests."""
        super().init_poolmanager(*positional, server_hostname=self._name, assert_hostname=self._name, **named)


class RemoteControl:
    """What `Platform` offers beyond the API, over HTTP."""

    def __init__(self, ready: Ready) -> None:
        self._base_url = ready.base_url
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.verify = ready.ca_file or True
        if ready.tls_server_name:
            self._session.mount("https://", _NamedHost(ready.tls_server_name))
        if ready.client_cert and ready.client_key:
            self._session.cert = (ready.client_cert, ready.client_key)

    def _call(self, method: str, name: str, content: object = None, *, stream: bool = False) -> requests.Response:
        body = None if content is None else msgspec.json.encode(content)
        url = f"{self._base_url}/simulator/{name}"
        response = self._session.request(method, url, data=body, timeout=_TIMEOUT_SECONDS, stream=stream)
        if not response.ok:
            raise ValueError(f"{method} {url}: {response.text}")
        return response

    def statistics(self) -> dict[str, Any]:
        """What was received and what was answered, since the start."""
        return dict(self._call("GET", "statistics").json())

    def true_rates(self) -> list[dict[str, Any]]:
        """Every model and version with its true success rate."""
        return list(self._call("GET", "true-rates").json())

    def advance(self, seconds: float) -> str:
        """Let simulated time jump; returns the new instant."""
        return str(self._call("POST", "advance", {"seconds": seconds}).json()["simulated_at"])

    def set_faults(self, faults: Sequence[Fault]) -> None:
        """Replace the fault plan; its calls are numbered from 1 again."""
        self._call("PUT", "faults", list(faults))

    def set_drift(self, *, insertions: float = 0.0, removals: float = 0.0, changes: float = 0.0) -> None:
        """Mean numbers of events between two list calls, from now on."""
        self._call("POST", "drift", {"insertions": insertions, "removals": removals, "changes": changes})

    def kill_token(self) -> None:
        """Another program logs in: the token in use is dead."""
        self._call("POST", "kill-token")

    def create(self, count: int) -> list[str]:
        """Create tasks now; returns their ids."""
        return list(self._call("POST", "create", {"count": count}).json()["ids"])

    def remove(self, operation_ids: Sequence[str]) -> list[str]:
        """Let tasks vanish now; returns the ids of those that did."""
        return self._by_id("remove", operation_ids)

    def retry(self, operation_ids: Sequence[str]) -> list[str]:
        """Retry failed tasks now; returns the ids of those that are."""
        return self._by_id("retry", operation_ids)

    def hasten(self, operation_ids: Sequence[str]) -> list[str]:
        """Let tasks start, end or be retried now, whichever is next; returns their ids."""
        return self._by_id("hasten", operation_ids)

    def _by_id(self, name: str, operation_ids: Sequence[str]) -> list[str]:
        return list(self._call("POST", name, {"ids": list(operation_ids)}).json()["ids"])

    def operations(self) -> Iterator[bytes]:
        """The truth: every living task as it is served now, oldest first, each a JSON text."""
        with self._call("GET", "operations", stream=True) as response:
            yield from response.iter_lines(chunk_size=1 << 16)

    def close(self) -> None:
        """Close the connection."""
        self._session.close()
