"""The contract of a loss. A plugin needs the members, but need not inherit from these classes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from torch import Tensor, nn


Critic = Callable[["Tensor"], "Tensor"]
"""D with any conditions bound: ``x[B, *shape] -> logit[B]``."""


class Match(NamedTuple):
    """One adversarial game: ``D``, with any conditions bound, must distinguish ``real`` from ``fake``."""

    D: Critic
    real: Tensor
    fake: Tensor


class Loss(Protocol):
    """The adversarial objective of one match (D, real, fake).

    ``real`` and ``fake`` are ``[B, *shape]``. In ``d_loss``, the fakes carry no gradient. Draw random numbers, such as
    interpolations, from torch's default generator, which the core has seeded. A loss keeps no state between calls,
    because checkpoints would not save it, and a resumed run would end with other bits.

    Optional attributes, with their defaults:

    * ``d_steps = 1``: D updates per G update. Each uses a new batch and uses up budget.
    * ``d_norm = None``: the normalisation that D must have: ``"none"`` (nothing that mixes the samples of a batch, for
      per-sample penalties), ``"spectral"``, or None for no preference.
    * ``recipe = {}``: optimiser settings from the paper, e.g. ``{"betas": (0.0, 0.9)}``.
    * ``after_d_step(discriminators) -> None``: called after each D update, for example to clip weights.
    * ``scale = 1.0``: the scale of the loss relative to its usual form (0.5 for least squares with a factor of ½).
      Weights such as CycleGAN's λ, which assume the usual form, are multiplied by it.

    If the loss is a dataclass, users can change its fields with ``--set loss.<field>=<value>``.
    """

    def d_loss(self, D: Critic, real: Tensor, fake: Tensor) -> Tensor:
        """Return the scalar that D minimises."""
        ...

    def g_loss(self, D: Critic, real: Tensor, fake: Tensor) -> Tensor:
        """Return the scalar that G minimises. Relativistic losses use ``real``."""
        ...


class LossTraits:
    """The optional attributes of a loss, with defaults filled in."""

    def __init__(self, loss: Loss) -> None:
        self.d_steps: int = getattr(loss, "d_steps", 1)
        self.d_norm: str | None = getattr(loss, "d_norm", None)
        self.recipe: Mapping[str, Any] = getattr(loss, "recipe", {})
        self.scale: float = getattr(loss, "scale", 1.0)
        self.after_d_step: Callable[[Sequence[nn.Module]], None] | None = getattr(loss, "after_d_step", None)
