"""A doubt that several metrics share: a classifier that only guesses the labels of real data."""

from __future__ import annotations

from torch import Tensor, bincount

MARGIN = 0.25
"""The share of the way from guessing to knowing up to which a classifier says nothing about labels."""


def doubts_of_guessing(accuracy: float, labels: Tensor, who: str) -> list[str]:
    """A sentence if a classifier hardly does better than by always naming the most frequent label.

    Args:
        accuracy: the share of real samples whose label it finds.
        labels: of the real samples, ``[N]``.
        who: the classifier, as the sentence calls it.
    """
    guess = float(bincount(labels).max()) / len(labels)
    if accuracy > guess + MARGIN * (1 - guess):
        return []
    return [
        f"{who} finds the labels of {accuracy:.0%} of the real samples, and guessing finds {guess:.0%}: either it was "
        "made for other data, or the labels are wrong"
    ]
