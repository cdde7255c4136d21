"""Where a run's files are kept when its worker may be on another machine: a shared folder, or what fsspec can reach.

The worker runs in a folder of its own machine. Before the job it fetches what an earlier attempt left, and during the
job it stores what has changed. A checkpoint's name is made from its content, so half of one is never read. The record
comes last: where it is, the run is over. Nothing is locked; the process that hands out jobs gives each to one worker.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from platformdirs import user_cache_path

from ganbench.contracts.executor import Job
from ganbench.errors import GanbenchError, GanbenchWarning, RecordError, told
from ganbench.records.files import write_atomically
from ganbench.records.record import FINISHED
from ganbench.records.store import read

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

RECORD, CHECKPOINT, LATEST = "record.json", "checkpoint.pt", "checkpoint.json"
CHECKPOINTS = "checkpoints"
KEPT_HERE = (".lock",)
"""Files that mean something only on the machine that they are on."""
GOES_ON = ("log.txt",)
"""Files that a new attempt adds to."""
SHARING = "give all machines a shared folder, or --out s3://BUCKET/FOLDER"
PAUSES = (1.0, 4.0, 15.0)
"""Seconds between attempts at what would otherwise lose a run."""
_WORKED = set[str]()
"""Folders of runs in which this process has stored something."""
SEEN_AFTER = 20
"""Seconds after which a network folder shows what another machine has written."""


class Unshared(GanbenchError):
    """A folder for runs is not the same folder on all machines, which would waste every run."""


class Latest(msgspec.Struct, frozen=True):
    """The content of ``checkpoint.json``: the name of the checkpoint to resume from."""

    name: str


def is_address(text: str) -> bool:
    """Whether a text is an address such as ``s3://bucket/runs``, not a folder."""
    return "://" in text


def reached(address: str) -> tuple[AbstractFileSystem, str]:
    """The file system of an address, and the path in it.

    Raises:
        GanbenchError: the package that reaches such addresses is missing, or the address is wrong.
    """
    from fsspec.core import url_to_fs
    from fsspec.implementations.local import LocalFileSystem

    if not is_address(address):
        return LocalFileSystem(), os.path.abspath(address)
    advice = "give a folder, or s3://BUCKET/FOLDER"
    if "::" in address:
        raise GanbenchError(f"cannot reach {address}: fsspec reads '::' as a chain of file systems", advice)
    try:
        system, path = url_to_fs(address, use_listings_cache=False)
    except ImportError as error:
        raise GanbenchError(f"cannot reach {address}: {error}", "install that package") from error
    except Exception as error:  # every file system raises what it likes
        raise GanbenchError(f"cannot reach {address}: {told(error)}", advice) from error
    return system, str(path).rstrip("/")


def runs_folder(named: str | Path) -> Path:
    """Return the folder of runs that a user names. The records of an address are copied to a folder of this machine.

    Raises:
        GanbenchError: the address is wrong, or cannot be read.
    """
    text = str(named)
    if not is_address(text):
        return Path(text)
    system, root = reached(text)
    mirror = user_cache_path("ganbench", appauthor=False) / "mirrors" / hashlib.sha256(text.encode()).hexdigest()[:16]
    with _storing(text, "read"):
        wanted = [path for path in system.find(root) if path.endswith(f"/{RECORD}")]
        for path in wanted:
            name = str(path).removeprefix(root).lstrip("/")
            if _stays_inside(name):
                write_atomically(mirror / name, system.cat_file(path))
    gone = {*mirror.rglob(RECORD)} - {mirror / str(path).removeprefix(root).lstrip("/") for path in wanted}
    for record in gone:
        record.unlink()
    mirror.mkdir(parents=True, exist_ok=True)
    return mirror


