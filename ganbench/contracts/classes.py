"""Match the classes of an extractor with those of the data by name."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from ganbench.contracts.data import Dataset
from ganbench.contracts.extractor import Extractor
from ganbench.errors import Unsupported

SHOWN = 5
"""Maximum number of classes that a message names."""


def class_places(extractor: Extractor, known: int, dataset: Dataset) -> list[int]:
    """Return the index of each of the data's classes among the extractor's ``known`` classes, ``[K]``.

    The comparison ignores case and Unicode form. If either side has no names, the classes are assumed to have the same
    numbers.

    Raises:
        Unsupported: the number of classes or a name differs.
    """
    theirs, own = extractor.class_names, dataset.class_names
    only = [name for name in theirs if _key(name) not in set(map(_key, own))]
    strange = [name for name in own if _key(name) not in set(map(_key, theirs))]
    if dataset.spec.classes != known:
        raise Unsupported(
            f"{extractor.name} tells {known} classes apart{_known(theirs and own and only, extractor.name)}, "
            f"but {dataset.name} has {dataset.spec.classes}{_known(theirs and own and strange, dataset.name)}"
        )
    if not theirs or not own:
        return list(range(known))
    place = {_key(name): index for index, name in enumerate(theirs)}
    if strange:
        raise Unsupported(
            f"the classes of {dataset.name} are called {_quoted(strange)}, "
            f"but {extractor.name} calls them {_quoted(only)}"
        )
    return [place[_key(name)] for name in own]


def _quoted(names: Sequence[str]) -> str:
    """Quote the first few names, and say how many more there are."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(f"'{name}'" for name in names[:SHOWN]) + more


def _known(names: Sequence[str], who: str) -> str:
    return f" (only {who} has {_quoted(names)})" if names else ""


def _key(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()
