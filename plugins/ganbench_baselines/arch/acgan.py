"""AC-GAN (Odena, Olah and Shlens 2017): conditional GAN whose D predicts the class of a sample instead of receiving it.

With L_S the adversarial loss and L_C = E log P(C = c | x) + E log P(C = c | G(z, c)) (equations 2 and 3), D maximises
L_S + L_C and G maximises L_C - L_S. The networks are DCGAN's, except that D ends in two layers: one for the logit, one
for the classes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from msgspec import Meta
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ganbench import GAN, Batch, DataSpec, Match, Terms, hookimpl, settings_of
from ganbench_baselines.arch.blocks import check_norm, init_dcgan, weighted
from ganbench_baselines.arch.conditional import ConditionalGAN, labelled_dcgan, refuse_unlabelled, strided_body


@dataclass(frozen=True)
class Settings:
    """``auxiliary``: weight of the classification terms; 0 leaves the classifier out.

    Even at weight 0, G learns something about the labels: the fakes of a batch have the classes of its real samples,
    which D has just learned to score highly. In one run, 61 % of the digits then had the requested class, compared with
    12 % when the labels of fakes were drawn independently.
    """

    auxiliary: Annotated[float, Meta(ge=0)] = 1.0


class Discriminator(nn.Module):
    """``x[B, C, H, W] -> logit[B]``; ``classify`` gives class ``logits[B, K]`` from the same features, if K > 0."""

    def __init__(self, data: DataSpec, width: int, d_norm: str | None, classes: int) -> None:
        super().__init__()
        body, last_map = strided_body(data, width, d_norm)
        self.body, features = nn.Sequential(body, nn.Flatten()), math.prod(last_map)
        norm = check_norm(d_norm, "batch")
        if classes:
            self.classes = weighted(nn.Linear(features, classes), norm)
        self.source = weighted(nn.Linear(features, 1), norm)

    def forward(self, x: Tensor) -> Tensor:
        """The logit of each image: ``x[B, C, H, W] -> logit[B]``."""
        return self.source(self.body(x)).flatten()

    def classify(self, x: Tensor) -> Tensor:
        """The class logits of each image: ``x[B, C, H, W] -> [B, K]``."""
        return self.classes(self.body(x))


class ACGAN(ConditionalGAN):
    """AC-GAN; ``weight`` multiplies both classification terms."""

    discriminator: Discriminator

    def __init__(self, generator: nn.Module, discriminator: Discriminator, z_dim: int, settings: Settings) -> None:
        super().__init__(generator, discriminator, z_dim, settings=settings)
        self.weight = settings.auxiliary

    def matches(self, batch: Batch, fake: Any) -> Sequence[Match]:
        """One match, in which D sees only the images, because it predicts the class."""
        return [Match(self.discriminator, batch.real, fake)]

    def d_extra(self, batch: Batch, fake: Any) -> Terms:
        """D's classification term, on real and fake samples; none at weight 0."""
        if not self.weight:
            return {}
        seen = batch.view(Match(self.discriminator.classify, batch.real, fake))
        surprise = self._surprise(seen.D(seen.real), batch) + self._surprise(seen.D(seen.fake), batch)
        return {"d_auxiliary": self.weight * surprise}

    def g_extra(self, batch: Batch, fake: Any) -> Terms:
        """G's classification term, on fakes; none at weight 0."""
        if not self.weight:
            return {}
        seen = batch.view(Match(self.discriminator.classify, batch.real, fake))
        return {"g_auxiliary": self.weight * self._surprise(seen.D(seen.fake), batch)}

    @staticmethod
    def _surprise(logits: Tensor, batch: Batch) -> Tensor:
        """-E log P(C = c | x), from class ``logits[B, K]`` and the labels of the batch."""
        assert batch.labels is not None
        return cross_entropy(logits, batch.labels)


@hookimpl
def ganbench_arch(data: DataSpec, d_norm: str | None, width: int, z_dim: int, settings: Mapping[str, Any]) -> GAN:
    """Build DCGAN's players, with a label embedding next to G's latent and a classifier in D.

    Raises:
        Unsupported: the data have fewer than two classes or are not images whose sides can be halved, or the loss
            requires a normalisation that D does not support.
    """
    refuse_unlabelled(data)
    chosen = settings_of(Settings, settings)
    discriminator = Discriminator(data, width, d_norm, data.classes if chosen.auxiliary else 0)
    init_dcgan(discriminator)
    return ACGAN(labelled_dcgan(data, width, z_dim), discriminator, z_dim, chosen)
