"""Where the data lies, whose it is, and who may write.

    warehouse/
        source.json        the one platform, application and scope that this data is from
        raw/               responses as received (extract)
        lake/              core tables as Parquet, one file per table and month
        published/         DuckDB files, one per publication; never changed after they are served
        iodm.duckdb        a symlink to the one that is served
        reports/           the report page, as Dagster writes it
        hold.json          while an older one is served on purpose (hold)

Holds paths, the lock and small durable-file helpers; nothing here knows what the files mean.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import filelock
import msgspec
import requests

from pipelines.errors import IodmError, SettingsError, StorageError
from pipelines.settings import Settings

SIMULATOR_APP_ID = "simulator"


@dataclass(frozen=True)
class Warehouse:
    """The folder and its parts."""

    root: Path

    @property
    def raw(self) -> Path:
        """Committed syncs and the one under way."""
        return self.root / "raw"

    @property
    def lake(self) -> Path:
        """Parquet files."""
        return self.root / "lake"

    @property
    def published(self) -> Path:
        """Every kept publication."""
        return self.root / "published"

    @property
    def report_page(self) -> Path:
        """The report page of what is served."""
        return self.root / "reports" / "upgrade_report.html"

    @property
    def link(self) -> Path:
        """What clients open."""
        return self.root / "iodm.duckdb"

    @property
    def work(self) -> Path:
        """Scratch space of the writer; anything in it may be deleted."""
        return self.root / "work"

    @property
    def quota_file(self) -> Path:
        """When the slots of the quota are free again."""
        return self.root / "calls.bin"

    @property
    def hold_file(self) -> Path:
        """There while publishing is held."""
        return self.root / "hold.json"

    def served_file(self) -> Path | None:
        """The file that is served now, or None before the first publication."""
        return self.link.resolve() if self.link.exists() else None


def open_warehouse(settings: Settings) -> Warehouse:
    """Return the warehouse that the settings name, with its folder made."""
    warehouse = Warehouse(settings.warehouse.absolute())
    with storage_errors(f"make the warehouse {warehouse.root}"):
        warehouse.root.mkdir(parents=True, exist_ok=True)
    return warehouse


def publications(warehouse: Warehouse) -> dict[int, Path]:
    """Every kept published file by its number, oldest first; files of other names are not ours."""
    names = ((file.stem.removeprefix("iodm-"), file) for file in warehouse.published.glob("iodm-*.duckdb"))
    return dict(sorted((int(name), file) for name, file in names if name.isdecimal()))


def served_number(warehouse: Warehouse) -> int | None:
    """The number of the publication that the symlink names, even if its file is gone; None before the first one.

    Raises:
        StorageError: somebody pointed it to another file.
    """
    if not warehouse.link.is_symlink():
        return None
    file = warehouse.link.readlink()
    number = file.stem.removeprefix("iodm-")
    if not number.isdecimal():
        raise StorageError(
            f"{warehouse.link} points to {file}, which is no publication",
            advice="`iodm rebuild` makes one and serves it",
        )
    return int(number)


def serve(warehouse: Warehouse, file: Path) -> None:
    """Point the symlink at a published file, in one rename; logs that stray writers left beside it go first."""
    for stray in (*warehouse.published.glob("*.wal"), warehouse.link.with_name(warehouse.link.name + ".wal")):
        stray.unlink(missing_ok=True)
    link = warehouse.root / ".iodm.duckdb.new"
    link.unlink(missing_ok=True)
    link.symlink_to(Path("published") / file.name)
    link.replace(warehouse.link)
    sync_to_disk(warehouse.root)


@contextlib.contextmanager
def writer_lock(warehouse: Warehouse, patience_seconds: float = 0.2) -> Iterator[None]:
    """Be the only one that writes here or calls the platform; the system frees the lock when the process dies.

    Raises:
        StorageError: another process holds it, after `patience_seconds` still (by default longer than `is_locked`).
    """
    lock = filelock.FileLock(warehouse.root / ".lock", timeout=patience_seconds)
    try:
        with storage_errors(f"lock {warehouse.root}"):
            lock.acquire()
    except filelock.Timeout:
        raise StorageError(
            f"another run is writing to {warehouse.root}",
            advice="Wait until it has ended; reading the published file needs no lock",
            is_retryable=True,
        ) from None
    try:
        yield
    finally:
        lock.release()


def is_locked(warehouse: Warehouse) -> bool:
    """True while a run writes here or calls the platform; makes nothing where there is no warehouse yet."""
    if not warehouse.root.is_dir():
        return False
    lock = filelock.FileLock(warehouse.root / ".lock", timeout=0)
    try:
        with storage_errors(f"lock {warehouse.root}"), lock:
            return False
    except filelock.Timeout:
        return True


def source_of(settings: Settings) -> dict[str, str]:
    """What identifies a source: host and port, application, scope. The simulator is one source at whatever port."""
    if settings.app_id == SIMULATOR_APP_ID and settings.is_local:
        return {"platform": "simulator", **settings.filters}
    host = (settings.base_url or "").split("://")[-1]
    return {"platform": host, "app_id": settings.app_id or "", **settings.filters}


def claim(warehouse: Warehouse, source: dict[str, str]) -> None:
    """Bind the warehouse to its source at the first sync.

    Raises:
        SettingsError: it belongs to another source.
    """
    file = _source_file(warehouse)
    if file.exists():
        check_source(warehouse, source)
        return
    with storage_errors(f"write {file}"):
        replace_file(file, msgspec.json.format(msgspec.json.encode(source), indent=2) + b"\n")


def _source_file(warehouse: Warehouse) -> Path:
    return warehouse.root / "source.json"


def read_source(warehouse: Warehouse) -> dict[str, str]:
    """The platform, application and scope that the warehouse is bound to; empty if it is not yet.

    Raises:
        StorageError: the file that says so is damaged.
    """
    file = _source_file(warehouse)
    try:
        return msgspec.json.decode(file.read_bytes(), type=dict[str, str]) if file.exists() else {}
    except msgspec.DecodeError as error:
        raise StorageError(
            f"{file} is torn or corrupt: {error}",
            advice="Restore it from a backup, or delete it: the next `iodm sync` writes it again",
        ) from None


def check_source(warehouse: Warehouse, source: dict[str, str]) -> None:
    """Refuse another source than the one that the warehouse is bound to, if it is bound.

    Raises:
        SettingsError: it belongs to another source.
    """
    known = read_source(warehouse)
    if known and known != source:
        differing = ", ".join(
            f"{key} {known.get(key, 'not set')!r} there, {source.get(key, 'not set')!r} here"
            for key in sorted({*known, *source})
            if known.get(key) != source.get(key)
        )
        raise SettingsError(
            f"the warehouse {warehouse.root} belongs to another source ({differing})",
            advice="Set IODM_WAREHOUSE to another folder, or the settings back; "
            "if the platform only changed its address, correct source.json",
        )


@contextlib.contextmanager
def storage_errors(doing: str, elsewhere: str = "Set IODM_WAREHOUSE to a folder that can be written") -> Iterator[None]:
    """Turn what the disk says into a `StorageError` that says what we were doing, and where it might work."""
    try:
        yield
    except IodmError:
        raise
    except OSError as error:
        if isinstance(error, (TimeoutError, requests.RequestException)):  # the network's
            raise
        advice = {
            errno.ENOSPC: "Free some space, then run it again: nothing is lost",
            errno.EDQUOT: "Free some space, then run it again: nothing is lost",
            errno.EROFS: elsewhere,
            errno.EACCES: f"{elsewhere}, or correct its permissions",
        }.get(error.errno or 0, "Check the disk and the folder's permissions, then run it again")
        raise StorageError(f"can't {doing}: {error.strerror or error}", advice=advice) from error


def replace_file(file: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    temporary = file.with_name(f".{file.name}.new")
    temporary.write_bytes(content)
    sync_to_disk(temporary)
    temporary.replace(file)
    sync_to_disk(file.parent)


def sync_to_disk(path: Path) -> None:
    """Make a file's or a folder's content survive a loss of power."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sha256_of(file: Path) -> str:
    """The sha256 of a file's content."""
    with file.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
