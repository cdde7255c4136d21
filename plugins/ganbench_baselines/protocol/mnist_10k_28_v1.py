"""MNIST's 10,000 test images at 28x28: real data, and a run takes about a minute on one CPU core.

Networks and optimiser are those of digits-16-v2. Images have three times as many pixels here, so the budget is smaller,
and batches of 16 make it 1,500 updates. Fakes are compared with all 10,000 images, as in Lucic et al. 2018, but G was
trained on 8,000 of these, and the judge is mnist-cnn instead of Inception. So the scores are not theirs.
"""

from __future__ import annotations

from ganbench import Evaluating, LossRules, Protocol, Training, hookimpl

PROTOCOL = Protocol(
    name="mnist-10k-28-v1",
    description=(
        "MNIST's 10,000 test images, 28x28, one channel: 8,000 to learn from, 2,000 held out. Fakes and reals are "
        "compared in the features of a small classifier of MNIST (mnist-cnn): 10,000 fakes against all 10,000 images."
    ),
    dataset="mnist-10k",
    resolution=28,
    seeds=(0, 1, 2, 3, 4),
    training=Training(budget_kimg=24, batch=16, lr=2e-3, betas=(0.5, 0.999), ema=0.995, width=32, z_dim=64),
    losses={"wgan-gp": LossRules(recipe={"d_steps": 1})},  # for the reason given in digits_16_v2
    evaluation=Evaluating(
        samples=10_000,
        reference="all",
        extractor="mnist-cnn",
        metrics=("fid", "is", "kid", "precision-recall", "density-coverage", "modes"),
        headline="fid",
        shown=("is", "coverage", "modes_effective", "hq_fraction"),
    ),
)


@hookimpl
def ganbench_protocol() -> Protocol:
    """Build the rules: MNIST's test images, judged by FID."""
    return PROTOCOL
