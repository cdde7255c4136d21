"""CycleGAN (Zhu, Park, Isola and Efros 2017): unpaired translation by two generators, G there and F back.

    G, F:  min  L(D_X, G) + L(D_S, F) + λ (E |F(G(s)) - s| + E |G(F(x)) - x|)         (equation 3)
                + μ (E |G(x) - x| + E |F(s) - s|)                                     (section 5.2)
    D:     min  half of its L, with about half of the fakes from a pool of earlier ones       (section 4)

λ and μ are relative to the paper's L, E (D - 1)². `lsgan` has a factor of ½, so it halves both weights: a loss states
its ``scale``, by which they are multiplied.

L can be any loss; it applies in both domains. D is a PatchGAN: it ends in a map of logits, one per patch, and returns
their mean, because losses and gradient penalties take one logit per sample. If the loss is linear in the logit
(Wasserstein), this is the paper's game. Otherwise it differs slightly. With least squares, for example, the loss of the
mean is less than the mean of the losses by the variance of the logits within an image, so errors on different patches
can cancel.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Any, NamedTuple

import torch
from msgspec import Meta
from torch import Tensor, nn

from ganbench import GAN, Batch, DataSpec, Loss, LossTraits, Match, Terms, Unsupported, hookimpl, settings_of
from ganbench_baselines.arch.blocks import check_norm, init_dcgan, weighted

POOL = 50  # earlier fakes of each domain


class Plan(NamedTuple):
    """Networks for one image size: how often G halves the image, G's residual blocks, and how often D halves it."""

    halvings: int
    blocks: int
    d_halvings: int


PLANS = {256: Plan(2, 9, 3), 128: Plan(2, 6, 3), 64: Plan(2, 4, 3), 32: Plan(1, 3, 2), 12: Plan(1, 2, 2)}
"""Smallest side -> plan. The first two are the paper's."""


@dataclass(frozen=True)
class Settings:
    """User settings.

    Args:
        cycle: λ, 0 for none.
        identity: μ, 0 for none. (The paper uses λ/2 for paintings to photographs, else 0.)
        d_halvings: how often D halves an image. Its patches are 7x7 pixels for 0, then 16x16, 34x34 and 70x70.
    """

    cycle: Annotated[float, Meta(ge=0)] = 10.0
    identity: Annotated[float, Meta(ge=0)] = 0.0
    d_halvings: Annotated[int, Meta(ge=0)] = 3


