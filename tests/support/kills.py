"""Syncs in a process that kills itself before, or in the middle of, a chosen operation on the raw store.

`Killer` starts this module as a process that has everything imported and forks a victim for each job: that takes
a tenth of the time of a new interpreter. In the victim every operation on a file or folder of the raw store goes
through `Disk`, which numbers and names them. An audit hook tells if one went past it.
"""

import functools
import io
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pipelines.extract import raw, recovery
from pipelines.progress import Silent
from pipelines.run import extract, sync
from pipelines.settings import Settings

PAGES_PER_FILE = 3  # so that a few pages make several files


@dataclass(frozen=True)
class Job:
    """A sync to run: where, how, and at which operation to die (0: never), in the middle of it if `is_torn`."""

    settings: dict[str, Any]
    is_full: bool
    dies_at: int = 0
    is_torn: bool = False
    publishes: bool = False
    lives_seconds: float | None = None  # killed from outside after so long


@dataclass(frozen=True)
class Outcome:
    """What became of a victim: how it ended (0, an exit code, or minus a signal), and the operations it came to."""

    status: int
    operations: list[str]


class Disk:
    """Numbers the operations on the raw store, and dies at the chosen one."""

    def __init__(self, root: Path, dies_at: int, tell: Callable[[str], None], *, is_torn: bool) -> None:
        self._root, self._dies_at, self._is_torn, self._tell = root, dies_at, is_torn, tell
        self.count = 0
        self._is_ours = threading.local()

    def step(self, verb: str, path: Path, half: Callable[[], object] = lambda: None) -> None:
        """An operation is about to happen."""
        if not self.holds(path):
            return
        self.count += 1
        name = "its place" if "=" in path.name else path.name
        self._tell(f"{verb} {name}")
        if self.count == self._dies_at:
            if self._is_torn:
                half()
            os.kill(os.getpid(), signal.SIGKILL)

    def holds(self, path: Path) -> bool:
        return path == self._root or self._root in path.parents

    def install(self) -> None:
        """From now on nothing reaches the raw store but through here."""
        disk, opened, fsync = self, io.open, os.fsync

        class File(io.FileIO):
            def __init__(self, path: Path, mode: str) -> None:
                self.path = path
                disk.step("open", path)
                disk._is_ours.now = True
                super().__init__(path, mode)
                disk._is_ours.now = False

            def write(self, content: Any) -> int:
                whole = bytes(content)
                disk.step("write", self.path, lambda: super(File, self).write(whole[: len(whole) // 2]))
                return super().write(content)

            def truncate(self, size: int | None = None) -> int:
                disk.step("truncate", self.path)
                return super().truncate(size)

        def open_watched(file: Any, mode: str = "r", *positional: Any, **named: Any) -> Any:
            path = Path(file) if isinstance(file, str | Path) else Path()
            if not set(mode) & set("wxa+") or not disk.holds(path):
                return opened(file, mode, *positional, **named)
            assert "b" in mode
            return io.BufferedWriter(File(path, mode.replace("b", "")))

        def fsync_watched(handle: int) -> None:
            disk.step("fsync", Path(f"/proc/self/fd/{handle}").readlink())
            fsync(handle)

        io.open, os.fsync = open_watched, fsync_watched
        for verb in ("rename", "replace", "mkdir", "unlink", "rmdir"):
            setattr(os, verb, self._watched(verb, getattr(os, verb)))
        sys.addaudithook(self._notice)

    def _watched(self, verb: str, original: Callable[..., Any]) -> Callable[..., Any]:
        def watched(path: Any, *positional: Any, **named: Any) -> Any:
            folder = named.get("dir_fd")
            at = Path(f"/proc/self/fd/{folder}").readlink() if folder is not None else Path()
            self.step(verb, at / path)
            self._is_ours.now = True
            try:
                return original(path, *positional, **named)
            finally:
                self._is_ours.now = False

        return watched

    def _notice(self, event: str, arguments: tuple[Any, ...]) -> None:
        is_write = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        if not is_write and event not in ("os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.truncate"):
            return
        is_ours, path = getattr(self._is_ours, "now", False), arguments[0]
        if not is_ours and isinstance(path, str | Path) and self.holds(Path(path)):
            self._tell(f"UNSEEN {event} {path}")


def _be_a_victim(job: Job, tell: Callable[[str], None]) -> None:
    raw.PAGES_PER_FILE = recovery.PAGES_PER_FILE = PAGES_PER_FILE
    if job.dies_at or not job.publishes:
        raw.FSYNC_SECONDS = 0.0  # every page is flushed, so that every page can be torn
    settings = Settings(_env_file=None, **job.settings)
    disk = Disk(settings.warehouse / "raw", job.dies_at, tell, is_torn=job.is_torn)
    if job.lives_seconds is None:
        disk.install()
    run = sync if job.publishes else extract
    run(settings, Silent(), is_full=job.is_full)


def _tell(pipe: int, text: str) -> None:
    os.write(pipe, f"{text}\n".encode())


def _serve() -> None:
    """A victim for each line on standard input."""
    for line in sys.stdin:
        job = Job(**json.loads(line))
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            code = 1
            with suppress(BaseException):
                _be_a_victim(job, functools.partial(_tell, writing))
                code = 0
            os._exit(code)
        os.close(writing)
        if job.lives_seconds is not None:
            time.sleep(job.lives_seconds)
            os.kill(child, signal.SIGKILL)
        with os.fdopen(reading) as told:
            operations = told.read().splitlines()
        _, status = os.waitpid(child, 0)
        print(json.dumps(asdict(Outcome(os.waitstatus_to_exitcode(status), operations))), flush=True)  # noqa: T201


class Killer:
    """Runs jobs in processes of their own, one after the other."""

    def __enter__(self) -> Self:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("IODM_")}
        tests = Path(__file__).parent.parent
        self._process = subprocess.Popen(
            [sys.executable, "-m", "support.kills"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=tests.parent,
            env=environment | {"PYTHONPATH": os.pathsep.join([str(tests), str(tests.parent)])},
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._process:
            if self._process.stdin:
                self._process.stdin.close()

    def run(self, job: Job) -> Outcome:
        """Run a job to its end, whatever that is."""
        if not self._process.stdin or not self._process.stdout:
            raise RuntimeError("not entered")
        self._process.stdin.write(json.dumps(asdict(job)) + "\n")
        self._process.stdin.flush()
        return Outcome(**json.loads(self._process.stdout.readline()))


def first_and_last(operations: Sequence[str]) -> dict[str, int]:
    """Name and number of the first and the last operation of each kind; later files of records count as one."""
    found: dict[str, int] = {}
    for number, operation in enumerate(operations, 1):
        name = re.sub(r"records-(?!00000)\d+.jsonl.zst", "later records", operation)
        found.setdefault(name, number)
        if number > found[name]:
            found[f"{name}, last"] = number
    return found


if __name__ == "__main__":
    _serve()
