"""CelebA's faces at 64x64 as in Mimicry (Lee and Town 2020), for a GPU.

Budget and optimiser are those of cifar10-32-v1, as in Mimicry, and so are the 50,000 fakes against 50,000 real images.
Lucic et al. 2018 take 10,000, at which FID is larger. Both numbers are of images that G was trained on: in Mimicry any
of the 202,599, here any of the 162,770 of the official training part. At this width, sngan has its paper's blocks for
ImageNet. There is no Inception Score, which says little about a single class.
"""

from __future__ import annotations

from msgspec.structs import replace

from ganbench import Protocol, hookimpl
from ganbench_baselines.protocol import cifar10_32_v1

LIKE = cifar10_32_v1.PROTOCOL

PROTOCOL = replace(
    LIKE,
    name="celeba-64-v1",
    description=(
        "CelebA, 64x64, colour: 32 million images shown to D, and 50,000 fakes against 50,000 training images in the "
        "features of Inception, as in Mimicry (Lee and Town 2020). Meant for a GPU."
    ),
    dataset="celeba",
    resolution=64,
    training=replace(LIKE.training, width=64),
    evaluation=replace(
        LIKE.evaluation,
        metrics=("fid", "kid", "precision-recall", "density-coverage", "memorisation"),
        shown=("kid", "precision", "recall", "coverage"),
    ),
)


@hookimpl
def ganbench_protocol() -> Protocol:
    """Build the rules: CelebA at 64x64, judged by FID."""
    return PROTOCOL
