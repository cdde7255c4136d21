"""Fetch files into the data folder: resumed where a connection broke, checked, and never half there."""

from __future__ import annotations

import hashlib
import tarfile
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from filelock import FileLock

from ganbench._version import __version__
from ganbench.contracts.download import RemoteFile
from ganbench.contracts.progress import telling
from ganbench.data.folder import VARIABLE
from ganbench.errors import DataError, listed
from ganbench.records.files import reason_of

PART = ".part"
"""Suffix of a file that is not complete yet."""
PIECE = 1 << 18
"""Bytes that are read and written at a time."""
PATIENCE = 30.0
"""Seconds without an answer after which a server counts as unreachable."""
MOST_CUTS = 20
"""Times that one server may cut the connection in the middle of a file."""

FEWEST_DIGITS = 8
"""Of a checksum; the names of some files state no more."""


class _Unfetched(Exception):
    """A server did not deliver a file; the text says why."""


def is_there(file: RemoteFile, root: Path) -> bool:
    """Whether something is stored under the names of this file, right or not."""
    return all((root / path).is_file() for path in file.kept)


def is_right(file: RemoteFile, root: Path) -> bool:
    """Whether everything that this file gives is stored and has the right checksum. It reads everything."""
    return is_there(file, root) and all(_matches(root / path, checksum) for path, checksum in file.kept.items())


def fetch(files: Sequence[RemoteFile], root: Path) -> int:
    """Store files, or those in archives, below ``root``; returns how many had to be fetched.

    An earlier attempt that was interrupted goes on where it stopped.

    Raises:
        DataError: no server delivers a file, what they deliver has another checksum, or it cannot be written.
    """
    new = 0
    for number, file in enumerate(files):
        try:
            new += _fetch_unless_right(file, root)
        except _Unfetched as why:
            said = f"{Path(file.path).name} cannot be fetched ({why})"
            raise DataError(said, _by_hand(files[number:], root)) from why
        except OSError as error:
            raise DataError(
                f"{Path(file.path).name} cannot be stored in {root}: {reason_of(error)}",
                f"free some space, or name another folder with --data-root or {VARIABLE}; what is done so far is kept",
            ) from error
    return new


def _by_hand(files: Sequence[RemoteFile], root: Path) -> str:
    """The next step where this machine cannot fetch files: what to fetch elsewhere, and where to put it."""
    lacking = [file for file in files if not is_there(file, root)] or files
    places: dict[Path, list[str]] = {(root / file.path).parent: [] for file in lacking}
    for file in lacking:
        places[(root / file.path).parent].append(file.urls[0])
    what = "; ".join(f"{' '.join(urls)} into {place}" for place, urls in places.items())
    return f"check the connection and repeat the command; or fetch by hand {what}, and then repeat it"


def _fetch_unless_right(file: RemoteFile, root: Path) -> bool:
    """Fetch a file if it is not there yet; returns whether it was fetched.

    Raises:
        _Unfetched: no server delivers it.
        OSError: it cannot be written.
    """
    whole = root / file.path
    whole.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(root / ".download.lock"):
        if is_right(file, root):
            return False
        if not _matches(whole, file.checksum):
            _fetch_from_any(file.urls, whole, file.checksum)
        if file.unpack:
            _unpack(whole, file.unpack, root)
    return True


def _fetch_from_any(urls: Sequence[str], whole: Path, checksum: str) -> None:
    """Try one server after the other, and rename the file when its checksum is right.

    Raises:
        _Unfetched: none delivers it.
    """
    part, failures = whole.with_name(f".{whole.name}{PART}"), []
    for url in urls:
        try:
            _fetch_right(url, part, checksum)
        except _Unfetched as why:
            failures.append(f"{urlsplit(url).hostname or url}: {why}")
        else:
            part.replace(whole)
            return
    raise _Unfetched("; ".join(failures))


def _fetch_right(url: str, part: Path, checksum: str) -> None:
    """Fetch a file to ``part`` and check it; if what an earlier attempt left was wrong, begin afresh.

    Raises:
        _Unfetched: the server does not deliver it, or delivers something else.
    """
    begun = part.exists()
    _fetch_whole(url, part)
    if begun and not _matches(part, checksum):
        part.unlink()
        _fetch_whole(url, part)
    if not _matches(part, checksum):
        part.unlink()
        raise _Unfetched("what it sends has another checksum")


