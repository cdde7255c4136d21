"""What is in a folder of files, or of one sub-folder per class, and what of it is not used."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from ganbench import DataError

NAMED = 5  # the most names that a message lists


class Kind(NamedTuple):
    """What is looked for: ``sounds``, of which ``WAV files`` are read, and the suffixes of these and of all others.

    ``recognised(file)`` tells by the content of a file with any other suffix whether it would be read.
    """

    all: str
    read: str
    suffixes: frozenset[str]
    others: frozenset[str]
    recognised: Callable[[Path], bool]

    @property
    def suffix(self) -> str:
        """The usual one."""
        return min(self.suffixes, key=len)


@dataclass(frozen=True)
class Listing:
    """Class -> its files, both sorted by name; a flat folder is a single class "".

    ``others`` are of the same kind, but in formats that are not read. ``empty`` are sub-folders without any.
    """

    groups: dict[str, list[Path]]
    others: list[Path]
    empty: list[str]


class _Scan(NamedTuple):
    files: list[Path]
    others: list[Path]
    folders: list[Path]
    dead: list[Path]


def list_files(folder: Path, kind: Kind) -> Listing:
    """The files of a folder, or of its class sub-folders. Hidden files and folders are left out.

    Raises:
        DataError: the folder cannot be listed, has files on more than one level or below the class folders, links that
            lead nowhere, or classes none of whose files is read.
    """
    try:
        flat = _scan(folder, kind)
        below = {sub.name: _scan(sub, kind) for sub in flat.folders}
        seen = {folder.resolve(), *(sub.resolve() for sub in flat.folders)}
        deep = [file for scan in below.values() for sub in scan.folders for file in _walk(sub, kind, seen)]
    except OSError as error:
        raise DataError(f"'{error.filename}' cannot be listed ({error.strerror})", "check its permissions") from error
    scans = [flat, *below.values()]
    _refuse_dead([link for scan in scans for link in scan.dead], folder)
    _refuse_deep(deep, folder, kind)
    _refuse_unread(folder, flat, below, kind)
    groups = {name: scan.files for name, scan in below.items() if scan.files}
    if flat.files and groups:
        raise DataError(
            f"'{folder}' has {counted(len(flat.files), kind.read)} beside the class folders {first(list(groups))}",
            "move every file into a class folder, or every file into one folder",
        )
    others = [file for scan in scans for file in scan.others]
    return Listing(
        {"": flat.files} if flat.files else groups, others, [n for n, scan in below.items() if not scan.files]
    )


def not_used(folder: Path, listing: Listing, kind: Kind) -> tuple[str, ...]:
    """A sentence on what is left out, if anything is. The folder is named as the dataset is."""
    others, empty = listing.others, listing.empty
    reasons = []
    if empty:
        which = f"the sub-folder {empty[0]}" if len(empty) == 1 else f"the sub-folders {first(empty)}"
        reasons.append(f"{which} without {kind.all}")
    if others:
        reasons.append(f"{by_suffix(others, folder)}, because only {kind.suffix} is read")
    used = counted(sum(map(len, listing.groups.values())), kind.read)
    are = "is" if (len(empty) or len(others)) == 1 else "are"
    said = f"'{folder.resolve().name}' gives {used}; left out {are} {' and '.join(reasons)}"
    return (said,) if reasons else ()


def _scan(folder: Path, kind: Kind) -> _Scan:
    found = _Scan([], [], [], [])
    for entry in sorted(entry for entry in folder.iterdir() if not entry.name.startswith(".")):
        suffix = entry.suffix.lower()
        if not entry.exists():
            found.dead.append(entry)
        elif entry.is_dir():
            found.folders.append(entry)
        elif suffix in kind.suffixes:
            found.files.append(entry)
        elif suffix in kind.others or (entry.is_file() and kind.recognised(entry)):
            found.others.append(entry)
    return found


def _walk(folder: Path, kind: Kind, seen: set[Path]) -> Iterator[Path]:
    """All files of the kind below a folder; links in a circle are followed once."""
    if folder.resolve() in seen:
        return
    seen.add(folder.resolve())
    scan = _scan(folder, kind)
    yield from scan.files + scan.others + scan.dead
    for sub in scan.folders:
        yield from _walk(sub, kind, seen)


def _refuse_dead(dead: list[Path], folder: Path) -> None:
    if dead:
        name = dead[0].relative_to(folder)
        what = "a link that leads nowhere," if len(dead) == 1 else f"{len(dead)} links that lead nowhere, the first is"
        raise DataError(f"'{folder}' has {what} {name}", "restore what the links lead to, or remove them")


def _refuse_deep(deep: list[Path], folder: Path, kind: Kind) -> None:
    if deep:
        name = deep[0].relative_to(folder)
        which = f"{name}" if len(deep) == 1 else f"the first is {name}"
        raise DataError(
            f"'{folder}' has {counted(len(deep), kind.all)} more than one level down, {which}",
            "name the folder whose sub-folders are the classes, and put the files straight into these",
        )


def _refuse_unread(folder: Path, flat: _Scan, below: dict[str, _Scan], kind: Kind) -> None:
    scans = [flat, *below.values()]
    lost = {name: scan.others for name, scan in below.items() if scan.others and not scan.files}
    others = [file for scan in scans for file in scan.others]
    if not any(scan.files for scan in scans):
        raise DataError(
            f"'{folder}' holds no {kind.read}" + (f" but {by_suffix(others, folder)}" if others else ""),
            f"convert them to {kind.suffix}"
            if others
            else f"put {kind.suffix} files into it, or into one sub-folder per class",
        )
    if lost:
        files = [file for group in lost.values() for file in group]
        classes = f"the class '{next(iter(lost))}'" if len(lost) == 1 else f"the classes {first(list(lost))}"
        raise DataError(
            f"no file of {classes} in '{folder}' can be read: {by_suffix(files, folder)}",
            f"convert them to {kind.suffix}, or move these folders elsewhere",
        )


def by_suffix(files: list[Path], folder: Path) -> str:
    """``3 files (2 .flac, 1 .mp3; the first is a/x.flac)``, the most frequent first."""
    counts = Counter(file.suffix.lower() or "suffix-less" for file in files).most_common()
    name = files[0].relative_to(folder)
    if len(files) == 1:
        return f"1 {counts[0][0]} file ({name})"
    if len(counts) == 1:
        return f"{len(files)} {counts[0][0]} files (the first is {name})"
    return f"{len(files)} files ({', '.join(f'{n} {suffix}' for suffix, n in counts)}; the first is {name})"


def counted(n: int, plural: str) -> str:
    """``1 WAV file``, ``2 WAV files``"""
    return f"{n} {plural.removesuffix('s') if n == 1 else plural}"


def first(names: list[str]) -> str:
    """The first few names, and how many more there are."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
