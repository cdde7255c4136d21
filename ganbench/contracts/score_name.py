"""The name of a score: ``fid@digits-cnn:1a2b3c4d`` is the column ``fid`` under that extractor; others have none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple


class ScoreName(NamedTuple):
    """A metric's column, and the tag of the extractor whose features it used (empty: none)."""

    column: str
    extractor: str = ""

    @classmethod
    def of(cls, text: str) -> ScoreName:
        """Read what ``str`` wrote."""
        column, _, extractor = text.partition("@")
        return cls(column, extractor)

    def __str__(self) -> str:
        return f"{self.column}@{self.extractor}" if self.extractor else self.column


def short_name(text: str) -> str:
    """The column of a name in full: ``fid`` of ``fid@digits-cnn:1a2b3c4d``."""
    return ScoreName.of(text).column


def short_names(names: Iterable[str]) -> dict[str, str]:
    """Name in full -> its column; in full where several would share it."""
    columns = {name: short_name(name) for name in names}
    taken = Counter(columns.values())
    return {name: column if taken[column] == 1 else name for name, column in columns.items()}


def is_called(text: str, asked: str) -> bool:
    """Whether ``asked`` is the name of a score in full, or its column."""
    return asked in (text, short_name(text))
