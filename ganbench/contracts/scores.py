"""Look up scores by full name, or by short name if it is unique."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ganbench.contracts.score_name import short_name, short_names
from ganbench.errors import GanbenchError, UnknownScore, listed, meant


class Scores(dict[str, float]):
    """Column -> score. The keys are full names; ``scores["fid"]`` finds ``fid@digits-cnn:1a2b3c4d``.

    An unknown name raises ``UnknownScore``, a ``KeyError``. An ambiguous short name raises ``GanbenchError``, also from
    ``get`` and ``in``, because either answer would be wrong.

    Args:
        scores: full name -> score.
        absent: short name -> why it has no score.
        silence: why there are no scores at all; "" if there are any.
        assumed: sentences on how the samples were understood.
    """

    def __init__(
        self,
        scores: Mapping[str, float],
        absent: Mapping[str, str] | None = None,
        silence: str = "",
        assumed: Sequence[str] = (),
    ) -> None:
        super().__init__(scores)
        self.absent, self.assumed = dict(absent or {}), tuple(assumed)
        self._silence = silence

    def __missing__(self, name: str) -> float:
        found = self._called(name)
        if found:
            return super().__getitem__(found)
        if name in self.absent:
            raise UnknownScore(f"there is no {name}: {self.absent[name]}")
        if self._silence:
            raise UnknownScore(f"there is no {name}: {self._silence}")
        known = [*short_names(self).values()]
        said = f"no score called '{name}'{meant(str(name), known, 0.5)}"
        raise UnknownScore(said, f"scores: {', '.join(known) or 'none'}")

    def __contains__(self, name: object) -> bool:
        return super().__contains__(name) or bool(self._called(name))

    def get(self, name: str, default: Any = None, /) -> Any:
        """Return the score with this full or short name, or ``default`` if there is none."""
        try:
            return self[name]
        except UnknownScore:
            return default

    def _called(self, name: object) -> str:
        """Return the full name of the only column with the short name ``name``, or "" if there is none."""
        found = [full for full in self if short_name(full) == name]
        if len(found) > 1:
            raise GanbenchError(f"{len(found)} scores are called '{name}'", f"choose one: {listed(found)}")
        return found[0] if found else ""
