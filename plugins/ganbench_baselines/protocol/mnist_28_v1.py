"""MNIST as in Lucic et al. 2018, "Are GANs Created Equal?", for a GPU.

Their budget is 20 epochs of 50,000 images, or 15,625 D updates of 64 images. FID compares 10,000 fakes with the 10,000
test images in the features of Inception. Their networks are InfoGAN's, and they search for each loss's settings; here
all rows share one setting, their default for most losses but for the average of G's weights.
"""

from __future__ import annotations

from ganbench import Evaluating, Protocol, Training, hookimpl

PROTOCOL = Protocol(
    name="mnist-28-v1",
    description=(
        "MNIST, 28x28, one channel: 1 million images shown to D, and 10,000 fakes against the 10,000 test images in "
        "the features of Inception, as in Lucic et al. 2018. Meant for a GPU."
    ),
    dataset="mnist",
    resolution=28,
    seeds=(0, 1, 2, 3, 4),
    training=Training(
        budget_kimg=1000,
        batch=64,
        lr=2e-4,
        betas=(0.5, 0.999),
        ema=0.999,
        width=64,
        z_dim=64,
        precision="tf32",
        layout="channels-last",
    ),
    evaluation=Evaluating(
        samples=10_000,
        reference="test",
        extractor="inception",
        metrics=("fid", "kid", "precision-recall", "density-coverage", "memorisation"),
        headline="fid",
        shown=("kid", "precision", "recall", "coverage"),
    ),
)


@hookimpl
def ganbench_protocol() -> Protocol:
    """Build the rules: MNIST's test images, judged by FID."""
    return PROTOCOL
