"""StyleGAN2 (Karras et al. 2020): modulated convolutions, noise and skips in G, a residual D, lazy regularisation.

The mapping network and style mixing are from Karras et al. 2019, equalised layers and minibatch standard deviation from
Karras et al. 2018. Small images use the CIFAR-10 settings of StyleGAN2-ADA (Karras et al. 2020b), without ADA.
"""

from __future__ import annotations

from collections.abc import Mapping as Map
from dataclasses import dataclass, replace
from typing import Annotated, Any

import torch
from msgspec import Meta
from torch import Tensor

from ganbench import GAN, Batch, DataSpec, Lazy, Match, Terms, Unsupported, hookimpl, settings_of
from ganbench_baselines.arch.blocks import check_norm
from ganbench_baselines.arch.style_networks import Discriminator, Generator, Mapping, Synthesis, channels_by_side

R1_EVERY, PATH_LENGTH_EVERY = 16, 4
PATH_LENGTH_DECAY = 0.99
SMALLEST, LARGE = 32, 128  # pixels: there are published settings for sides of 32, and of 256 and more


@dataclass(frozen=True)
class Settings:
    """User settings. The defaults are those for small images; ``usual`` gives those for every size.

    Args:
        demodulation: whether the outputs of modulated convolutions are rescaled to unit variance.
        noise: whether every layer of G adds noise.
        mapping_layers: depth of the mapping network.
        mixing: share of training samples made from two latents.
        path_length: weight of the path length term, 0 for none.
        r1_gamma: γ of R1, 0 for none.
        minibatch_std: whether D sees how much the samples of a group differ.
    """

    demodulation: bool = True
    noise: bool = True
    mapping_layers: Annotated[int, Meta(ge=0)] = 2
    mixing: Annotated[float, Meta(ge=0, le=1)] = 0.0
    path_length: Annotated[float, Meta(ge=0)] = 0.0
    r1_gamma: Annotated[float, Meta(ge=0)] = 0.01
    minibatch_std: bool = True


class StyleGAN2(GAN):
    """StyleGAN2 with its two lazily evaluated regularisation terms.

    A lazy term is added to the loss of every k-th iteration, within the same optimiser step. The official release takes
    a separate step for it, so k + 1 steps in k iterations, and slows Adam down by k/(k + 1) to compensate (appendix B).
    No compensation is needed here.
    """

    own_init = True  # equalised layers draw N(0, 1) and scale it when they are used
    generator: Generator
    discriminator: Discriminator
    settings: Settings
    mean_length: Tensor

    def __init__(
        self, generator: Generator, discriminator: Discriminator, z_dim: int, lr: float, settings: Settings
    ) -> None:
        recipe = {"lr": lr, "betas": (0.0, 0.99), "eps": 1e-8, "ema": 0.998}
        super().__init__(generator, discriminator, z_dim, recipe, settings)
        self.register_buffer("mean_length", torch.zeros(()))

    def sample(self, batch: Batch) -> Tensor:
        """``x[B, *shape]``, the output of G clipped to [-1, 1]."""
        return self.fake(batch).clamp(-1, 1)  # G ends in a linear layer, so its images are clipped

    def d_extra(self, batch: Batch, fake: Any) -> Terms:
        """R1 with weight γ/2, every 16th iteration; none at γ = 0."""
        gamma = self.settings.r1_gamma
        return {"r1": Lazy(R1_EVERY, lambda: gamma / 2 * self.slope(batch, fake))} if gamma else {}

    def g_extra(self, batch: Batch, fake: Any) -> Terms:
        """The path length term, every fourth iteration; none at weight 0."""
        weight = self.settings.path_length
        term = Lazy(PATH_LENGTH_EVERY, lambda: weight * self.path_length(batch.z))
        return {"path_length": term} if weight else {}

    def slope(self, batch: Batch, fake: Any) -> Tensor:
        """E ‖∇D(x)‖² (Mescheder et al. 2018, equation 9) at real samples as the tricks show them to D."""
        seen = batch.view(Match(self.discriminator, batch.real, fake))
        x = seen.real.detach().requires_grad_(True)
        (gradient,) = torch.autograd.grad(seen.D(x).sum(), x, create_graph=True)
        return gradient.square().flatten(1).sum(1).mean()

    def path_length(self, z: Tensor) -> Tensor:
        """E (‖Jᵀy‖ - a)² (equation 4), with J the Jacobian of the image with respect to w and y ~ N(0, 1).

        a is the running mean of ‖Jᵀy‖. y is divided by √(number of pixels), and squares are averaged over the L layers.
        With weight 2 this is the paper's γ = ln 2 / (r² (ln r - ln 2)), since L = 2 (ln r - ln 2) / ln 2.
        """
        w = self.generator.styles(z)
        x = self.generator.synthesis(w)
        y = torch.randn_like(x) / (x.shape[-2] * x.shape[-1]) ** 0.5
        (gradient,) = torch.autograd.grad((x * y).sum(), w, create_graph=True)
        length = gradient.to(z.dtype).square().sum(2).mean(1).sqrt()  # w may be in bf16, but z is not
        self.mean_length.lerp_(length.mean().detach(), 1 - PATH_LENGTH_DECAY)
        return (length - self.mean_length).square().mean()


