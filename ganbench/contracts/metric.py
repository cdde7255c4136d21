"""The contract of a metric: what it scores, and what its columns mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from ganbench.contracts.evaluation import Evaluation

Goal = Literal["min", "max", "info"]
"""Which direction of a column is better; ``info`` has none, and cannot rank."""
NEEDS = ("labels", "back", "classes")
"""What a metric may declare to need."""


@dataclass(frozen=True)
class Absent:
    """A score that does not exist for these samples, in place of a number.

    Args:
        reason: why, as the end of a sentence: ``"hardly any sample is of high quality (13 of 1000)"``.
    """

    reason: str


class Metric(Protocol):
    """Scores a set of fakes against a set of reals.

    * ``columns``: column -> ``"min"`` (smaller is better), ``"max"`` or ``"info"`` (no direction).
    * ``version``: raised whenever the same samples would score differently.
    * ``ranges`` (optional): column -> (lowest, highest) possible value, None for open. Intervals are clipped to it; a
      column in ``(0, None)`` is compared on the log scale.
    * ``collapsed_at`` (optional): a method ``evaluation -> {column: limit}``. A trained generator that scores no better
      than the limit (at most it for ``"max"`` and ``"info"``, at least it for ``"min"``) counts as collapsed: its row
      is not ranked. Name a limit that only samples without any use reach, such as a single mode hit.
    * ``needs`` (optional): what the GAN must have: ``"labels"`` (it is ``conditional``) or ``"back"`` (it translates
      both ways: ``sample_back``). A GAN without it is refused if the headline needs it; else the columns are absent.
      ``"classes"``: the protocol's extractor tells the classes of the data apart. A protocol whose extractor tells
      others apart is refused.

    The docstring of the module tells readers of tables what a column means: in an indented line that begins with the
    column's name, two spaces and the explanation, else in its first line.

    A score that used a feature extractor is named after it (``fid@digits-cnn:1a2b3c4d``); the core sees to that.
    """

    columns: Mapping[str, Goal]
    version: int

    def __call__(self, evaluation: Evaluation) -> Mapping[str, float | Absent]:
        """A number for every column, or ``Absent`` with the reason where that score does not exist.

        An absent column costs neither the others nor the run. A NaN is a defect and ends the run.

        Raises:
            Unsupported: none of the columns exists; the message becomes the reason for all.
        """
        ...
