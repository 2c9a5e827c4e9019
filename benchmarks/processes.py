"""One program as a process of its own: how long it took, what it needed, and when it said what."""

import itertools
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
PEERS = HERE.parent / ".peers"


@dataclass(frozen=True)
class Run:
    """A finished process. `steps` are seconds between its log lines, by their text; memory is the peak resident set."""

    seconds: float
    cpu_seconds: float
    peak_mib: int
    steps: dict[str, float]
    output: str


def run(command: Sequence[str | Path], folder: Path, settings: Mapping[str, str] | None = None) -> Run:
    """Run a program in `folder` to its end; `settings` are the only IODM_* that it sees.

    Raises:
        RuntimeError: it failed; the message holds what it said last.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith("IODM_")}
    environment |= {"RUNTIME__DLTHUB_TELEMETRY": "false", **(settings or {})}
    started = time.perf_counter()
    said: list[tuple[float, str]] = []  # when, and what
    with (folder / "output").open("w+") as output:
        child = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.PIPE,
            text=True,
        )
        said.extend((time.perf_counter(), line.rstrip()) for line in child.stderr)
        _, status, usage = os.wait4(child.pid, 0)
        ended = time.perf_counter()
        child.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        text = output.read()
    if child.returncode:
        raise RuntimeError(f"{command} ended with {child.returncode}:\n" + "\n".join(line for _, line in said[-20:]))
    return Run(ended - started, usage.ru_utime + usage.ru_stime, usage.ru_maxrss // 1024, _steps(said, ended), text)


def _steps(said: Sequence[tuple[float, str]], ended: float) -> dict[str, float]:
    """Seconds from each `INFO <step>` line to the next; lines about progress within a step contain a colon."""
    begun = [(at, line.split(" INFO ", 1)[1]) for at, line in said if " INFO " in line]
    begun = [(at, text) for at, text in begun if ": " not in text]
    steps: dict[str, float] = {}
    for (at, text), (until, _) in itertools.pairwise([*begun, (ended, "")]):
        steps[text] = steps.get(text, 0.0) + until - at
    return steps


def iodm(*arguments: str) -> list[str | Path]:
    """The command `iodm`, in the environment that the benchmark runs in."""
    return [sys.executable, "-c", "from pipelines.cli import main; main()", *arguments]


def peer_python(name: str) -> Path:
    """The interpreter of a peer's own environment in `.peers/`, made once from `requirements-<name>.txt`."""
    requirements = HERE / f"requirements-{name}.txt"
    folder = PEERS / name
    stamp = folder / "requirements.txt"
    if not stamp.is_file() or stamp.read_text() != requirements.read_text():
        print(f"Making .peers/{name}, once …", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        install = [folder / "bin" / "pip", "--quiet", "--disable-pip-version-check", "install", "-r", requirements]
        subprocess.run(install, check=True)
        shutil.copy(requirements, stamp)
    return folder / "bin" / "python"
