"""Dagster's pages as a process: started as by `make ui`, asked over GraphQL as by its own pages, ended as by Ctrl-C."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import requests

LOCATION = "iodm_assets.definitions"


class Pages:
    """`python -m iodm_assets.ui` at a port; inside the block it serves."""

    def __init__(self, port: int, log: Path, settings: Mapping[str, str] | None = None) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._command = [sys.executable, "-m", "iodm_assets.ui", f"--port={port}"]
        self._environment = {**os.environ, **(settings or {})}
        self._log = log

    def __enter__(self) -> Self:
        with self._log.open("w") as log:
            self.process = subprocess.Popen(
                self._command, stdout=subprocess.PIPE, stderr=log, text=True, env=self._environment
            )
        assert self.process.stdout
        for line in self.process.stdout:
            if "in a browser" in line:
                return self
        raise AssertionError(f"it ended with {self.process.wait()}: {self._log.read_text()[-2_000:]}")

    def __exit__(self, *_: object) -> None:
        self.process.send_signal(signal.SIGINT)
        self.process.wait(90)
        if self.process.stdout:
            self.process.stdout.close()

    def ask(self, query: str, **variables: object) -> dict[str, Any]:
        """The data of a GraphQL answer."""
        content = {"query": query, "variables": variables}
        return requests.post(f"{self.url}/graphql", json=content, timeout=60).json()["data"]

    def launch(self, job: str = "sync_operations") -> str:
        """Start a run as the button does; returns its id."""
        selector = {"repositoryName": "__repository__", "repositoryLocationName": LOCATION, "jobName": job}
        started = self.ask(
            "mutation Launch($it: ExecutionParams!) { launchPipelineExecution(executionParams: $it) "
            "{ ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }",
            it={"selector": selector, "runConfigData": {}},
        )
        return started["launchPipelineExecution"]["run"]["runId"]

    @contextmanager
    def without_ticks(self, schedule: str = "sync_operations_schedule") -> Iterator[None]:
        """Inside the block the schedule is off and no run is under way that a test did not start."""
        selector = {"repositoryName": "__repository__", "repositoryLocationName": LOCATION, "scheduleName": schedule}
        found = self.ask(
            "query($it: ScheduleSelector!) { scheduleOrError(scheduleSelector: $it) { ... on Schedule { id } } }",
            it=selector,
        )
        stopped = self.ask(
            "mutation($id: String!) { stopRunningSchedule(id: $id) { ... on ScheduleStateResult "
            "{ scheduleState { status } } ... on PythonError { message } } }",
            id=found["scheduleOrError"]["id"],
        )
        assert stopped["stopRunningSchedule"]["scheduleState"]["status"] == "STOPPED", stopped
        try:
            for run in self.runs():
                self.status_at_its_end(run["runId"])
            yield
        finally:
            self.ask(
                "mutation($it: ScheduleSelector!) { startSchedule(scheduleSelector: $it) { __typename } }", it=selector
            )

    def terminate(self, run_id: str) -> None:
        """End a run as the button does."""
        self.ask(
            "mutation End($id: String!) { terminateRun(runId: $id) { __typename ... on PythonError { message } } }",
            id=run_id,
        )

    def runs(self) -> list[dict[str, Any]]:
        """All runs, newest first: `runId`, `status`, `jobName`, `tags`."""
        return self.ask("{ runsOrError { ... on Runs { results { runId status jobName tags { key value } } } } }")[
            "runsOrError"
        ]["results"]

    def status(self, run_id: str) -> str:
        """Its status now."""
        data = self.ask("query($id: ID!) { runOrError(runId: $id) { ... on Run { status } } }", id=run_id)
        return data["runOrError"]["status"]

    def status_at_its_end(self, run_id: str, seconds: float = 180) -> str:
        """Its status once it has ended."""
        until = time.monotonic() + seconds
        while (status := self.status(run_id)) not in {"SUCCESS", "FAILURE", "CANCELED"} and time.monotonic() < until:
            time.sleep(0.5)
        return status