def usual(side: int, d_norm: str | None) -> Settings:
    """The published settings for images of this size, without the terms that the loss already has.

    γ = 10 (side/1024)² gives both published values, 10 at 1024 px and 0.01 for CIFAR-10, and grows with the number of
    pixels, like the rule of thumb of Karras et al. 2020b. Smaller images come in small data sets with small budgets,
    for which that penalty is too weak and the published learning rate too low (digits-16-v1, non-saturating, seed 0:
    FID 2.4 with the rule and the published rate, 1.0 with the settings here).
    """
    alone = d_norm == "none"  # the loss has its own penalty, which needs a D that judges each sample independently
    gamma = 10 * (side / 1024) ** 2 if side >= SMALLEST else 0.1
    own = Settings(r1_gamma=0.0 if alone else gamma, minibatch_std=not alone)
    return replace(own, mapping_layers=8, mixing=0.9, path_length=2.0) if side >= LARGE else own


def settings_for(data: DataSpec, d_norm: str | None, given: Map[str, Any]) -> Settings:
    """The usual settings, except where the user chose others.

    Raises:
        Unsupported: D would compare samples under a loss that needs each one judged independently.
    """
    read = settings_of(Settings, given)
    chosen = replace(usual(data.shape[-1], d_norm), **{name: getattr(read, name) for name in given})
    if chosen.minibatch_std and d_norm == "none":
        raise Unsupported("the loss needs each sample judged by itself, without minibatch_std", "leave the setting out")
    return chosen


@hookimpl
def ganbench_arch(data: DataSpec, d_norm: str | None, width: int, z_dim: int, settings: Map[str, Any]) -> GAN:
    """Build G and D for square images whose side is a power of two, and the lazy terms that the settings select.

    Raises:
        Unsupported: the data have another shape, or D would compare samples under a loss that forbids it.
    """
    channels = channels_by_side(data, width)
    norm = check_norm(d_norm, "none")
    chosen = settings_for(data, d_norm, settings)
    synthesis = Synthesis(channels, data.shape[0], z_dim, demodulation=chosen.demodulation, noise=chosen.noise)
    generator = Generator(Mapping(z_dim, chosen.mapping_layers), synthesis, chosen.mixing)
    discriminator = Discriminator(channels, data.shape, minibatch_std=chosen.minibatch_std, norm=norm)
    lr = 2.5e-3 if data.shape[-1] >= SMALLEST else 8e-3  # see ``usual``
    return StyleGAN2(generator, discriminator, z_dim, lr, chosen)
