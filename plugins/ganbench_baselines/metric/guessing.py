"""A doubt shared by several metrics: the classifier only guesses the labels of real data."""

from __future__ import annotations

from torch import Tensor, bincount

MARGIN = 0.25
"""The share of the way from guessing to knowing up to which a classifier says nothing about labels."""


def doubts_of_guessing(accuracy: float, labels: Tensor, who: str) -> list[str]:
    """A sentence if a classifier is hardly better than always choosing the most frequent label.

    Args:
        accuracy: its accuracy on real samples.
        labels: those of the real samples, ``[N]``.
        who: the name of the classifier in the sentence.
    """
    guess = float(bincount(labels).max()) / len(labels)
    if accuracy > guess + MARGIN * (1 - guess):
        return []
    return [
        f"{who} finds the labels of {accuracy:.0%} of the real samples, and guessing finds {guess:.0%}: either it was "
        "made for other data, or the labels are wrong"
    ]