class CycleGAN(GAN):
    """Generators ``there: s[B, *source] -> x[B, *shape]`` and ``back``; discriminators of ``x`` and of ``source``."""

    conditional = True  # on the source; a translation has the label of its source
    generator: nn.ModuleDict
    discriminator: nn.ModuleDict
    settings: Settings

    def __init__(
        self, generators: nn.ModuleDict, discriminators: nn.ModuleDict, data: DataSpec, settings: Settings
    ) -> None:
        recipe = {"betas": (0.5, 0.999), "lr_decay": 0.5}
        super().__init__(generators, discriminators, z_dim=1, recipe=recipe, settings=settings)  # z is not used
        assert data.source is not None
        self.pools = nn.ModuleDict({"x": ImagePool(POOL, data.shape), "source": ImagePool(POOL, data.source)})

    def generators(self) -> list[nn.Module]:
        """G and F."""
        return list(self.generator.values())

    def discriminators(self) -> list[nn.Module]:
        """Both discriminators, so that a trick for a single D can tell that there are two."""
        return list(self.discriminator.values())

    def fake(self, batch: Batch) -> dict[str, Tensor]:
        """Translate both ways: ``{"x": G(s), "source": F(x)}``."""
        return {"x": self.generator["there"](batch.source), "source": self.generator["back"](batch.real)}

    def sample(self, batch: Batch) -> Tensor:
        """G(s), ``x[B, *shape]`` in [-1, 1]."""
        made: Tensor = self.generator["there"](batch.source)
        return made

    def sample_back(self, batch: Batch) -> Tensor:
        """F(x), ``source[B, *source]`` in [-1, 1]."""
        made: Tensor = self.generator["back"](batch.real)
        return made

    def matches(self, batch: Batch, fake: Mapping[str, Tensor]) -> list[Match]:
        """One per domain."""
        assert batch.source is not None
        real = {"x": batch.real, "source": batch.source}
        return [Match(self.discriminator[domain], real[domain], fake[domain]) for domain in real]

    def fakes_for_d(self, fake: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Replace about half of the fakes by earlier ones from the pools."""
        return {domain: pool(fake[domain]) for domain, pool in self.pools.items()}

    def d_objective(self, loss: Loss, batch: Batch, fake: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Half of the loss."""
        played = super().d_objective(loss, batch, fake)["d_loss"]
        assert isinstance(played, Tensor)  # not a lazy term
        return {"d_loss": played / 2}

    def g_objective(self, loss: Loss, batch: Batch, fake: Mapping[str, Tensor]) -> Terms:
        """G's terms, with cycle and identity multiplied by the loss's ``scale``, because λ and μ assume E (D - 1)²."""
        scale = LossTraits(loss).scale
        terms = dict(super().g_objective(loss, batch, fake))
        played = terms.pop("g_loss")
        return {"g_loss": played, **{name: scale * term for name, term in terms.items() if isinstance(term, Tensor)}}

    def g_extra(self, batch: Batch, fake: Mapping[str, Tensor]) -> Terms:
        """The cycle and identity terms, where their weights are not 0."""
        there, back = self.generator["there"], self.generator["back"]
        x, s, weights = batch.real, batch.source, self.settings
        assert s is not None
        terms = {}
        if weights.cycle:
            terms["cycle"] = weights.cycle * (apart(back(fake["x"]), s) + apart(there(fake["source"]), x))
        if weights.identity:
            terms["identity"] = weights.identity * (apart(there(x), x) + apart(back(s), s))
        return terms


def apart(one: Tensor, other: Tensor) -> Tensor:
    """The mean distance E |a - b| over all elements."""
    return (one - other).abs().mean()


class ImagePool(nn.Module):
    """Pool of fakes from earlier iterations, shown to D in place of new ones (Shrivastava et al. 2017, section 2.3).

    The first ``size`` fakes are stored and shown unchanged. After that, each new fake is, with equal probability,
    either shown or swapped with a stored one, which is shown instead.
    """

    images: Tensor
    filled: Tensor

    def __init__(self, size: int, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.register_buffer("images", torch.zeros(size, *shape))
        self.register_buffer("filled", torch.zeros((), dtype=torch.int64))

    def forward(self, fresh: Tensor) -> Tensor:
        """``x[B, *shape] -> x[B, *shape]``; the part of a batch that exceeds the pool is shown unchanged.

        Copies no value to the host. Draws no slot twice, because the order of two writes would not be deterministic.
        """
        size = len(self.images)
        fakes, rest = fresh[:size], fresh[size:]
        free = self.filled + torch.arange(len(fakes), device=fresh.device)
        full = self.filled >= size
        chosen = full & (torch.rand(len(fakes), device=fresh.device) < 0.5)
        slot = torch.where(full, torch.rand(size, device=fresh.device).argsort()[: len(fakes)], free % size)
        earlier = self.images[slot]
        self.images[slot] = torch.where(each(chosen | (free < size)), fakes.detach(), earlier)
        self.filled.add_(len(fakes)).clamp_(max=size)
        return torch.cat([torch.where(each(chosen), earlier, fakes), rest])


def each(sample: Tensor) -> Tensor:
    """One number per sample, to be broadcast over its pixels: ``[B] -> [B, 1, 1, 1]``."""
    return sample.view(-1, 1, 1, 1)


class ResidualBlock(nn.Module):
    """``x[B, C, H, W] -> [B, C, H, W]``: two 3x3 convolutions, added to their input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        first, second = (convolution(channels, channels, 3) for _ in range(2))
        self.body = nn.Sequential(*first, nn.ReLU(inplace=True), *second)

    def forward(self, x: Tensor) -> Tensor:
        """Add the convolutions to their input: ``[B, C, H, W] -> [B, C, H, W]``."""
        made: Tensor = x + self.body(x)
        return made


class Reflection(nn.Module):
    """``x[B, C, H, W] -> [B, C, H + 2 reach, W + 2 reach]``, by reflection at the border.

    Used because the gradient of ``nn.ReflectionPad2d`` is not deterministic on a GPU.
    """

    def __init__(self, reach: int) -> None:
        super().__init__()
        self.reach = reach

    def forward(self, x: Tensor) -> Tensor:
        """Mirror ``reach`` rows and columns on each side: ``[B, C, H, W] -> [B, C, H + 2 reach, W + 2 reach]``."""
        for axis in (2, 3):
            near, far = x.narrow(axis, 1, self.reach), x.narrow(axis, -self.reach - 1, self.reach)
            x = torch.cat([near.flip(axis), x, far.flip(axis)], axis)
        return x


class MeanOfPatches(nn.Module):
    """A map of logits ``[B, 1, H, W] -> logit[B]``; ``nn.AdaptiveAvgPool2d`` has no deterministic gradient on a GPU."""

    def forward(self, logits: Tensor) -> Tensor:
        """The mean of each map: ``logits[B, 1, H, W] -> logit[B]``."""
        return logits.mean((1, 2, 3))


def convolution(before: int, after: int, side: int) -> list[nn.Module]:
    """A convolution with reflection padding that keeps the map's size, followed by instance normalisation."""
    return [Reflection(side // 2), nn.Conv2d(before, after, side), nn.InstanceNorm2d(after)]


def translator(before: int, after: int, width: int, plan: Plan) -> nn.Module:
    """``[B, before, H, W] -> [B, after, H, W]`` in [-1, 1], a ResNet; at width 64 the paper's (section 7.2)."""
    layers = [*convolution(before, width, 7), nn.ReLU(inplace=True)]
    maps = [width * 2**halving for halving in range(plan.halvings + 1)]
    for one, two in pairwise(maps):
        layers += [nn.Conv2d(one, two, 3, 2, 1), nn.InstanceNorm2d(two), nn.ReLU(inplace=True)]
    layers += [ResidualBlock(maps[-1]) for _ in range(plan.blocks)]
    for two, one in pairwise(reversed(maps)):
        up = nn.ConvTranspose2d(two, one, 3, 2, 1, output_padding=1)
        layers += [up, nn.InstanceNorm2d(one), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers, Reflection(3), nn.Conv2d(width, after, 7), nn.Tanh())


def patch_discriminator(colours: int, width: int, halvings: int, norm: str) -> nn.Module:
    """``x[B, C, H, W] -> logit[B]``, the mean over patches; at width 64, with three halvings, the paper's 70x70."""
    layers: list[nn.Module] = []
    before = colours
    for depth in range(halvings + 1):
        after = width * min(2**depth, 8)
        layers.append(weighted(nn.Conv2d(before, after, 4, 2 if depth < halvings else 1, 1), norm))
        if norm == "instance" and depth > 0:
            layers.append(nn.InstanceNorm2d(after))
        layers.append(nn.LeakyReLU(0.2, inplace=True))
        before = after
    return nn.Sequential(*layers, weighted(nn.Conv2d(before, 1, 4, 1, 1), norm), MeanOfPatches())


def plan_of(data: DataSpec) -> Plan:
    """The plan for images of two domains.

    Raises:
        Unsupported: the data are not images of two domains, or their sides do not suit the layers of G.
    """
    if data.source is None:
        raise Unsupported(f"translates between two domains, but {data} have only one", "choose a --protocol with two")
    if len(data.shape) != 3 or not data.bounded or data.shape[1:] != data.source[1:]:
        raise Unsupported(f"needs images of one size in both domains, not {data} and {'x'.join(map(str, data.source))}")
    sides = data.shape[1:]
    plan = next((plan for smallest, plan in PLANS.items() if min(sides) >= smallest), None)
    if plan is None or any(side % 2**plan.halvings for side in sides):
        raise Unsupported(f"needs sides of {min(PLANS)} pixels or more that can be halved, not {data}")
    return plan


def settings_for(data: DataSpec, plan: Plan, given: Mapping[str, Any]) -> Settings:
    """The user's settings, with the plan's as defaults.

    Raises:
        Unsupported: they do not fit the data.
    """
    chosen = settings_of(Settings, {"d_halvings": plan.d_halvings, **given})
    if min(data.shape[1:]) < 3 * 2**chosen.d_halvings:
        raise Unsupported(f"D cannot halve {data} {chosen.d_halvings} times", "--set a smaller arch.d_halvings")
    if chosen.identity and data.source is not None and data.shape[0] != data.source[0]:
        raise Unsupported(
            f"the identity term needs as many channels in both domains, not {data.shape[0]} and {data.source[0]}",
            "leave arch.identity at 0",
        )
    return chosen


@hookimpl
def ganbench_arch(data: DataSpec, d_norm: str | None, width: int, settings: Mapping[str, Any]) -> GAN:
    """Build two translators and two patch discriminators, one of each per domain.

    Raises:
        Unsupported: the data have one domain only, their sides do not suit the layers, or the settings do not fit them.
    """
    plan = plan_of(data)
    chosen = settings_for(data, plan, settings)
    norm = check_norm(d_norm, "instance")
    channels = {"x": data.shape[0], "source": (data.source or data.shape)[0]}
    there = translator(channels["source"], channels["x"], width, plan)
    back = translator(channels["x"], channels["source"], width, plan)
    critics = {domain: patch_discriminator(n, width, chosen.d_halvings, norm) for domain, n in channels.items()}
    players = (nn.ModuleDict({"there": there, "back": back}), nn.ModuleDict(critics))
    for player in players:
        init_dcgan(player)
    return CycleGAN(*players, data, chosen)