class Storage:
    """The stored files of one run.

    Args:
        address: of the run's folder.

    Raises:
        GanbenchError: see ``reached``.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self.system, self.root = reached(address)
        self._seen: dict[str, tuple[int, int]] = {}
        self._replaces = self._repeats = self._is_begun = False
        self._runs = self.root.rpartition("/")[0].rpartition("/")[0].rpartition("/")[0]

    @property
    def has_worked(self) -> bool:
        """Whether this process has stored anything for this folder of runs. If so, a failure will pass."""
        return self._runs in _WORKED

    def fetch(self, folder: Path) -> None:
        """Copy to ``folder`` what a new attempt needs: an earlier record, and the latest checkpoint.

        Raises:
            RecordError: the storage cannot be read.
            Unshared: it is a folder that this machine does not share.
        """
        self._refuse_unshared()
        if self.has_worked:
            _insisting(lambda: self._fetch(folder))
        else:
            self._fetch(folder)

    def _fetch(self, folder: Path) -> None:
        with _storing(self.address, "read"):
            folder.mkdir(parents=True, exist_ok=True)
            self._replaces = self._get(RECORD, folder / RECORD)
            self._repeats = is_over(folder)
            for name in self._small_files() if self._repeats else GOES_ON:  # nothing of the old result is overwritten
                self._get(name, folder / name)
            self._is_begun = self.get_checkpoint(folder / CHECKPOINT)
            if not self._is_begun and self._replaces:
                self._get(CHECKPOINT, folder / CHECKPOINT)
            self._seen = {file: _stamp(folder / file) for file in _files(folder)}

    def _refuse_unshared(self) -> None:
        """Raise Unshared if the folder for runs, which the command has made, is not on this machine."""
        if _is_a_folder(self.system) and not (runs := Path(self.root).parents[2]).is_dir():
            raise Unshared(f"the worker on {platform.node()} cannot see {runs}", SHARING)

    def continues(self, folder: Path) -> bool:
        """Whether an earlier attempt at a forced run was stopped. If so, the old record here is put out of its way.

        The stored record stays until there is a new one.
        """
        if self._is_begun:
            (folder / RECORD).unlink(missing_ok=True)
            self._repeats = False
        return self._is_begun

    def get_checkpoint(self, file: Path) -> bool:
        """Copy the latest checkpoint; returns whether there is one, whole."""
        try:
            name = msgspec.json.decode(self.system.cat_file(f"{self.root}/{LATEST}"), type=Latest).name
            content = self.system.cat_file(f"{self.root}/{CHECKPOINTS}/{name}") if _stays_inside(name) else b""
        except (FileNotFoundError, msgspec.DecodeError):
            return False
        if name != _name_of(content):
            return False
        write_atomically(file, content)
        return True

    def collect(self, folder: Path) -> None:
        """Copy a finished run's small files, all but its weights, to ``folder``; the record comes last.

        Raises:
            RecordError: the storage cannot be read.
        """
        with _storing(self.address, "read"):
            for name in [*self._small_files(), RECORD]:
                self._get(name, folder / name)

    def keep(self, folder: Path) -> None:
        """Store what a run in progress has changed since the last call: samples, its history, its checkpoint.

        Once this process has stored something, a failure is a warning, because the next call stores the same.

        Raises:
            RecordError: the storage cannot be written.
        """
        try:
            self._keep(folder)
        except RecordError as error:
            if not self.has_worked:
                raise
            warnings.warn(GanbenchWarning(f"{error.message}; this is tried again"), stacklevel=2)
        _WORKED.add(self._runs)

    def leave(self, folder: Path) -> None:
        """Store a run that was stopped, for the next attempt.

        Raises:
            RecordError: the storage cannot be written, not even after some time.
        """
        _insisting(lambda: self._keep(folder))

    def _keep(self, folder: Path) -> None:
        with _storing(self.address, "write to"):
            for name, stamp in self._changed(folder).items():
                if name == CHECKPOINT:
                    self._put_checkpoint(folder / CHECKPOINT)
                elif name != RECORD:
                    self._put(folder / name, name)
                self._seen[name] = stamp
            if self._repeats and not is_over(folder):  # it was set aside, and is now stored under another name
                self.system.rm_file(f"{self.root}/{RECORD}")
                self._replaces = self._repeats = False

    def finish(self, folder: Path) -> None:
        """Store a finished run: all of its files, then its record. Checkpoints that it no longer needs are removed.

        Raises:
            RecordError: the storage cannot be written, not even after some time.
        """
        _insisting(lambda: self._finish(folder))
        _WORKED.add(self._runs)

    def is_new(self, folder: Path) -> bool:
        """Whether the record in ``folder`` is of this attempt, not an earlier one that it should replace."""
        return RECORD in self._changed(folder)

    def _finish(self, folder: Path) -> None:
        with _storing(self.address, "write to"):
            for name, stamp in self._changed(folder).items():
                if name != RECORD:
                    self._put(folder / name, name)
                self._seen[name] = stamp
            self._put_record(folder / RECORD)
            for path in [*self._checkpoints(), f"{self.root}/{LATEST}"]:
                with suppress(FileNotFoundError):
                    self.system.rm_file(path)  # `rm` would take [ in a row's name for a pattern
            if _is_a_folder(self.system):
                shutil.rmtree(f"{self.root}/{CHECKPOINTS}", ignore_errors=True)

    def _small_files(self) -> list[str]:
        """The stored files of the run but its weights and its record, by their paths from its folder."""
        found = [path.removeprefix(self.root).lstrip("/") for path in self.system.find(self.root)]
        others = (f"{CHECKPOINTS}/", LATEST, ".")
        return [
            name
            for name in found
            if not name.startswith(others) and name not in (RECORD, CHECKPOINT) and _stays_inside(name)
        ]

    def _changed(self, folder: Path) -> dict[str, tuple[int, int]]:
        """The files that are not stored as they are now, with their stamps."""
        stamps = {name: _stamp(folder / name) for name in _files(folder)}
        return {name: stamp for name, stamp in stamps.items() if self._seen.get(name) != stamp}

    def _get(self, name: str, file: Path) -> bool:
        """Copy a stored file, whole or not at all; returns whether it is there."""
        try:
            content = self.system.cat_file(f"{self.root}/{name}")
        except FileNotFoundError:
            return False
        write_atomically(file, content)
        return True

    def _put(self, file: Path, name: str) -> None:
        """Store a file. An object store shows it whole or not at all; a folder needs a temporary name for that."""
        self._write(f"{self.root}/{name}", file.read_bytes())

    def _write(self, path: str, content: bytes) -> None:
        if _is_a_folder(self.system):
            write_atomically(Path(path), content)
        else:
            self.system.pipe_file(path, content)

    def _put_checkpoint(self, file: Path) -> None:
        content = file.read_bytes()
        name = _name_of(content)
        before = [path for path in self._checkpoints() if not path.endswith(name)]
        self._write(f"{self.root}/{CHECKPOINTS}/{name}", content)
        self._write(f"{self.root}/{LATEST}", msgspec.json.encode(Latest(name)))
        for path in before:
            with suppress(FileNotFoundError):
                self.system.rm_file(path)

    def _checkpoints(self) -> list[str]:
        try:
            return [str(path) for path in self.system.ls(f"{self.root}/{CHECKPOINTS}", detail=False)]
        except FileNotFoundError:
            return []

    def _put_record(self, file: Path) -> None:
        """Store the record. If another worker that was thought lost has stored one meanwhile, that one stays."""
        path, content = f"{self.root}/{RECORD}", file.read_bytes()
        if _is_a_folder(self.system) or self._replaces:
            self._write(path, content)
            return
        with suppress(FileExistsError):
            self.system.pipe_file(path, content, mode="create")


def take_over(folder: Path) -> None:
    """Make a checkpoint that workers elsewhere stored in this folder the one that a run in this folder resumes from.

    Raises:
        RecordError: the folder cannot be read or written.
    """
    if not (folder / LATEST).exists():
        return
    storage = Storage(str(folder))
    with _storing(storage.address, "write to"):
        storage.get_checkpoint(folder / CHECKPOINT)
        (folder / LATEST).unlink()  # first, so that what is half removed is never read
        shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)


def collect(job: Job, *, over: bool) -> None:
    """Copy the small files of a job that has ended to its folder on this machine, unless they are stored there.

    Raises:
        RecordError: the storage cannot be read, not even after some time.
        Unshared: the job is ``over`` and its record cannot be seen.
    """
    if os.path.abspath(job.folder) != job.store:
        _insisting(lambda: Storage(job.store).collect(Path(job.folder)))
    if over and not _appears(job.record_file):
        raise Unshared(f"{job.key} is over, but its record is not in {job.store}", SHARING)


def _insisting(act: Callable[[], None]) -> None:
    """Act, and again after some time if it fails.

    Raises:
        RecordError: it failed each time.
    """
    for seconds in PAUSES:
        with suppress(RecordError):
            return act()
        time.sleep(seconds)
    return act()


def _appears(file: Path) -> bool:
    """Whether a file is there, or comes soon."""
    for _ in range(SEEN_AFTER):
        if file.exists():
            return True
        with suppress(OSError):
            os.listdir(file.parent)  # asks the server of a network folder again
        time.sleep(1)
    return file.exists()


class _storing:
    """Turns what file systems raise into one error that names the address."""

    def __init__(self, address: str, what: str) -> None:
        self.address, self.what = address, what

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, at: object) -> None:
        if isinstance(error, Exception) and not isinstance(error, GanbenchError):
            raise RecordError(
                f"cannot {self.what} {self.address}: {told(error)}",
                "check the address, and that you have access to it",
            ) from error


def is_over(folder: Path) -> bool:
    """Whether a folder holds the record of a run that is over."""
    with suppress(RecordError, OSError):
        return (folder / RECORD).exists() and read(folder / RECORD).status in FINISHED
    return False


def _is_a_folder(system: AbstractFileSystem) -> bool:
    return "file" in ([system.protocol] if isinstance(system.protocol, str) else system.protocol)


def _name_of(checkpoint: bytes) -> str:
    return f"{hashlib.sha256(checkpoint).hexdigest()[:24]}.pt"


def _stays_inside(name: str) -> bool:
    """Whether a stored name, which anybody may have chosen, leads to no other folder."""
    return re.search(r"(^|[/\\])\.\.([/\\]|$)|:", name) is None


def _files(folder: Path) -> list[str]:
    found = (Path(here, name).relative_to(folder) for here, _, names in os.walk(folder) for name in names)
    return sorted(file.as_posix() for file in found if file.name not in KEPT_HERE and not file.name.endswith(".tmp"))


def _stamp(file: Path) -> tuple[int, int]:
    found = file.stat()
    return found.st_mtime_ns, found.st_size
