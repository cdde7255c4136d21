"""What a dataset or an extractor needs from the internet: files, their checksums, and the terms of their use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class RemoteFile:
    """A file that can be fetched.

    Args:
        urls: where it is, in the order in which to try.
        checksum: of the file, ``md5:...`` or ``sha256:...``, in hexadecimal; its first eight digits or more.
        path: where it belongs, below the data folder.
        unpack: the members of a tar archive to keep, which is their path below the data folder too, and the checksum of
            each. The archive is removed afterwards. Empty if the file is used as it is.
    """

    urls: tuple[str, ...]
    checksum: str
    path: str
    unpack: Mapping[str, str] = field(default_factory=dict)

    @property
    def kept(self) -> Mapping[str, str]:
        """The paths that are there in the end, below the data folder, and their checksums."""
        return self.unpack or {self.path: self.checksum}


@dataclass(frozen=True)
class Download:
    """What ``ganbench download NAME`` fetches, and what to know about it.

    Args:
        homepage: where the data and their terms are described.
        licence: the terms of use in a few words, or that none are stated.
        citation: who made the data: authors, year and title.
        files: what can be fetched; empty if only a person can, for instance after registration.
        size: of everything that is fetched, in bytes, roughly.
        by_hand: what to fetch by hand and where to put it, as an instruction, if ``files`` is empty.
    """

    homepage: str
    licence: str
    citation: str
    files: tuple[RemoteFile, ...] = ()
    size: int = 0
    by_hand: str = ""
