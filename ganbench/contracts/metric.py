"""The contract of a metric: what it scores, and what its columns mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from ganbench.contracts.evaluation import Evaluation

Goal = Literal["min", "max", "info"]


class Metric(Protocol):
    """Scores a set of fakes against a set of reals.

    * ``columns``: column -> ``"min"`` (smaller is better), ``"max"`` or ``"info"`` (no direction).
    * ``version``: raised whenever the same samples would score differently.
    * ``ranges`` (optional): column -> (lowest, highest) possible value, None for open. Intervals are clipped to it; a
      column in ``(0, None)`` is compared on the log scale.
    * ``needs`` (optional): what the GAN must have, else no run is begun: ``"labels"`` (it is ``conditional``),
      ``"back"`` (it translates both ways: ``sample_back``).

    A score that used a feature extractor is named after it (``fid@digits-cnn:1a2b3c4d``); the core sees to that.
    """

    columns: Mapping[str, Goal]
    version: int

    def __call__(self, evaluation: Evaluation) -> Mapping[str, float]:
        """One value for every column. NaN is a defect: raise ``Unsupported`` where a score does not exist."""
        ...
