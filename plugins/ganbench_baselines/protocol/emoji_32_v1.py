"""Emoji at 32x32 in colour, 1,474 pictures; a run takes a few minutes on one CPU core.

Budget and batch are those of mnist-10k-28-v1, 1,500 updates. Small batches pay: in one run each, dcgan and r1 came to
an FID of 6.8 after 40 kimg in batches of 16, and of 7.4 after 63 kimg in batches of 32.
"""

from __future__ import annotations

from ganbench import Evaluating, Protocol, Training, hookimpl
from ganbench_baselines.protocol.digits_16_v2 import WGAN_GP

PROTOCOL = Protocol(
    name="emoji-32-v1",
    description=(
        "Noto Emoji, 32x32, in colour. Fakes and reals are compared in 32 features of a small network fitted to the "
        "training pictures (emoji-cnn): 1,474 fakes against all 1,474 pictures, of which 1,180 were for training."
    ),
    dataset="emoji",
    resolution=32,
    seeds=(0, 1, 2),
    training=Training(budget_kimg=24, batch=16, lr=1e-3, betas=(0.5, 0.999), ema=0.995, width=32, z_dim=64),
    evaluation=Evaluating(
        samples=1474,
        reference="all",
        draws=3,
        extractor="emoji-cnn",
        metrics=("fid", "kid", "precision-recall", "density-coverage", "memorisation"),
        headline="fid",
        shown=("kid", "precision", "recall", "coverage"),
    ),
    losses={"wgan-gp": WGAN_GP},
)


@hookimpl
def ganbench_protocol() -> Protocol:
    """Build the rules: emoji at 32x32, judged by FID."""
    return PROTOCOL
