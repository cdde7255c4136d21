"""Conformance checks of a loss: its penalty on the gradient of D, if it has one."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from ganbench.contracts.loss import LossTraits
from ganbench.testing.findings import Checks, Finding, scalar
from ganbench.testing.probes import LossCase, Spy, along, small_critic
from ganbench.testing.randomness import seeded

CHECKS: Checks[LossCase] = Checks("loss")
FEATURES = 64
BATCHES, PAIRS = 8, 16


@CHECKS.add
def penalty_looks_at_each_sample_by_itself(case: LossCase) -> Iterator[Finding]:
    """A gradient penalty must be a mean over samples of a function of each sample's own gradient norm.

    A norm over the whole batch, over features across samples, or over the channels of each pixel is a different
    penalty, whose strength depends on the batch size or the image size.
    """
    if not case.penalised:
        return
    slopes = torch.tensor([0.5, 2.0, 1.0, 3.0])
    one = along(6)
    together = scalar(case.penalty(slopes, one))
    apart = [scalar(case.penalty(torch.full((4,), float(k)), one)) for k in slopes]
    mean = sum(apart) / len(apart)
    if not math.isclose(together, mean, rel_tol=1e-3, abs_tol=1e-5):
        yield Finding(
            seen=f"gradient norms 0.5, 2, 1, 3 cost {together:.4g} in one batch and {mean:.4g} in separate batches",
            expected="the same: one norm per sample, then the mean",
            mend="take gradient.flatten(1).norm(dim=1), and .mean() over the batch last",
        )
    few, many = (scalar(case.penalty(torch.full((n,), 2.0), one)) for n in (4, 16))
    if not math.isclose(few, many, rel_tol=1e-3, abs_tol=1e-5):
        yield Finding(
            seen=f"gradients of norm 2 cost {few:.4g} in a batch of 4 and {many:.4g} in a batch of 16",
            expected="the same",
            mend="take one norm per sample: gradient.flatten(1).norm(dim=1), and .mean() over the batch last",
        )
    narrow, wide = (scalar(case.penalty(torch.full((4,), 2.0), along(3, 4, 4, evenly=e))) for e in (False, True))
    if not math.isclose(narrow, wide, rel_tol=1e-3, abs_tol=1e-5):
        yield Finding(
            seen=f"a gradient of norm 2 costs {narrow:.4g} if it lies on one pixel, {wide:.4g} if on all of them",
            expected="the same: the norm of the whole sample's gradient",
            mend="flatten the gradient before the norm: gradient.flatten(1).norm(dim=1)",
        )


@CHECKS.add
def penalty_asks_for_a_critic_that_mixes_no_samples(case: LossCase) -> Iterator[Finding]:
    """The gradient of a sum of logits contains each sample's own gradient only if no sample affects another's logit.

    Batch normalisation in D breaks that, so a loss with such a penalty has to rule it out.
    """
    if case.penalised and LossTraits(case.loss).d_norm is None:
        yield Finding(
            seen="d_loss depends on the gradient of D with respect to samples, but d_norm is not stated",
            expected='d_norm = "none" (or "spectral")',
            mend='add d_norm = "none" to the loss',
        )


@CHECKS.add
def penalty_teaches_d(case: LossCase) -> Iterator[Finding]:
    """A penalty computed without create_graph=True is a constant, which appears in the loss but changes no weight."""
    if not case.penalised:
        return
    slopes = torch.tensor([0.5, 2.0, 1.3, 3.0], requires_grad=True)
    (taught,) = torch.autograd.grad(case.penalty(slopes, along(6)), slopes, allow_unused=True)
    step = 0.01
    rise, fall = (scalar(case.penalty(slopes.detach() + sign * step, along(6))) for sign in (1, -1))
    needed = (rise - fall) / (2 * step)
    got = 0.0 if taught is None else float(taught.sum())
    if not math.isclose(got, needed, rel_tol=0.02, abs_tol=0.02):
        yield Finding(
            seen=f"the derivative of the penalty w.r.t. D's slope is {got:.4g}",
            expected=f"{needed:.4g}, by finite differences",
            mend="use torch.autograd.grad(..., create_graph=True), and do not detach the gradient or its norm",
        )


@CHECKS.add
def penalty_points_are_drawn_for_each_sample(case: LossCase) -> Iterator[Finding]:
    """A penalty at random points must draw them separately for each sample.

    With one draw for the whole batch, all points are equally far from their real samples, and each step penalises D at
    one distance only.
    """
    distances = _distances(case)
    if distances is None:
        return
    within = float(distances.var(dim=1).mean())
    between = float(distances.mean(dim=1).var())
    if between > 10 * within / PAIRS + 1e-9:
        first, second = (f"{row.mean():.3g} ± {row.std():.2g}" for row in distances[:2])
        yield Finding(
            seen=f"points at distances {first} from their real samples in one batch, {second} in the next",
            expected="distances that differ within a batch as they do between batches",
            mend="draw once per sample: torch.rand(len(x), *[1] * (x.dim() - 1))",
        )


def _distances(case: LossCase) -> Tensor | None:
    """``[BATCHES, PAIRS]``: the distance of each random point shown to D from its real sample; None if there are none.

    Real samples are vectors of signs, and each fake is the negative of its real sample, so all pairs are equally far
    apart.
    """
    rows = []
    signs = torch.randint(2, (PAIRS, FEATURES)).float() * 2 - 1
    for batch in range(BATCHES):
        critic = Spy(small_critic(FEATURES))
        with seeded(batch):
            case.loss.d_loss(critic, signs, -signs)
        points = [x for x in critic.shown if x.shape == signs.shape and not (x.abs() == 1).all()]
        if not points:
            return None
        rows.append((points[0] - signs).norm(dim=1))
    return torch.stack(rows)


@CHECKS.add
def a_diverged_gradient_shows_in_the_loss(case: LossCase) -> Iterator[Finding]:
    """The gradient of D can be NaN while its logits are finite.

    After nan_to_num, it gives a penalty of moderate size, which hides that the run has diverged.
    """

    def critic(x: Tensor) -> Tensor:  # 0 at 0, where the derivative is computed as 0 times infinity
        return torch.where(x > 0, x.sqrt(), 0).flatten(1).sum(1)

    if not case.penalised:
        return
    at_zero = torch.zeros(3, 2)
    value = case.loss.d_loss(critic, at_zero, at_zero)
    if value.isfinite():
        yield Finding(
            seen=f"d_loss = {float(value):.4g} where the gradient of D is NaN",
            expected="a loss that is not finite",
            mend="remove nan_to_num, clamps and masks from the gradient",
        )
