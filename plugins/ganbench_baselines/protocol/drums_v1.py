"""Half a second of drums at 8 kHz in six classes: 5,000 D updates of a small WaveGAN, seven minutes on one CPU core."""

from __future__ import annotations

from ganbench import Evaluating, Protocol, Training, hookimpl


@hookimpl
def ganbench_protocol() -> Protocol:
    """Build the rules: drums of 4,096 samples at 8 kHz, judged by FAD."""
    return Protocol(
        name="drums-v1",
        description=(
            "Six kinds of synthetic drum sounds, 4,096 samples at 8 kHz. Fakes and reals are compared in the features "
            "of a small drum classifier (drums-cnn): 2,400 fakes against all 2,400 real sounds."
        ),
        dataset="drums",
        seeds=(0, 1, 2),
        training=Training(
            budget_kimg=80, batch=16, lr=2e-3, betas=(0.5, 0.9), lr_decay=0.5, ema=0.998, width=12, z_dim=100
        ),
        evaluation=Evaluating(
            samples=2400,
            reference="all",
            extractor="drums-cnn",
            metrics=("fad", "is", "density-coverage", "modes"),
            headline="fad",
            shown=("is", "modes_covered", "hq_fraction"),
            checks=4,
            yardsticks=("real data", "spectral noise", "one class", "noise"),
        ),
    )
