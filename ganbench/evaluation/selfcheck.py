"""Checks of whether an evaluation can be trusted; they run with every evaluation and are stored with its scores."""

from __future__ import annotations

import torch
from torch import Tensor

from ganbench.contracts.data import Split, to_signal
from ganbench.contracts.metric import Goal
from ganbench.contracts.score_name import is_called
from ganbench.evaluation.judge import FEW, Judge
from ganbench.evaluation.yardsticks import real as real_against_real
from ganbench.records.record import SelfChecks

TOLERANCE = 0.2
"""The share by which the reference compared with itself may score worse than other real samples do.

This allows for the noise of scores that are not perfect for identical samples: those that use the fakes alone, and the
density, which is 1 for identical samples and, for other real samples, varies by 1 % with 2,500 samples and by 6 % with
100. A wrong metric, or one with the wrong direction, deviates by far more."""
CHUNK = 64
"""Samples whose raw values are processed together."""


class SelfCheck:
    """The checks for one judge; its floors are computed once.

    Args:
        judge: the judge of the reporting split.
        part: the name of that split.
        metric: the headline's metric.
        seed: the seed of the draws for the floor.
        headline, target: the column that ranks, and its target, if any.
    """

    def __init__(
        self, judge: Judge, part: str, metric: str, seed: int, headline: str = "", target: float | None = None
    ) -> None:
        self.judge = judge
        reals, others = real_against_real(judge.dataset, judge.reference, part, seed)
        halved = None if reals is judge.reference else reals
        floor = judge.score(others, seed, real=halved, only=[metric])
        identical = judge.score(judge.reference, seed, only=[metric])
        self.floor, self.identical, self.absent = floor.scores, identical.scores, identical.absent
        self.doubts = identical.doubts
        self.goals: dict[str, Goal] = {name: column.goal for name, column in floor.columns.items()}
        self.doubts += self._doubts_of_target(headline, target)
        real = judge.signal(judge.reference)
        self.centre = real.mean(dim=0)
        self.real_effective, self.real_spread = effective_samples(real - self.centre), _spread(real)
        self.real_raw_spread = _raw_spread(judge.reference)

    def _doubts_of_target(self, headline: str, target: float | None) -> list[str]:
        """A doubt if real data do not reach the target, which may have been chosen for other data.

        There is no doubt for pairs, because real samples compared with the truth of other inputs bound nothing.
        """
        if self.judge.reference.paired:
            return []
        return [
            f"the target {headline} {target:g} is out of reach: real data score {score:.4g}"
            for name, score in self.floor.items()
            if target is not None and is_called(name, headline) and _worse(score, target, self.goals[name])
        ]

    def __call__(self, fake: Split, real: Split | None = None) -> SelfChecks:
        """Check one draw of fakes, which is scored against the reference or against ``real``."""
        failed = [
            f"{name} rates other real samples ({self.floor[name]:.4g}) better than identical ones ({score:.4g})"
            for name, score in self.identical.items()
            if name in self.floor and _worse(score, self.floor[name], self.goals[name])
        ]
        real_n, fake_n = len(real or self.judge.reference), len(fake)
        if real_n != fake_n:
            failed.append(f"{fake_n} fakes were compared with {real_n} real samples")
        signal = self.judge.signal(fake)
        effective, spread = effective_samples(signal - self.centre), _spread(signal) / max(self.real_spread, 1e-12)
        raw_spread = _raw_spread(fake) / max(self.real_raw_spread, 1e-12)
        return SelfChecks(
            real_n,
            fake_n,
            self.floor,
            self.identical,
            round(effective, 4),
            round(spread, 6),
            tuple(failed),
            round(self.real_effective, 4),
            round(raw_spread, 6),
        )


def effective_samples(x: Tensor) -> float:
    """Vendi score of ``x[N, d]`` under the cosine kernel, from 1 (all rows point the same way) to min(N, d).

    It is exp of the entropy of the kernel's spectrum (Friedman and Dieng 2023, equation 3); the d x d Gram matrix has
    the same spectrum.
    """
    unit = x / x.norm(dim=1, keepdim=True).clamp(min=1e-12)
    gram = unit.T @ unit if unit.shape[1] < len(unit) else unit @ unit.T
    share = torch.linalg.eigvalsh(gram / len(unit)).clamp(min=0)
    share = share / share.sum().clamp(min=1e-12)
    return float(torch.special.entr(share).sum().exp())


def _raw_spread(split: Split) -> float:
    """Total variance of at most the first ``FEW`` raw samples, computed in chunks because images may be large."""
    chunks = split.x[:FEW].split(CHUNK)
    n = sum(map(len, chunks))
    mean = torch.stack([to_signal(chunk).flatten(1).double().sum(0) for chunk in chunks]).sum(0) / n
    squares = (float((to_signal(chunk).flatten(1).double() - mean).square().sum()) for chunk in chunks)
    return sum(squares) / (n - 1) if n > 1 else 0.0


def _spread(x: Tensor) -> float:
    """Total variance of ``x[n, d]``."""
    return float(x.var(dim=0).sum()) if len(x) > 1 else 0.0


def _worse(score: float, floor: float, goal: Goal) -> bool:
    slack = TOLERANCE * abs(floor) + 1e-9
    return {"min": score > floor + slack, "max": score < floor - slack, "info": False}[goal]
