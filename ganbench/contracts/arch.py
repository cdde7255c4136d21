"""The contract of an architecture: the players, the latent, and the matches that a loss is computed on."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn

from ganbench.contracts.latents import LAWS
from ganbench.contracts.loss import Match
from ganbench.errors import PluginError

if TYPE_CHECKING:
    from ganbench.contracts.data import Batch
    from ganbench.contracts.loss import Loss


class Lazy(NamedTuple):
    """A term that is computed only every ``every``-th iteration and weighted by ``every``.

    Its mean strength stays the same (lazy regularisation, Karras et al. 2020, appendix B).
    """

    every: int
    compute: Callable[[], Tensor]


Terms = Mapping[str, "Tensor | Lazy"]
"""Named scalars, or ``Lazy`` terms, that add up to an objective."""


class GAN(nn.Module):
    """The players of an architecture. The default maps noise to a sample; override methods for anything else.

    Args:
        generator: ``z[B, Z] -> x[B, *shape]``.
        discriminator: ``x[B, *shape] -> logit[B]``.
        z_dim: Z, the size of the latent.
        recipe: optimiser settings that this architecture prescribes; a loss may override them.
        settings: the architecture's own settings, as a dataclass. Records store them as ``arch.<name>``.

    Modules that belong to a player must be reachable from ``generators()`` or ``discriminators()``. Register anything
    else that a checkpoint must save, such as an image pool, as a buffer of constant shape.
    """

    own_init = False
    """Whether the initial weights are part of the architecture. If so, no trick may draw new ones."""
    conditional = False
    """Whether ``batch.labels``, or a ``batch.source`` with that label, determines what ``sample`` returns. If so,
    metrics see these labels as those of the fakes."""

    latent = "normal"
    """The law of z, as the recipe states it."""

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

    # -- the players -------------------------------------------------------------------------------------------------

    def generators(self) -> Sequence[nn.Module]:
        """The modules that the G optimiser updates, that are averaged (EMA) and that make samples."""
        return [self.generator]

    def discriminators(self) -> Sequence[nn.Module]:
        """The modules that the D optimiser updates."""
        return [self.discriminator]

    def generator_params(self) -> Iterable[Any]:
        """The parameters for the G optimiser, or parameter groups with their own settings."""
        return [p for module in self.generators() for p in module.parameters()]

    def discriminator_params(self) -> Iterable[Any]:
        """The parameters for the D optimiser, or parameter groups with their own settings."""
        return [p for module in self.discriminators() for p in module.parameters()]

    # -- how a fake is made ------------------------------------------------------------------------------------------

    def sample_latent(self, n: int, rng: torch.Generator) -> Tensor:
        """Draw ``z[n, Z]`` from the prior, on the device of ``rng``: by the law ``latent`` unless overridden."""
        return LAWS[self.latent](n, self.z_dim, rng)

    def fake(self, batch: Batch) -> Any:
        """Make the fakes of one update: ``x[B, *shape]``, or whatever ``matches`` accepts."""
        return self.generator(batch.z)

    def sample(self, batch: Batch) -> Tensor:
        """Make samples to evaluate, ``x[B, *shape]``. Called in eval mode on the averaged generator."""
        samples: Tensor = self.fake(batch)
        return samples

    def sample_back(self, batch: Batch) -> Tensor | None:
        """Translate ``batch.real`` back to ``source[B, ...]``, in a two-way translator. Called like ``sample``."""
        return None

    # -- the objectives ----------------------------------------------------------------------------------------------

    def matches(self, batch: Batch, fake: Any) -> Sequence[Match]:
        """The matches that the loss is computed on, in discriminator and generator steps."""
        return [Match(self.discriminator, batch.real, fake)]

    def fakes_for_d(self, fake: Any) -> Any:
        """The fakes that D sees in a discriminator step. A GAN with an image pool stores them and returns earlier ones.

        Called once per discriminator step. A trick that looks ahead at later D updates does not call it.
        """
        return fake

    def d_extra(self, batch: Batch, fake: Any) -> Terms:
        """Named terms to add to D's objective. Pass samples to D through ``batch.view``."""
        return {}

    def g_extra(self, batch: Batch, fake: Any) -> Terms:
        """Named terms to add to G's objective. Pass samples to D through ``batch.view``."""
        return {}

    def d_objective(self, loss: Loss, batch: Batch, fake: Any) -> Terms:
        """Everything D minimises, by name. ``fake`` carries no gradient."""
        played = [loss.d_loss(m.D, m.real, m.fake) for m in self.matches(batch, fake)]
        return {"d_loss": _total(played, "d_loss"), **self.d_extra(batch, fake)}

    def g_objective(self, loss: Loss, batch: Batch, fake: Any) -> Terms:
        """Everything G minimises, by name. Only G's parameters get gradients from it."""
        played = [loss.g_loss(m.D, m.real, m.fake) for m in self.matches(batch, fake)]
        return {"g_loss": _total(played, "g_loss"), **self.g_extra(batch, fake)}

    # -- what the core calls ------------------------------------------------------------------------------------------

    def averaged_copy(self) -> GAN:
        """Copy the GAN for averaging, with its own generators and shared discriminators."""
        shared: dict[int, Any] = {id(module): module for module in self.discriminators()}
        twin = copy.deepcopy(self, shared)
        for module in twin.generators():
            module.requires_grad_(False)
        return twin


def _total(played: Sequence[Tensor], name: str) -> Tensor:
    """Sum the losses over matches. They must be scalars: a loss without ``.mean()`` would be B times too strong."""
    for value in played:
        if value.ndim:
            raise PluginError(f"{name} returned a tensor of shape {tuple(value.shape)}", "return a scalar: .mean()")
    return played[0] if len(played) == 1 else torch.stack(list(played)).sum()


def count_parameters(modules: Iterable[nn.Module]) -> int:
    """Count the distinct parameters."""
    return sum({id(p): p.numel() for module in modules for p in module.parameters()}.values())


def normalisation(modules: Iterable[nn.Module]) -> str:
    """Name the normalisation in the modules, e.g. ``"batch"``, ``"spectral"``, ``"layer+spectral"`` or ``"none"``."""
    found = set()
    for module in (m for root in modules for m in root.modules()):
        kind = type(module).__name__.lower()
        found |= {norm for norm in ("batch", "instance", "layer", "group") if f"{norm}norm" in kind}
        hooks = [type(h).__name__ for h in module._forward_pre_hooks.values()]
        if "spectralnorm" in kind.replace("_", "") or "SpectralNorm" in hooks:
            found.add("spectral")
    return "+".join(sorted(found)) or "none"
