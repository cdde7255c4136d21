"""Video on a GPU: 16 frames at 64x64, half as many as in Vondrick et al. 2016, with networks as wide as theirs."""

from __future__ import annotations

from ganbench import Evaluating, Protocol, Training, hookimpl


@hookimpl
def ganbench_protocol() -> Protocol:
    """Build the rules: clips of 16 frames of 64x64, judged by FID."""
    return Protocol(
        name="moving-digits-64-v1",
        description=(
            "The larger moving-digits: two-second clips of 16 frames, 64x64, for networks of the paper's width "
            "(Vondrick et al. 2016: 64 channels at the largest map, z of size 100, batches of 64). Meant for a GPU."
        ),
        dataset="moving-digits:16",
        resolution=64,
        seeds=(0, 1, 2),
        training=Training(budget_kimg=1000, batch=64, lr=2e-4, betas=(0.5, 0.999), ema=0.999, width=64, z_dim=100),
        evaluation=Evaluating(
            samples=500,
            reference="test",
            draws=3,
            checks=8,
            extractor="clips-cnn",
            metrics=("fid", "is", "frames", "motion", "modes", "density-coverage"),
            headline="fid",
            shown=("frame_fid", "identity", "speed_w1", "residual_w1", "flicker_w1", "coverage"),
            yardsticks=("real data", "still", "shuffled frames", "changing digit", "one class", "noise"),
        ),
    )
