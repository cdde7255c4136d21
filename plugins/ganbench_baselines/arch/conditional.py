"""Parts shared by conditional GANs: G takes the label next to the latent, and matches bind the label to D."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ganbench import GAN, Batch, DataSpec, Match, Unsupported
from ganbench_baselines.arch.blocks import grown, image_plan, init_dcgan, strided_discriminator
from ganbench_baselines.arch.dcgan import doubled


def refuse_unlabelled(data: DataSpec) -> None:
    """Raise Unsupported for data with fewer than two classes."""
    if data.classes < 2:
        raise Unsupported(
            f"needs data of two classes or more, but these {data} have {data.classes or 'none'}",
            "choose another --arch or --protocol",
        )


class ConditionalGAN(GAN):
    """G makes samples of a given class, and D sees that class too: ``x[B, *shape], labels[B] -> logit[B]``."""

    conditional = True

    def fake(self, batch: Batch) -> Any:
        """``x[B, *shape]``, one sample for each latent and label of the batch."""
        return self.generator(batch.z, batch.labels)

    def matches(self, batch: Batch, fake: Any) -> Sequence[Match]:
        """One match, with the labels of the batch bound to D."""
        return [Match(partial(self.discriminator, labels=batch.labels), batch.real, fake)]


class LabelBesideLatent(nn.Module):
    """``z[B, Z], labels[B] -> x[B, *shape]`` by a G that takes ``[B, Z + E]``: z, then an embedding of the label."""

    def __init__(self, network: nn.Module, classes: int, size: int) -> None:
        super().__init__()
        self.embedding, self.network = nn.Embedding(classes, size), network

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        """Make samples of the given classes: ``z[B, Z], labels[B] -> x[B, *shape]``."""
        return self.network(torch.cat([z, self.embedding(labels)], dim=1))


def labelled_dcgan(data: DataSpec, width: int, z_dim: int) -> nn.Module:
    """DCGAN's G, ``z[B, Z], labels[B] -> x[B, C, H, W]`` in [-1, 1]; the embedding is as large as the latent."""
    return LabelBesideLatent(init_dcgan(grown(data, width, 2 * z_dim, doubled)), data.classes, z_dim)


def strided_body(data: DataSpec, width: int, d_norm: str | None) -> tuple[nn.Module, tuple[int, int, int]]:
    """DCGAN's D up to its last map, ``x[B, *shape] -> h[B, C, H, W]``, and (C, H, W)."""
    layers = list(strided_discriminator(data, width, d_norm).children())
    end = next(index for index, layer in enumerate(layers) if isinstance(layer, nn.Flatten))
    _, (height, breadth), stages = image_plan(data)
    return nn.Sequential(*layers[:end]), (width * 2 ** (stages - 1), height, breadth)
