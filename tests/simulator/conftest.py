"""A client of a few lines, over real HTTP or in process, and a clock that tests turn."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import requests

from simulator.adapter import PlatformAdapter
from simulator.dials import Dials
from simulator.platform import LOGIN, OPERATIONS, REFRESH, Platform
from simulator.process import SimulatorProcess

START = "2026-03-04T12:00:00Z"


@dataclass
class Clock:
    """Seconds that pass only when somebody sleeps."""

    seconds: float = 1000.0

    def __call__(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds


@dataclass
class Client:
    """Calls the API as a program would; `control` is a Platform or a SimulatorProcess."""

    control: Any
    session: requests.Session
    base_url: str = "https://platform:8743"
    clock: Clock = field(default_factory=Clock)
    headers: dict[str, str] = field(default_factory=dict)

    def log_in(self) -> dict[str, Any]:
        form = {"appId": self.control.app_id, "secret": self.control.secret}
        answer = self.session.post(self.base_url + LOGIN, data=form, timeout=5).json()
        self.use(answer["accessToken"])
        return answer

    def refresh(self, refresh_token: str, **changes: Any) -> requests.Response:
        fields = {"appId": self.control.app_id, "secret": self.control.secret, "refreshToken": refresh_token}
        return self.session.post(self.base_url + REFRESH, json=fields | changes, timeout=5)

    def use(self, token: str) -> None:
        self.headers = {"app_key": self.control.app_id, "Authorization": f"Bearer {token}"}

    def get(self, query: str = "", operation_id: str = "", timeout: float = 5) -> requests.Response:
        path = f"{OPERATIONS}/{operation_id}" if operation_id else OPERATIONS
        return self.session.get(f"{self.base_url}{path}?{query}", headers=self.headers, timeout=timeout)

    def page(self, **parameters: Any) -> dict[str, Any]:
        parameters.setdefault("pageSize", 100)
        response = self.session.get(self.base_url + OPERATIONS, params=parameters, headers=self.headers, timeout=5)
        assert response.status_code == 200, response.text
        return response.json()

    def everything(self, **parameters: Any) -> list[Any]:
        records: list[Any] = []
        while True:
            page = self.page(pageNo=len(records) // 100, **parameters)
            records += page["data"]
            if len(page["data"]) < 100:
                assert len(records) == page["totalCount"]
                return records


def error_of(response: requests.Response) -> tuple[int, str]:
    body = response.json()
    assert set(body) == {"error_code", "error_desc"}
    return response.status_code, body["error_code"]


def make_client(*, faults: Any = (), is_logged_in: bool = True, **dials: Any) -> Client:
    defaults = {"tasks": 40, "tasks_per_day": 60, "start": START, "speed": 0, "throttle": 0, "quirks": 0}
    clock = Clock()
    platform = Platform(Dials(**(defaults | dials)), faults, clock=clock)
    session = requests.Session()
    session.mount("https://", PlatformAdapter(platform, sleep=clock.sleep))
    client = Client(platform, session, clock=clock)
    if is_logged_in:
        client.log_in()
    return client


@pytest.fixture
def make() -> Callable[..., Client]:
    """Makes a client of a fresh platform, in process."""
    return make_client


@pytest.fixture(scope="session")
def make_once() -> Callable[..., Client]:
    """The same for fixtures that live longer than a test."""
    return make_client


@pytest.fixture
def error() -> Callable[[requests.Response], tuple[int, str]]:
    """Status and error_code of an error response."""
    return error_of


@pytest.fixture(scope="session")
def server() -> Iterator[SimulatorProcess]:
    """One simulator process for all tests that only read it or set its fault plan."""
    with SimulatorProcess(Dials(tasks=400, start=START, speed=0, throttle=0, quirks=0)) as process:
        yield process


@pytest.fixture
def http(server: SimulatorProcess) -> Iterator[Client]:
    """A client over real HTTP."""
    with requests.Session() as session:
        session.trust_env = False
        server.set_faults([])
        client = Client(server, session, server.base_url)
        client.log_in()
        yield client
        server.set_faults([])


@pytest.fixture(params=["in process", "http"])
def either(request: pytest.FixtureRequest) -> Client:
    """The same platform, once in process and once over HTTP."""
    if request.param == "http":
        return request.getfixturevalue("http")
    return make_client(tasks=400, tasks_per_day=2000)
