"""Lists the files to read in a folder, or in one sub-folder per class, and those left out; for images and sounds.

The folder may be inside an archive: see ``archives``.

Files of other formats are counted. Broken links, pipes, and a third level of folders are refused, because their samples
would silently be lost.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Generic, NamedTuple

import torch

from ganbench import DataError, stratified_split
from ganbench_baselines.dataset.members import Entry, Place, What, entries

TEXTS = """.cfg .csv .db .htm .html .ini .json .jsonl .log .md .md5 .pdf .py .rst .sh .sha256 .toml .tsv .txt .xml .yaml
.yml"""
TEXT_SUFFIXES = frozenset(TEXTS.split())
TEXT_NAMES = {"AUTHORS", "CHANGELOG", "CITATION", "COPYING", "LICENCE", "LICENSE", "NOTICE", "README"}
NOT_CLASSES = {"__MACOSX", "__pycache__"}
HIDDEN = "hidden"
NAMED = 5  # the largest number of names in a message
LEVELS = {2: "two", 3: "three", 4: "four", 5: "five"}
TEST_SHARE = 0.2
SPLIT_SEED = 0


@dataclass(frozen=True)
class Kind:
    """A kind of file to look for, and the words for it.

    ``read`` are the suffixes of formats that are read, ``others`` those of further formats of this kind.
    ``recognised(file)`` checks the content of a file with any other suffix. ``usual`` names the formats to put into a
    folder, ``target`` the one to convert others to. ``bare`` describes a file without a suffix.
    """

    name: str
    read: frozenset[str]
    others: frozenset[str]
    usual: str
    target: str
    bare: str = "without a suffix"
    recognised: Callable[[Path], bool] = lambda file: False


class Unread(NamedTuple, Generic[Place]):
    """A file that is left out, and the reason in a word. ``meant``: it is of this kind, in an unsupported format."""

    path: Place
    reason: str
    meant: bool


@dataclass(frozen=True)
class Listing(Generic[Place]):
    """The files that are read, in the same order on every file system, and the class of each (all 0 in a flat folder).

    ``classes`` are the names of the class folders, none in a flat folder. ``empty`` are sub-folders without a readable
    file, with the other files in them.
    """

    folder: Place
    kind: Kind
    files: list[Place]
    labels: torch.Tensor
    classes: tuple[str, ...]
    unread: list[Unread[Place]]
    empty: dict[str, list[Unread[Place]]]

    @property
    def name(self) -> str:
        """The folder's name without its path, which does not belong in records."""
        return shown(self.folder.resolve().name)


@dataclass
class Contents(Generic[Place]):
    """The entries of one folder, by type and then by name. ``special`` are pipes and devices."""

    files: list[Place] = field(default_factory=list)
    unread: list[Unread[Place]] = field(default_factory=list)
    folders: list[Place] = field(default_factory=list)
    dead: list[Place] = field(default_factory=list)
    special: list[Place] = field(default_factory=list)

    @property
    def meant(self) -> list[Place]:
        """The files of this kind, in formats that are read and then in others."""
        return self.files + [other.path for other in self.unread if other.meant]


def shown(name: object) -> str:
    """A file's name as one printable line; bytes that are not UTF-8 and unprintable characters are escaped."""
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in str(name))


