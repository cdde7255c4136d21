"""The classes that an extractor tells apart, and those of the data, matched by name."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from ganbench.contracts.data import Dataset
from ganbench.contracts.extractor import Extractor
from ganbench.errors import Unsupported

SHOWN = 5
"""The most classes that a message names."""


def class_places(extractor: Extractor, known: int, dataset: Dataset) -> list[int]:
    """The place of each of the data's classes among the ``known`` ones of the extractor, ``[K]``.

    Names are compared without regard to case and Unicode form. Where either side has no names, the classes are taken to
    be numbered alike.

    Raises:
        Unsupported: the number of classes differs, or a name.
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
    """The first few, in quotation marks, and how many more there are."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(f"'{name}'" for name in names[:SHOWN]) + more


def _known(names: Sequence[str], who: str) -> str:
    return f" (only {who} has {_quoted(names)})" if names else ""


def _key(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()
