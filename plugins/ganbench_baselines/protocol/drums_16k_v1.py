"""One second of drums at 16 kHz, with WaveGAN at the paper's size (Donahue et al. 2019, table 6), for a GPU."""

from __future__ import annotations

from ganbench import Evaluating, Protocol, Training, hookimpl


@hookimpl
def ganbench_protocol() -> Protocol:
    """Build the rules: drums of 16,384 samples at 16 kHz, judged by FAD."""
    return Protocol(
        name="drums-16k-v1",
        description=(
            "Six kinds of synthetic drum sounds, 16,384 samples at 16 kHz, with the settings of the WaveGAN paper: "
            "d = 64, batches of 64, Adam at 1e-4. The budget allows 20,000 G updates under WGAN-GP."
        ),
        dataset="drums:16384,16000",
        seeds=(0, 1, 2),
        training=Training(budget_kimg=6400, batch=64, lr=1e-4, betas=(0.5, 0.9), ema=0.999, width=64, z_dim=100),
        evaluation=Evaluating(
            samples=2400,
            reference="all",
            extractor="drums-cnn:16000",
            metrics=("fad", "is", "density-coverage", "modes"),
            headline="fad",
            shown=("is", "modes_covered", "hq_fraction"),
            yardsticks=("real data", "spectral noise", "one class", "noise"),
        ),
    )
