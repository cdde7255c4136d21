"""The contract of a loss. A plugin need not inherit from these classes: having the members is enough."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from torch import Tensor, nn


Critic = Callable[["Tensor"], "Tensor"]
"""D with its conditions bound: ``x[B, *shape] -> logit[B]``."""


class Match(NamedTuple):
    """One game: ``D`` (conditions bound) must tell ``real`` from ``fake``."""

    D: Critic
    real: Tensor
    fake: Tensor


class Loss(Protocol):
    """The adversarial objective of one match (D, real, fake).

    Anything random (an interpolation, a perturbation) is drawn with torch's default generator: the core has seeded it
    for this purpose. ``real`` and ``fake`` are ``[B, *shape]``; inside ``d_loss`` the fakes carry no gradient. A loss
    keeps no state between calls: no checkpoint would hold it, and a resumed run would not end with the same bits.

    Optional attributes, with their defaults:

    * ``d_steps = 1``: D updates per G update; each sees a fresh batch and counts towards the budget.
    * ``d_norm = None``: the normalisation D must be built with: ``"none"`` (nothing that mixes samples, for per-sample
      penalties), ``"spectral"``, or None for no opinion.
    * ``recipe = {}``: optimiser settings the paper prescribes, e.g. ``{"betas": (0.0, 0.9)}``.
    * ``after_d_step(discriminators) -> None``: called after each D update (weight clipping).
    * ``scale = 1.0``: its terms relative to the form that architectures weigh their own terms against (0.5 for least
      squares with a ½ in front). Weights such as CycleGAN's λ are multiplied by it.

    A loss that is a dataclass lets users change its fields with ``--set loss.<field>=<value>``.
    """

    def d_loss(self, D: Critic, real: Tensor, fake: Tensor) -> Tensor:
        """Scalar that D minimises."""
        ...

    def g_loss(self, D: Critic, real: Tensor, fake: Tensor) -> Tensor:
        """Scalar that G minimises. ``real`` is there for relativistic losses."""
        ...


class LossTraits:
    """A loss's optional attributes with their defaults filled in."""

    def __init__(self, loss: Loss) -> None:
        self.d_steps: int = getattr(loss, "d_steps", 1)
        self.d_norm: str | None = getattr(loss, "d_norm", None)
        self.recipe: Mapping[str, Any] = getattr(loss, "recipe", {})
        self.scale: float = getattr(loss, "scale", 1.0)
        self.after_d_step: Callable[[Sequence[nn.Module]], None] | None = getattr(loss, "after_d_step", None)
