"""Opens `.zip` and `.tar` files of images, compressed or not, and reads their members in place.

A compressed tar can only be read from its beginning to its end. So it is read once, into memory, and has a limit.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import stat
import tarfile
import threading
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Any, cast

from ganbench import DataError
from ganbench_baselines.dataset.listing import NOT_CLASSES, TEXT_NAMES, TEXT_SUFFIXES, shown
from ganbench_baselines.dataset.members import Archive, Held, Member, What

LARGEST_COMPRESSED = 1 << 31
"""Bytes that a compressed tar may hold once it is uncompressed."""
SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
MAGIC: dict[bytes, Any] = {b"\x1f\x8b": gzip, b"BZh": bz2, b"\xfd7zXZ\0": lzma}
"""The first bytes of a compressed file, and the module that opens it."""
BLOCK = 512
"""Bytes of a tar's header; one of zeros follows the last member."""
ENCRYPTED = 1
"""A bit among the flags of a member of a zip."""
DAMAGED = (zipfile.BadZipFile, tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, ValueError, NotImplementedError)


def is_archive(path: Path) -> bool:
    """Whether a file is an archive by its name or its content. A damaged one is one by its name."""
    named = path.name.lower().endswith(SUFFIXES)
    return path.is_file() and (named or zipfile.is_zipfile(path) or _compressed(path) or tarfile.is_tarfile(path))


def open_archive(path: Path) -> Member:
    """The top folder of an archive. If it holds nothing but one folder, that folder takes its place.

    Raises:
        DataError: it is not an archive that can be read, is damaged or encrypted, or holds too much to read at once.
    """
    with _blamed(path):
        if zipfile.is_zipfile(path):
            found = dict(_in_zip(path))
        elif _compressed(path):
            found = dict(_in_compressed_tar(path))
        else:
            found = dict(_in_tar(path))
    return Archive(path, _without_top(found)).top


@contextmanager
def _blamed(path: Path) -> Iterator[None]:
    """Name the archive in an error."""
    again = "name a folder, a .zip or a .tar of images, or get this file again"
    try:
        yield
    except DAMAGED as error:
        raise DataError(f"'{shown(path)}' is no zip or tar archive, or is damaged: {shown(error)}", again) from error
    except OSError as error:
        why = shown(error.strerror or error)
        raise DataError(f"'{shown(path)}' cannot be read: {why}", again) from error


# -- zip ---------------------------------------------------------------------------------------------------------------


def _in_zip(path: Path) -> Iterator[tuple[str, Held]]:
    opened, lock = zipfile.ZipFile(path), threading.Lock()
    for info in opened.infolist():
        if info.flag_bits & ENCRYPTED:
            raise DataError(f"'{shown(path)}' is encrypted", "pack it again without a password")
        name = _clean(info.filename.replace("\\", "/"))  # some programs for Windows write backslashes
        if name:
            yield name, Held(_what_in_zip(info), info.file_size, partial(_read_zipped, opened, info, lock))


def _what_in_zip(info: zipfile.ZipInfo) -> What:
    mode = info.external_attr >> 16
    if info.is_dir():
        return "folder"
    if stat.S_ISLNK(mode):
        return "link"
    return "file" if not stat.S_IFMT(mode) or stat.S_ISREG(mode) else "special"


def _read_zipped(opened: zipfile.ZipFile, info: zipfile.ZipInfo, lock: threading.Lock) -> bytes:
    """The content of a member, for any thread.

    A zip counts its open members without a lock of its own. Several can be uncompressed at a time.
    """
    with lock:
        member = opened.open(info)
    try:
        return member.read()
    finally:
        with lock:
            member.close()


# -- tar ---------------------------------------------------------------------------------------------------------------


