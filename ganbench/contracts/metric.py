"""The contract of a metric: what it scores, and what its columns mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from ganbench.contracts.evaluation import Evaluation

Goal = Literal["min", "max", "info"]
"""Which direction of a column is better. ``info`` has no direction and cannot rank."""
NEEDS = ("labels", "back", "classes")
"""What a metric may declare in ``needs``."""


@dataclass(frozen=True)
class Absent:
    """Replaces the number of a score that does not exist for these samples.

    Args:
        reason: why, as a clause: ``"hardly any sample is of high quality (13 of 1000)"``.
    """

    reason: str


class Metric(Protocol):
    """Scores a set of fakes against a set of reals.

    * ``columns``: column -> ``"min"`` (lower is better), ``"max"`` (higher is better) or ``"info"`` (no direction).
    * ``version``: raise it whenever a change gives the same samples a different score.
    * ``ranges`` (optional): column -> (lowest, highest) possible value, with None for no limit. Intervals are clipped
      to the range. A column with range ``(0, None)`` is compared on a log scale.
    * ``collapsed_at`` (optional): a method ``evaluation -> {column: limit}``. A trained generator has collapsed if its
      score is no better than the limit (at most the limit for ``"max"`` and ``"info"``, at least the limit for
      ``"min"``). Its row is then not ranked. Choose a limit that only useless samples reach, such as a single mode.
    * ``needs`` (optional): ``"labels"`` if the GAN must be ``conditional``, ``"back"`` if it must translate both ways
      (``sample_back``). If the headline's metric needs it, a GAN without it is refused; otherwise the columns are
      absent. ``"classes"`` if the protocol's extractor must classify by the classes of the data. A protocol whose
      extractor has other classes is refused.

    The module's docstring explains each column to readers of tables, in an indented line that consists of the column's
    name, two spaces and the explanation. If there is no such line, its first line explains the column.

    The core adds the extractor's name to every score that used its features: ``fid@digits-cnn:1a2b3c4d``.
    """

    columns: Mapping[str, Goal]
    version: int

    def __call__(self, evaluation: Evaluation) -> Mapping[str, float | Absent]:
        """Return a number for every column, or ``Absent`` with the reason if that score does not exist.

        An absent column does not affect other columns or the run. NaN is an error and ends the run.

        Raises:
            Unsupported: none of the columns exists; the message becomes the reason for all of them.
        """
        ...