def first(names: Sequence[object]) -> str:
    """The first few names, and how many more there are."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(map(shown, names[:NAMED])) + more


def counted(n: int, what: str) -> str:
    """A number of things: ``1 image``, ``2 images``."""
    return f"{n} {what}{'s' * (n != 1)}"


def reasons(unread: list[Unread[Place]]) -> str:
    """How many files there are for each reason: ``30 .heic, 2 hidden``."""
    kinds = Counter(file.reason for file in unread).most_common()
    return first([f"{number} {kind}" for kind, number in kinds])


def path_of(text: str) -> Path:
    """A path as users write it, with ``~``.

    Raises:
        DataError: it begins with the home folder of an unknown user.
    """
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise DataError(
            f"'{shown(text)}' begins with a home folder that is not known", "write the whole path"
        ) from error


def copies(listing: Listing[Place], x: torch.Tensor) -> tuple[str, ...]:
    """A sentence if some of the samples ``x[N, ...]`` of the files are equal."""
    return copies_among(listing, [hashlib.sha256(sample.numpy().tobytes()).digest() for sample in x])


def copies_among(listing: Listing[Place], contents: Sequence[object]) -> tuple[str, ...]:
    """A sentence if the contents of some of the files, or the hashes of these, are equal."""
    seen, again = set[object](), list[Place]()
    for file, content in zip(listing.files, contents, strict=True):
        again += [file] if content in seen else []
        seen.add(content)
    if not again:
        return ()
    are = "is a copy of another" if len(again) == 1 else "are copies of others"
    return (
        f"{len(again)} of {counted(len(contents), listing.kind.name)} in the folder {listing.name} {are}, so the same "
        f"one may be trained on and held out; the first is {shown(again[0].relative_to(listing.folder))}",
    )


def require_folder(folder: Path, name: str, hint: str) -> None:
    """Raise DataError if a folder, called ``name`` in the message, does not exist."""
    if not folder.is_dir():
        what = "is not a folder" if folder.exists() else "does not exist"
        raise DataError(f"the {name} '{shown(folder)}' {what}", hint)


def hold_out(listing: Listing[Place]) -> tuple[torch.Tensor, torch.Tensor]:
    """Indices of the training files and of those held out: seeded, stratified, 80/20.

    Raises:
        DataError: the classes are too small.
    """
    things = f"{listing.kind.name}s"
    where = "each class" if listing.classes else "the folder"
    train, test = stratified_split(listing.labels, TEST_SHARE, SPLIT_SEED)
    if len(test) == 0:
        raise DataError(
            f"{counted(len(listing.files), listing.kind.name)} in '{shown(listing.folder)}': too few to hold any out",
            f"put at least 3 {things} into {where}",
        )
    return train, test


def list_files(folder: Place, kind: Kind) -> Listing[Place]:
    """The files of a flat folder, or of its class sub-folders.

    Raises:
        DataError: the folder is empty, mixed, deeper than one level of classes, cannot be listed, or has broken links.
    """
    top = _look_into(folder, kind)
    below: dict[str, Contents[Place]] = {path.name: _look_into(path, kind) for path in top.folders}
    _refuse_what_structure_loses(folder, kind, top, below)
    unread = [file for found in chain([top], below.values()) for file in found.unread]
    groups = {name: found.files for name, found in below.items() if found.files}
    classes = tuple(map(shown, groups))
    groups = groups or {"": top.files}
    files = [file for group in groups.values() for file in group]
    if not files:
        _refuse_empty(folder, kind, unread)
    sizes = torch.tensor([len(group) for group in groups.values()])
    labels = torch.arange(len(groups)).repeat_interleave(sizes)
    empty = {name: found.unread for name, found in below.items() if not found.files and name not in NOT_CLASSES}
    return Listing(folder, kind, files, labels, classes, unread, empty)


def _look_into(folder: Place, kind: Kind) -> Contents[Place]:
    """The entries of a folder, without those of its sub-folders."""
    found: Contents[Place] = Contents()
    for entry in _entries(folder) if isinstance(folder, Path) else entries(folder):
        _put(found, entry, kind)
    return found


def _entries(folder: Path) -> Iterable[Entry[Path]]:
    """The entries of a folder on disk, by name.

    Raises:
        DataError: it cannot be listed.
    """
    try:
        with os.scandir(folder) as found:
            return [Entry(Path(entry.path), _what(entry)) for entry in sorted(found, key=lambda entry: entry.name)]
    except OSError as error:
        raise DataError(
            f"'{shown(folder)}' cannot be listed ({error.strerror or error})", "check its permissions"
        ) from error


def _what(entry: os.DirEntry[str]) -> What:
    linked = entry.is_symlink()
    if os.path.isdir(entry.path) if linked else entry.is_dir():
        return "folder"
    if os.path.isfile(entry.path) if linked else entry.is_file():
        return "file"
    return "link" if linked else "special"


def _put(found: Contents[Place], entry: Entry[Place], kind: Kind) -> None:
    """Sort an entry in. Hidden ones are left out, because macOS archives and preview tools create many of them."""
    path, hidden = entry.path, entry.path.name.startswith(".")
    if entry.what == "folder":
        found.folders += [] if hidden else [path]
    elif entry.what == "file":
        _put_file(found, path, hidden, kind)
    elif entry.what == "link" and not hidden:
        found.dead.append(path)
    elif path.suffix.lower() in kind.read and not hidden:
        found.special.append(path)


def _put_file(found: Contents[Place], file: Place, hidden: bool, kind: Kind) -> None:
    suffix = file.suffix.lower()
    known = suffix in kind.read or suffix in kind.others
    if hidden:
        found.unread += [Unread(file, HIDDEN, False)] if known and not file.name.startswith("._") else []
    elif suffix in kind.read:
        found.files.append(file)
    elif known or (isinstance(file, Path) and kind.recognised(file)):
        found.unread.append(Unread(file, shown(suffix) or kind.bare, True))
    elif suffix not in TEXT_SUFFIXES and file.name.upper() not in TEXT_NAMES:
        found.unread.append(Unread(file, shown(suffix) or kind.bare, False))


def _refuse_what_structure_loses(
    folder: Place, kind: Kind, top: Contents[Place], below: dict[str, Contents[Place]]
) -> None:
    """Raise DataError for broken links and pipes, for files beside class folders, and for files in deeper folders."""
    inner = [(sub, [folder, sub.parent]) for found in below.values() for sub in found.folders]
    further = list(chain.from_iterable(_walk(sub, kind, above) for sub, above in inner))
    everywhere = list(chain([top], below.values(), further))
    dead = [link for found in everywhere for link in found.dead]
    _refuse(folder, "broken link", dead, "mount or copy what they point to, or remove them")
    special = [pipe for found in everywhere for pipe in found.special]
    _refuse(folder, "special file", special, "remove them: pipes and devices are not read")
    groups = [name for name, found in below.items() if found.files]
    if top.files and groups:
        raise DataError(
            f"'{shown(folder)}' has {counted(len(top.files), kind.name)} beside the class folders {first(groups)}",
            f"move every {kind.name} into a class folder, or every {kind.name} into one folder",
        )
    deep = [file for found in further for file in found.meant]
    if deep:
        places = [file.parent.relative_to(folder) for file in deep]
        levels = [LEVELS.get(depth, str(depth)) for depth in sorted({len(place.parts) for place in places})]
        raise DataError(
            f"'{shown(folder)}' has {counted(len(deep), kind.name)} {' and '.join(levels)} levels down, "
            f"in {first(list(dict.fromkeys(places)))}",
            f"name the folder whose sub-folders are the classes, or move the {kind.name}s up into their class folders",
        )


def _walk(folder: Place, kind: Kind, above: list[Place]) -> Iterator[Contents[Place]]:
    """The contents of a folder and of all folders below it; links back to a folder above are not followed."""
    if any(folder.samefile(other) for other in above):
        return
    found: Contents[Place] = _look_into(folder, kind)
    yield found
    inside = above.copy()
    inside.append(folder)
    for sub in found.folders:
        yield from _walk(sub, kind, inside)


def _refuse(folder: Place, what: str, found: list[Place], hint: str) -> None:
    if found:
        name = shown(found[0].relative_to(folder))
        raise DataError(f"'{shown(folder)}' has {counted(len(found), what)}, the first {name}", hint)


def _refuse_empty(folder: Place, kind: Kind, unread: list[Unread[Place]]) -> None:
    if unread:
        raise DataError(
            f"'{shown(folder)}' holds no {kind.name}s that can be read, but {counted(len(unread), 'other file')} "
            f"({reasons(unread)}), the first {shown(unread[0].path.relative_to(folder))}",
            f"convert them to {kind.target}, or name another folder",
        )
    raise DataError(
        f"'{shown(folder)}' holds no {kind.name}s",
        f"put {kind.usual} files into it, or into one sub-folder per class",
    )
