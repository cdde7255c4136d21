"""A doubt that several metrics share: a classifier that only guesses the labels of real data."""

from __future__ import annotations

from torch import Tensor, bincount

MARGIN = 0.25
"""The share of the way from guessing to knowing up to which a classifier says nothing about labels."""


def doubts_of_guessing(accuracy: float, labels: Tensor, who: str) -> list[str]:
    """A sentence if ``accuracy``, the share of real samples whose ``labels[N]`` the classifier ``who`` finds, is hardly
    more than what it gets by always naming the most frequent one."""
    guess = float(bincount(labels).max()) / len(labels)
    if accuracy > guess + MARGIN * (1 - guess):
        return []
    return [
        f"{who} finds the labels of {accuracy:.0%} of the real samples, and guessing finds {guess:.0%}: either it was "
        "made for other data, or the labels are wrong"
    ]
