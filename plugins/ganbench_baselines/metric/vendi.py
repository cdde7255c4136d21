"""Vendi score: the effective number of different samples (Friedman and Dieng 2023).

It is exp of the entropy of the eigenvalues of K/N, where K holds the cosine similarities of N samples.

    vendi         effective number of different fakes, from 1 (all alike) to the number of samples or of features
    vendi_real    the same for the real samples

It measures diversity, not quality, and noise may score higher than real samples. So it has no direction: more than
``vendi_real`` is no merit. With X the features, scaled to length 1, the d x d matrix X^T X has the eigenvalues of X X^T
that are not 0. So the score is exact for any number of samples. It grows with their number, so compare it at equal
numbers. Features that are never negative, such as those behind a ReLU, are similar to each other and score low.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from ganbench import Evaluation, Goal, Metric, Unsupported, hookimpl


class Vendi:
    """The Vendi score under the cosine kernel of the protocol's features."""

    columns: Mapping[str, Goal] = {"vendi": "info", "vendi_real": "info"}
    version = 1
    ranges: Mapping[str, tuple[float | None, float | None]] = {"vendi": (1, None), "vendi_real": (1, None)}

    def __call__(self, evaluation: Evaluation) -> dict[str, float]:
        """{"vendi": effective number of fakes, "vendi_real": that of real samples}, both at least 1.

        Raises:
            Unsupported: there are fewer than two fakes.
        """
        if len(evaluation.fake) < 2:
            raise Unsupported("needs two samples or more: the score of a single one is always 1")
        real = evaluation.of_reals(
            "vendi", lambda: {"score": torch.tensor(score(evaluation.blocks("real")), dtype=torch.float64)}
        )
        return {"vendi": score(evaluation.blocks("fake")), "vendi_real": real["score"].item()}


def score(blocks: Iterable[Tensor]) -> float:
    """The Vendi score of the rows of ``x[B, d]``, block by block; at most the first d rows are kept.

    A row of zeros has no direction, and does not count.
    """
    n, rows, gram = 0, list[Tensor](), torch.zeros(0, 0)
    for block in blocks:
        unit = block.double() / block.double().norm(dim=1, keepdim=True).clamp(min=torch.finfo(torch.float64).tiny)
        n, d = n + len(unit), unit.shape[1]
        rows.append(unit)
        if n > d:
            parts = torch.cat(rows)
            gram = gram + parts.T @ parts if len(gram) else parts.T @ parts
            rows = []
    if not len(gram):
        few = torch.cat(rows)
        gram = few @ few.T
    share = torch.linalg.eigvalsh(gram).clamp(min=0)
    share = share / share.sum().clamp(min=torch.finfo(torch.float64).tiny)
    return max(torch.special.entr(share).sum().exp().item(), 1.0)  # rounding may give less; this order keeps a NaN


@hookimpl
def ganbench_metric() -> Metric:
    """Build the metric."""
    return Vendi()
