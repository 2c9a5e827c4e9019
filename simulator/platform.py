"""The platform: one request in, one response out. No web framework, no socket, no thread, no sleep.

`Platform` is what the tests drive in process, and what `simulator.app` puts behind HTTP.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from simulator import catalogue, listing, misconduct
from simulator.accounts import Accounts
from simulator.clock import SimulatedTime, http_date, iso_text, start_instant
from simulator.dials import Dials
from simulator.faults import Fault, FaultPlan
from simulator.messages import JSON, PlatformError, Request, Response, html_response
from simulator.state import State
from simulator.timeline import Status
from simulator.traffic import Traffic
from simulator.world import Drift, World

LOGIN = "/iocm/app/sec/v1.1.0/login"
REFRESH = "/iocm/app/sec/v1.1.0/refreshToken"
OPERATIONS = "/iodm/northbound/v1.5.0/operations"
_KINDS = {("POST", LOGIN): "login", ("POST", REFRESH): "refresh", ("GET", OPERATIONS): "list"}


class Platform:
    """A whole platform in one object.

    Args:
        dials: How it behaves.
        faults: The fault plan.
        clock: Real seconds, for the throttle, token life, and the pace of simulated time. Tests inject their own.
        state: Where an earlier platform with the same dials stood; it goes on from there.
    """

    def __init__(
        self,
        dials: Dials | None = None,
        faults: Sequence[Fault] = (),
        *,
        clock: Callable[[], float] = time.monotonic,
        state: State | None = None,
    ) -> None:
        self.dials = dials or Dials()
        started = state.started if state else start_instant(self.dials.start)
        simulated = SimulatedTime(state.resumed(self.dials.speed) if state else started, self.dials.speed, clock)
        self.started = started
        self.world = World(self.dials, simulated, started, state.journal if state else ())
        self.traffic = Traffic(self.dials, clock)
        self.accounts = Accounts(self.dials, clock)
        self.plan = FaultPlan(faults)

    @property
    def app_id(self) -> str:
        """What a client logs in with."""
        return self.dials.app_id

    @property
    def secret(self) -> str:
        """What a client logs in with."""
        return self.accounts.secret

    def handle(self, request: Request) -> Response:
        """Answer one request."""
        kind = _kind(request)
        self.traffic.receive(kind or "other")
        if kind is None:
            return self._dated(html_response(404, "Not Found"))
        fault = self.plan.choose(kind, request)
        try:
            response = self._answer(kind, request, fault)
        except PlatformError as error:
            self.traffic.errors[error.error_code] += 1
            response = error.response()
        return self._dated(misconduct.spoil(fault, response) if fault else response)

    def _dated(self, response: Response) -> Response:
        headers = {**response.headers, "date": http_date(self.now())}
        return Response(response.status, headers, response.body, response.misbehaviour)

    def _answer(self, kind: str, request: Request, fault: Fault | None) -> Response:
        is_account = kind in ("login", "refresh")
        if not is_account:
            self.accounts.check_application(request)
        self.traffic.throttle(kind)
        instead = misconduct.answer_instead(fault) if fault else None
        if instead is not None:
            return instead
        if is_account:
            response = self.accounts.log_in(request) if kind == "login" else self.accounts.refresh(request)
            self._kill_token_if(fault)
            return response
        self._kill_token_if(fault)
        self.accounts.check_token(request)
        if self.dials.seconds_per_call:
            self.advance(self.dials.seconds_per_call)
        return self._list(request, fault) if kind == "list" else self._operation(request)

    def _kill_token_if(self, fault: Fault | None) -> None:
        if fault and fault.action == "kill_token":
            self.kill_token()

    def _list(self, request: Request, fault: Fault | None) -> Response:
        asked = listing.check_range(listing.parse(request.query), self.dials)
        self.world.drift_before_list()
        now = self.world.settle()
        query = misconduct.bend_query(fault, asked)
        positions = self.world.search.positions(query.wanted)
        page = listing.page_of(query, positions, self.dials, lambda chosen: self.world.records.get(chosen, now))
        return listing.envelope(misconduct.bend_page(fault, page, asked), self.dials)

    def _operation(self, request: Request) -> Response:
        now = self.world.settle()
        position = self.world.fleet.find(request.path.removeprefix(OPERATIONS + "/"))
        if position is None or self.world.fleet.status[position] == Status.GONE:
            raise PlatformError("123009")
        return Response(200, {"content-type": JSON}, self.world.records.get(np.array([position]), now)[0])

    # What follows is for tests and demos; each has a call under /simulator/.

    def now(self) -> float:
        """The simulated instant, in seconds since 1970."""
        return self.world.time.now()

    def advance(self, seconds: float) -> float:
        """Let simulated time jump; returns the new instant."""
        return self.world.time.advance(seconds)

    def statistics(self) -> dict[str, Any]:
        """What was received and what was answered, since the start."""
        self.world.settle()
        counts = np.bincount(self.world.fleet.status, minlength=len(Status)).tolist()
        calls = self.traffic.calls
        return {
            "simulated_at": iso_text(self.now()),
            "calls": dict(calls),
            "total_calls": sum(calls.values()),
            "logins": calls["login"],
            "refreshes": calls["refresh"],
            "throttled": self.traffic.throttled,
            "errors": dict(self.traffic.errors),
            "max_calls_in_60_seconds": self.traffic.most_in_a_minute,
            "faults_acted": list(self.plan.acted),
            "operations": self.world.fleet.size - counts[Status.GONE],
            "operations_by_status": {status.name.lower(): counts[status] for status in Status if status != Status.GONE},
            "operations_gone": counts[Status.GONE],
            "cpu_seconds": time.process_time(),
        }

    def set_faults(self, faults: Sequence[Fault]) -> None:
        """Replace the fault plan; its calls are numbered from 1 again."""
        self.plan = FaultPlan(faults)

    def set_drift(self, *, insertions: float = 0.0, removals: float = 0.0, changes: float = 0.0) -> None:
        """Mean numbers of events between two list calls, from now on."""
        self.world.drift = Drift(insertions, removals, changes)

    def kill_token(self) -> None:
        """Another program logs in: the token in use is dead."""
        self.accounts.kill_token()

    def create(self, count: int) -> list[str]:
        """Create tasks now; returns their ids."""
        return self.world.create(count)

    def remove(self, operation_ids: Sequence[str]) -> list[str]:
        """Let tasks vanish now; returns the ids of those that did."""
        return self.world.remove(operation_ids)

    def retry(self, operation_ids: Sequence[str]) -> list[str]:
        """Retry failed tasks now; returns the ids of those that are."""
        return self.world.retry(operation_ids)

    def hasten(self, operation_ids: Sequence[str]) -> list[str]:
        """Let tasks start, end or be retried now, whichever is next; returns their ids."""
        return self.world.hasten(operation_ids)

    def operations(self) -> Iterator[bytes]:
        """The truth: every living task as it is served now, oldest first, each a JSON text."""
        return self.world.operations()

    def true_rates(self) -> list[dict[str, Any]]:
        """Every model and version with its true success rate."""
        return [asdict(rate) for rate in catalogue.true_rates()]

    def prerender(self) -> None:
        """Render every task, so that no later call has to."""
        self.world.records.prerender(self.world.settle())

    def state(self) -> State:
        """Where it stands, for a platform that goes on later."""
        return State.of(self.dials, self.started, self.now(), self.world.journal)


def _kind(request: Request) -> str | None:
    if (
        request.method == "GET"
        and request.path.startswith(OPERATIONS + "/")
        and request.path.count("/") == OPERATIONS.count("/") + 1
    ):
        return "operation"
    return _KINDS.get((request.method, request.path))
