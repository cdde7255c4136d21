"""The contract of an architecture: the players, the latent, and the matches a loss is played on."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn

from ganbench.contracts.loss import Match
from ganbench.errors import PluginError

if TYPE_CHECKING:
    from ganbench.contracts.data import Batch
    from ganbench.contracts.loss import Loss


class Lazy(NamedTuple):
    """A term computed only every ``every``-th iteration and weighted by ``every``.

    So its mean strength stays the same (lazy regularisation, Karras et al. 2020, appendix B).
    """

    every: int
    compute: Callable[[], Tensor]


Terms = Mapping[str, "Tensor | Lazy"]
"""Scalars in addition to a loss, by name."""


class GAN(nn.Module):
    """Noise in, sample out; override a method for anything else.

    Args:
        generator: ``z[B, Z] -> x[B, *shape]``.
        discriminator: ``x[B, *shape] -> logit[B]``.
        z_dim: Z, the size of the latent.
        recipe: optimiser settings that this architecture prescribes (a loss may overrule them).
        settings: the architecture's own settings, a dataclass; records hold them as ``arch.<name>``.

    Modules that belong to a player must be reachable from ``generators()`` or ``discriminators()``. Anything else that
    must survive a checkpoint (an image pool, say) is registered as a buffer, whose shape never changes.
    """

    own_init = False
    """Whether the initial weights are part of the architecture, so that no trick may draw new ones."""
    conditional = False
    """Whether ``batch.labels``, or a ``batch.source`` of that label, decides what ``sample`` returns. If so, metrics
    see these labels as those of the fakes."""

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        z_dim: int,
        recipe: Mapping[str, Any] | None = None,
        settings: object = None,
    ) -> None:
        super().__init__()
        self.generator = generator
        self.discriminator = discriminator
        self.z_dim = z_dim
        self.recipe = dict(recipe or {})
        self.settings = settings

    # -- who plays ---------------------------------------------------------------------------------------------------

    def generators(self) -> Sequence[nn.Module]:
        """The modules that the G optimiser owns, that are averaged (EMA) and that sample."""
        return [self.generator]

    def discriminators(self) -> Sequence[nn.Module]:
        """The modules that the D optimiser owns."""
        return [self.discriminator]

    def generator_params(self) -> Iterable[Any]:
        """What the G optimiser is built from: parameters, or parameter groups with their own settings."""
        return [p for module in self.generators() for p in module.parameters()]

    def discriminator_params(self) -> Iterable[Any]:
        """What the D optimiser is built from."""
        return [p for module in self.discriminators() for p in module.parameters()]

    # -- how a fake is made ------------------------------------------------------------------------------------------

    def sample_latent(self, n: int, rng: torch.Generator) -> Tensor:
        """``z[n, Z]`` from the prior, on the generator's device: standard normal unless overridden."""
        return torch.randn(n, self.z_dim, generator=rng, device=rng.device)

    def fake(self, batch: Batch) -> Any:
        """The fakes of one update: ``x[B, *shape]``, or whatever ``matches`` understands."""
        return self.generator(batch.z)

    def sample(self, batch: Batch) -> Tensor:
        """Samples to be judged, ``x[B, *shape]``; called in eval mode on the averaged generator."""
        samples: Tensor = self.fake(batch)
        return samples

    def sample_back(self, batch: Batch) -> Tensor | None:
        """For two-way translators: ``source[B, ...]`` made from ``batch.real``; called like ``sample``."""
        return None

    # -- what is played ----------------------------------------------------------------------------------------------

    def matches(self, batch: Batch, fake: Any) -> Sequence[Match]:
        """The games that the loss is played on, in both players' turns."""
        return [Match(self.discriminator, batch.real, fake)]

    def fakes_for_d(self, fake: Any) -> Any:
        """The fakes that D is shown in its own turn; a GAN with an image pool adds these and returns earlier ones.

        Called once in each of D's turns; a look-ahead at D's later updates does not call it.
        """
        return fake

    def d_extra(self, batch: Batch, fake: Any) -> Terms:
        """Named terms added to D's objective. D is shown samples through ``batch.view``."""
        return {}

    def g_extra(self, batch: Batch, fake: Any) -> Terms:
        """Named terms added to G's objective. D is shown samples through ``batch.view``."""
        return {}

    def d_objective(self, loss: Loss, batch: Batch, fake: Any) -> Terms:
        """Everything D minimises, by name. ``fake`` carries no gradient."""
        played = [loss.d_loss(m.D, m.real, m.fake) for m in self.matches(batch, fake)]
        return {"d_loss": _total(played, "d_loss"), **self.d_extra(batch, fake)}

    def g_objective(self, loss: Loss, batch: Batch, fake: Any) -> Terms:
        """Everything G minimises, by name. Only G's parameters get gradients from it."""
        played = [loss.g_loss(m.D, m.real, m.fake) for m in self.matches(batch, fake)]
        return {"g_loss": _total(played, "g_loss"), **self.g_extra(batch, fake)}

    # -- what the core does with it ----------------------------------------------------------------------------------

    def averaged_copy(self) -> GAN:
        """A copy whose generators are separate (to be averaged) and whose discriminators are shared."""
        shared: dict[int, Any] = {id(module): module for module in self.discriminators()}
        twin = copy.deepcopy(self, shared)
        for module in twin.generators():
            module.requires_grad_(False)
        return twin


def _total(played: Sequence[Tensor], name: str) -> Tensor:
    """The sum over matches, which must be scalars: a loss without its mean would train at B times the strength."""
    for value in played:
        if value.ndim:
            raise PluginError(f"{name} returned a tensor of shape {tuple(value.shape)}", "return a scalar: .mean()")
    return played[0] if len(played) == 1 else torch.stack(list(played)).sum()


def count_parameters(modules: Iterable[nn.Module]) -> int:
    """Number of distinct parameters."""
    return sum({id(p): p.numel() for module in modules for p in module.parameters()}.values())


def normalisation(modules: Iterable[nn.Module]) -> str:
    """The normalisation that was built, e.g. ``"batch"``, ``"spectral"``, ``"layer+spectral"`` or ``"none"``."""
    found = set()
    for module in (m for root in modules for m in root.modules()):
        kind = type(module).__name__.lower()
        found |= {norm for norm in ("batch", "instance", "layer", "group") if f"{norm}norm" in kind}
        hooks = [type(h).__name__ for h in module._forward_pre_hooks.values()]
        if "spectralnorm" in kind.replace("_", "") or "SpectralNorm" in hooks:
            found.add("spectral")
    return "+".join(sorted(found)) or "none"
