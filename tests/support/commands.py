"""The command `iodm` as a real process."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simulator.dials import Dials

FROZEN = Dials(
    tasks=450, start="2026-03-04T12:00:00Z", speed=0, throttle=0, app_id="app-1", secret="a-simulated-secret"
)
IODM = str(Path(sys.executable).with_name("iodm"))


@dataclass
class Iodm:
    """Runs commands in a folder of their own, with nothing but the given settings in the environment."""

    folder: Path
    settings: dict[str, Any]

    def environment(self, **settings: Any) -> dict[str, str]:
        plain = {name: value for name, value in os.environ.items() if not name.startswith("IODM_")}
        return plain | {name: str(value) for name, value in (self.settings | settings).items() if value is not None}

    def served(self) -> tuple[Path, bytes]:
        """The served file and its content."""
        file = (self.folder / "warehouse" / "iodm.duckdb").resolve()
        return file, file.read_bytes()

    def start(self, *arguments: str, **settings: Any) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [IODM, *arguments],
            cwd=self.folder,
            env=self.environment(**settings),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, **settings: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [IODM, *arguments],
            cwd=self.folder,
            env=self.environment(**settings),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def ok(self, *arguments: str, **settings: Any) -> str:
        done = self.run(*arguments, **settings)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def fails(self, code: int, *arguments: str, **settings: Any) -> str:
        """The error's line: exactly one, the last on stderr, no traceback, nothing on stdout."""
        done = self.run(*arguments, **settings)
        assert done.returncode == code, (done.returncode, done.stderr)
        assert "Traceback" not in done.stderr
        errors = [line for line in done.stderr.splitlines() if line.startswith("Error:")]
        assert len(errors) == 1, done.stderr
        assert done.stderr.rstrip().splitlines()[-1] == errors[0]
        assert done.stdout == ""
        return errors[0]