def _fetch_whole(url: str, part: Path) -> None:
    """Fetch a file to ``part``, going on after each cut as long as the server delivers more.

    Raises:
        _Unfetched: the server cannot be reached, does not have the file, or no longer delivers.
    """
    for _ in range(MOST_CUTS):
        before = part.stat().st_size if part.exists() else 0
        try:
            _fetch_rest(url, part)
        except _Unfetched:
            if not part.exists() or part.stat().st_size <= before:
                raise
        else:
            return
    raise _Unfetched(f"it cut the connection {MOST_CUTS} times")


def _fetch_rest(url: str, part: Path) -> None:
    """Append what is missing in ``part``, or begin afresh if the server can only send all.

    Raises:
        _Unfetched: the connection fails before the end.
    """
    done = part.stat().st_size if part.exists() else 0
    headers = {"User-Agent": f"ganbench/{__version__}", **({"Range": f"bytes={done}-"} if done else {})}
    with _answer(urllib.request.Request(url, headers=headers), part) as answer:
        if answer is None:
            return
        resumed = done and answer.headers.get("Content-Range", "").startswith(f"bytes {done}-")
        done = done if resumed else 0
        length = int(answer.headers.get("Content-Length") or 0)
        name = part.name.removeprefix(".").removesuffix(PART)
        with part.open("ab" if resumed else "wb") as file, telling(f"fetching {name}", done + length, done) as tick:
            while piece := _read(answer):
                file.write(piece)
                done += len(piece)
                length -= len(piece)
                tick(len(piece))
        if length > 0:
            raise _Unfetched(f"the connection was cut after {done:,} bytes")


@contextmanager
def _answer(request: urllib.request.Request, part: Path) -> Iterator[Any]:
    """The server's answer; None if it says that nothing is missing.

    Raises:
        _Unfetched: it cannot be reached, or has no such file.
    """
    try:
        answer = urllib.request.urlopen(request, timeout=PATIENCE)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416 and part.exists():  # there are no bytes after those that are here
            yield None
            return
        raise _Unfetched(f"HTTP {error.code} {error.reason}".strip()) from error
    except (OSError, HTTPException, ValueError) as error:  # URLError is an OSError
        raise _Unfetched(_why(error)) from error
    with answer:
        yield answer


def _read(answer: IO[bytes]) -> bytes:
    try:
        return answer.read(PIECE)
    except (OSError, HTTPException) as error:
        raise _Unfetched(_why(error)) from error


def _why(error: Exception) -> str:
    """Why a server does not answer, in words."""
    reason = getattr(error, "reason", error)
    if isinstance(reason, OSError):
        return reason_of(reason)
    return " ".join(str(reason).split()) or type(error).__name__


def _unpack(archive: Path, members: Mapping[str, str], root: Path) -> None:
    """Store the named members of a tar archive, nothing else, and remove the archive.

    Raises:
        DataError: it lacks one of them, or a member has another checksum.
    """
    missing = dict(members)
    with tarfile.open(archive) as tar:
        for member in tar:
            checksum = missing.get(member.name)
            content = tar.extractfile(member) if checksum and member.isreg() else None
            if content is None or checksum is None:
                continue
            target = root / member.name
            target.parent.mkdir(parents=True, exist_ok=True)
            part = target.with_name(f".{target.name}{PART}")
            _copy(content, part, member)
            if not _matches(part, checksum):
                part.unlink()
                raise DataError(f"{member.name} in {archive} has another checksum", "tell the author of the dataset")
            part.replace(target)
            del missing[member.name]
    if missing:
        raise DataError(f"{archive} does not hold {listed(sorted(missing))}", "tell the author of the dataset")
    archive.unlink()


def _copy(content: IO[bytes], part: Path, member: tarfile.TarInfo) -> None:
    with part.open("wb") as file, telling(f"unpacking {Path(member.name).name}", member.size) as tick:
        while piece := content.read(PIECE):
            file.write(piece)
            tick(len(piece))


def _matches(path: Path, checksum: str) -> bool:
    """Whether a file exists and has this checksum."""
    if not path.is_file():
        return False
    algorithm, _, digits = checksum.partition(":")
    with path.open("rb") as file:
        found = hashlib.file_digest(file, lambda: hashlib.new(algorithm, usedforsecurity=False)).hexdigest()
    return len(digits) >= FEWEST_DIGITS and found.startswith(digits)
