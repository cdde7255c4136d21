"""scikit-learn's handwritten digits at 16x16, with five D updates per G update for WGAN-GP (digits-16-v2 has one)."""

from __future__ import annotations

from ganbench import Evaluating, Protocol, Training, hookimpl

PROTOCOL = Protocol(
    name="digits-16-v1",
    description=(
        "Real handwritten digits, 16x16, one channel. Fakes and reals are compared in the features of a small digit "
        "classifier (digits-cnn): 1,797 fakes against all 1,797 real digits."
    ),
    dataset="digits",
    resolution=16,
    seeds=(0, 1, 2, 3, 4),
    training=Training(budget_kimg=80, batch=32, lr=2e-3, betas=(0.5, 0.999), ema=0.995, width=32, z_dim=64),
    evaluation=Evaluating(
        samples=1797,
        reference="all",
        draws=3,
        extractor="digits-cnn",
        metrics=("fid", "is", "kid", "precision-recall", "density-coverage", "modes"),
        headline="fid",
        shown=("is", "coverage", "modes_effective", "hq_fraction"),  # every other row covers all ten modes
        target=2.0,  # half the score of a Gaussian fitted to the pixels
    ),
)


@hookimpl
def ganbench_protocol() -> Protocol:
    """Build the rules: digits at 16x16, judged by FID."""
    return PROTOCOL
