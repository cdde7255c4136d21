"""CIFAR-10 without labels as in Mimicry (Lee and Town 2020), for a GPU.

Mimicry trains for 100,000 G updates with five D updates each, of 64 images: 32 million images shown to D. Adam has a
rate of 2e-4, which falls linearly to 0, and momenta 0 and 0.9, as in Miyato et al. 2018, whose networks sngan has at
this width and latent size. FID and KID compare 50,000 fakes with the 50,000 training images. Here the average of G's
weights is scored, which those papers do not take.
"""

from __future__ import annotations

from ganbench import Evaluating, Protocol, Training, hookimpl

PROTOCOL = Protocol(
    name="cifar10-32-v1",
    description=(
        "CIFAR-10, 32x32, colour, without labels: 32 million images shown to D, and 50,000 fakes against the 50,000 "
        "training images in the features of Inception, as in Mimicry (Lee and Town 2020). Meant for a GPU."
    ),
    dataset="cifar10",
    resolution=32,
    seeds=(0, 1, 2),
    training=Training(
        budget_kimg=32_000,
        batch=64,
        lr=2e-4,
        betas=(0.0, 0.9),
        lr_decay=1.0,
        ema=0.999,
        width=128,
        z_dim=128,
        precision="tf32",
        layout="channels-last",
    ),
    evaluation=Evaluating(
        samples=50_000,
        reference="train",
        extractor="inception",
        metrics=("fid", "is", "kid", "precision-recall", "density-coverage", "memorisation"),
        headline="fid",
        shown=("is", "kid", "precision", "recall"),
    ),
)


@hookimpl
def ganbench_protocol() -> Protocol:
    """Build the rules: CIFAR-10 at 32x32, judged by FID."""
    return PROTOCOL