def _compressed(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(6).startswith(tuple(MAGIC))


def _uncompressed(path: Path) -> IO[bytes]:
    with path.open("rb") as file:
        start = file.read(6)
    module = next(module for magic, module in MAGIC.items() if start.startswith(magic))
    return cast("IO[bytes]", module.open(path))


def _in_tar(path: Path) -> Iterator[tuple[str, Held]]:
    """Every member of a tar, read from where its content begins."""
    size, found = path.stat().st_size, dict[str, Held]()
    with tarfile.open(path, "r:") as tar:
        for member in tar:
            if member.isreg() and member.offset_data + member.size > size:
                raise tarfile.ReadError("unexpected end of data")
            yield from _put(found, member, partial(_read_part, path, member.offset_data, member.size))
        if _read_part(path, tar.offset, BLOCK) != bytes(BLOCK):  # tarfile takes a cut between members for the end
            raise tarfile.ReadError("unexpected end of data")


def _read_part(path: Path, start: int, size: int) -> bytes:
    with path.open("rb") as file:  # every thread has a position of its own
        file.seek(start)
        return file.read(size)


def _in_compressed_tar(path: Path) -> Iterator[tuple[str, Held]]:
    """Every member of a compressed tar, with its content in memory."""
    left, found = LARGEST_COMPRESSED, dict[str, Held]()
    # tarfile's own decompression takes a cut between members for the end
    with _uncompressed(path) as file, tarfile.open(fileobj=file, mode="r|") as tar:
        for member in tar:
            left -= member.size
            if left < 0:
                raise DataError(
                    f"'{shown(path)}' holds more than {LARGEST_COMPRESSED / 2**30:g} GiB, "
                    "and a compressed tar cannot be read in place",
                    "uncompress it to a .tar, or make it a .zip",
                )
            content = tar.extractfile(member) if member.isreg() else None
            yield from _put(found, member, partial(bytes, content.read() if content else b""))


def _put(found: dict[str, Held], member: tarfile.TarInfo, read: Callable[[], bytes]) -> Iterator[tuple[str, Held]]:
    """Yield a member under its clean name; a hard link stands for the earlier member that it names."""
    name = _clean(member.name)
    if not name:
        return
    if member.islnk():
        held = found.get(_clean(member.linkname), Held("link"))
    elif member.isreg() and not member.issparse():
        held = Held("file", member.size, read)
    else:
        held = Held("folder" if member.isdir() else "link" if member.issym() else "special")
    found[name] = held
    yield name, held


# -- both --------------------------------------------------------------------------------------------------------------


def _clean(name: str) -> str:
    """A member's path below the top: nothing is written, so steps upwards are merely left out."""
    return "/".join(part for part in name.split("/") if part not in {"", ".", ".."})


def _without_top(found: dict[str, Held]) -> dict[str, Held]:
    """Paths below the only folder at the top, if there is nothing else but texts and what systems leave behind."""
    tops = {path.partition("/")[0] for path, held in found.items() if not _is_aside(path, held)}
    top = next(iter(tops), "")
    if len(tops) != 1 or (top in found and found[top].what != "folder"):
        return found
    return {path.removeprefix(f"{top}/"): held for path, held in found.items() if path.startswith(f"{top}/")}


def _is_aside(path: str, held: Held) -> bool:
    first, _, rest = path.partition("/")
    alone = not rest and held.what == "file"
    text = PurePosixPath(first).suffix.lower() in TEXT_SUFFIXES or first.upper() in TEXT_NAMES
    return first in NOT_CLASSES or first.startswith(".") or (alone and text)


def stamps(places: Iterable[Path | Member]) -> Iterator[str]:
    """A line for each file that changes when its content does: path, size and time of the last change."""
    archive: Archive | None = None
    for place in places:
        if isinstance(place, Path):
            yield _stamp(place)
            continue
        if place.archive is not archive:
            archive = place.archive
            yield _stamp(archive.path)
        yield f"{place.inner} {place.size}"


def _stamp(file: Path) -> str:
    there = file.stat()
    return f"{os.path.abspath(file)} {there.st_size} {there.st_mtime_ns}"
