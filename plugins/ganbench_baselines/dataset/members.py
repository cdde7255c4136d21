"""Files and folders inside an archive, read in place, with those members of ``pathlib.Path`` that listings use."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Generic, Literal, NamedTuple, TypeVar

What = Literal["folder", "file", "link", "special"]
"""What an entry of a folder is. A ``link`` leads nowhere; ``special`` are pipes and devices."""


class Held(NamedTuple):
    """What an archive holds under a name: ``read`` returns the content, ``size`` is its length in bytes."""

    what: What
    size: int = 0
    read: Callable[[], bytes] = bytes


@dataclass(frozen=True, eq=False)
class Archive:
    """An archive file and its content, by path below its top, such as ``cats/1.png``."""

    path: Path
    held: Mapping[str, Held]

    @cached_property
    def folders(self) -> dict[str, dict[str, What]]:
        """Folder -> its entries by name; the top folder is the empty text."""
        found: dict[str, dict[str, What]] = {"": {}}
        for path, (what, _, _) in self.held.items():
            parts = path.split("/")
            for depth in range(1, len(parts)):
                found["/".join(parts[: depth - 1])][parts[depth - 1]] = "folder"
                found.setdefault("/".join(parts[:depth]), {})
            found["/".join(parts[:-1])].setdefault(parts[-1], what)
            if what == "folder":
                found.setdefault(path, {})
        return found

    @property
    def top(self) -> Member:
        """Its top folder."""
        return Member(self, "")


@dataclass(frozen=True, slots=True)
class Member:
    """A file or a folder in an archive, by its path below the top; the top itself has none."""

    archive: Archive
    inner: str

    @property
    def name(self) -> str:
        """Its name in its folder; that of the archive file for the top."""
        return self.inner.rpartition("/")[2] or self.archive.path.name

    @property
    def suffix(self) -> str:
        """The end of its name, from the last dot on."""
        return PurePosixPath(self.name).suffix

    @property
    def parent(self) -> Member:
        """The folder that holds it."""
        return Member(self.archive, self.inner.rpartition("/")[0])

    def __truediv__(self, name: str) -> Member:
        return Member(self.archive, f"{self.inner}/{name}".lstrip("/"))

    def __str__(self) -> str:
        return f"{self.archive.path}/{self.inner}".rstrip("/")

    def resolve(self) -> Member:
        """It: links are not followed."""
        return self

    def samefile(self, other: Member) -> bool:
        """Whether both are the same."""
        return self.inner == other.inner

    def is_dir(self) -> bool:
        """Whether it is a folder."""
        return self.inner in self.archive.folders

    def relative_to(self, folder: Member) -> PurePosixPath:
        """Its path below a folder."""
        return PurePosixPath(self.inner).relative_to(folder.inner)

    def read_bytes(self) -> bytes:
        """Its content."""
        return self.archive.held[self.inner].read()

    def open(self, mode: Literal["rb"] = "rb") -> io.BytesIO:
        """Its content as a file."""
        return io.BytesIO(self.read_bytes())

    @property
    def size(self) -> int:
        """Its length in bytes."""
        return self.archive.held[self.inner].size


Place = TypeVar("Place", Path, Member)
"""A file or a folder, on disk or in an archive."""


class Entry(NamedTuple, Generic[Place]):
    """An entry of a folder."""

    path: Place
    what: What


def entries(folder: Member) -> Iterable[Entry[Member]]:
    """The entries of a folder in an archive, by name."""
    found = folder.archive.folders[folder.inner]
    below = f"{folder.inner}/" if folder.inner else ""
    return [Entry(Member(folder.archive, below + name), what) for name, what in sorted(found.items())]


def names_in(folder: Path | Member) -> set[str]:
    """The names of the entries of a folder.

    Raises:
        OSError: it cannot be listed.
    """
    return set(folder.archive.folders[folder.inner] if isinstance(folder, Member) else os.listdir(folder))


def files_below(folder: Path | Member) -> Iterator[Path | Member]:
    """All files in a folder and the folders below it, by path; without hidden ones.

    Raises:
        OSError: it cannot be listed.
    """
    if isinstance(folder, Member):
        found = (Member(folder.archive, path) for path, held in folder.archive.held.items() if held.what == "file")
        yield from sorted(
            (file for file in found if not _is_hidden(file.inner.split("/"))), key=lambda file: file.inner
        )
        return
    for place, folders, files in os.walk(folder, followlinks=True):
        folders[:] = sorted(name for name in folders if not _is_hidden([name]))
        yield from (Path(place, name) for name in sorted(files) if not _is_hidden([name]))


def _is_hidden(names: Iterable[str]) -> bool:
    return any(name.startswith((".", "__")) for name in names)
