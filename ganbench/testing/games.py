"""Textbook games, and the deviation of a loss from one of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import relu, softplus

from ganbench.testing.probes import LOGITS, LossCase, Slope

Game = tuple[Callable[[Tensor, Tensor], Tensor], Callable[[Tensor, Tensor], Tensor]]

FORMS: dict[str, tuple[Game, ...]] = {
    "minimax": ((lambda r, f: softplus(-r) + softplus(f), lambda r, f: -softplus(f)),),
    "non-saturating": ((lambda r, f: softplus(-r) + softplus(f), lambda r, f: softplus(-f)),),
    "lsgan": (
        (lambda r, f: (r - 1) ** 2 + f**2, lambda r, f: (f - 1) ** 2),
        (lambda r, f: (r - 1) ** 2 + (f + 1) ** 2, lambda r, f: f**2),
    ),
    "wgan": ((lambda r, f: f - r, lambda r, f: -f),),
    "hinge": ((lambda r, f: relu(1 - r) + relu(1 + f), lambda r, f: -f),),
    "relativistic": ((lambda r, f: softplus(f - r), lambda r, f: softplus(r - f)),),
}
"""Textbook games in the logits r = D(real), f = D(fake): (what D minimises, what G minimises), up to constants. The
least-squares game has two forms in its paper."""


def at(slopes: list[Slope], real: float, fake: float) -> Slope:
    """The slope at these two logits."""
    return next(s for s in slopes if (s.real, s.fake) == (real, fake))


def real_half(case: LossCase) -> dict[float, float]:
    """D(real) -> derivative of d_loss with respect to it, next to an equally misjudged fake.

    The fake matters for relativistic losses.
    """
    return {t: at(case.d_slopes, t, -t).by_real for t in LOGITS}


def fake_half(case: LossCase) -> dict[float, float]:
    """D(fake) -> derivative of d_loss with respect to it, next to an equally misjudged real sample."""
    return {t: at(case.d_slopes, -t, t).by_fake for t in LOGITS}


def fit_logistic(half: dict[float, float]) -> float | None:
    """The s in ``derivative = w (sigmoid(t) - s)`` with w > 0; None if no s fits."""
    logits = torch.tensor(list(half), dtype=torch.float64)
    design = torch.stack([logits.sigmoid(), torch.ones_like(logits)], dim=1)
    target = torch.tensor(list(half.values()), dtype=torch.float64)
    w, offset = torch.linalg.lstsq(design, target.unsqueeze(1)).solution.flatten().tolist()
    worst = (design @ torch.tensor([w, offset], dtype=torch.float64) - target).abs().max()
    return -offset / w if w > 1e-3 and worst < 1e-3 * w else None


class Departure(NamedTuple):
    """The point at which d_loss or g_loss departs most from a closed form.

    At the logits of ``at``, the derivative of ``objective`` with respect to ``logit``, ``"D(real)"`` or ``"D(fake)"``,
    is ``have``, while the form's is ``want``.
    """

    objective: str
    at: Slope
    logit: str
    have: float
    want: float


def departures(case: LossCase, game: Game) -> list[Departure]:
    """The largest departure for each objective, if any."""
    found = []
    for name, slopes, form in zip(("d_loss", "g_loss"), (case.d_slopes, case.g_slopes), game, strict=True):
        pairs = [(have, want) for s in slopes for have, want in zip((s.by_real, s.by_fake), _of(form, s), strict=True)]
        scale = max(sum(h * w for h, w in pairs) / sum(w * w for _, w in pairs), 1e-12)
        gap = [abs(h / scale - w) / max(1.0, abs(w)) for h, w in pairs]
        worst = max(range(len(pairs)), key=gap.__getitem__)
        if gap[worst] > 1e-3:
            have, want = pairs[worst]
            logit = "D(fake)" if worst % 2 else "D(real)"
            found.append(Departure(name, slopes[worst // 2], logit, have, scale * want))
    return found


def _of(form: Callable[[Tensor, Tensor], Tensor], at: Slope) -> tuple[float, float]:
    """Derivatives of a closed form with respect to D(real) and D(fake)."""
    logits = [torch.tensor(t, dtype=torch.float64, requires_grad=True) for t in (at.real, at.fake)]
    by_real, by_fake = torch.autograd.grad(form(*logits), logits, allow_unused=True, materialize_grads=True)
    return float(by_real), float(by_fake)
