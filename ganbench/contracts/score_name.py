"""Names of scores: ``fid@digits-cnn:1a2b3c4d`` is the column ``fid`` under that extractor, ``fid`` has none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple


class ScoreName(NamedTuple):
    """A metric's column, and the tag of the extractor whose features it used, or an empty string."""

    column: str
    extractor: str = ""

    @classmethod
    def of(cls, text: str) -> ScoreName:
        """Parse the name of a score."""
        column, _, extractor = text.partition("@")
        return cls(column, extractor)

    def __str__(self) -> str:
        return f"{self.column}@{self.extractor}" if self.extractor else self.column


def short_name(text: str) -> str:
    """Return the column in a full name: ``fid`` for ``fid@digits-cnn:1a2b3c4d``."""
    return ScoreName.of(text).column


def short_names(names: Iterable[str]) -> dict[str, str]:
    """Map each full name to its column, or to itself if several names share the column."""
    columns = {name: short_name(name) for name in names}
    taken = Counter(columns.values())
    return {name: column if taken[column] == 1 else name for name, column in columns.items()}


def is_called(text: str, asked: str) -> bool:
    """Return whether ``asked`` is the full name of the score ``text``, or its column."""
    return asked in (text, short_name(text))
