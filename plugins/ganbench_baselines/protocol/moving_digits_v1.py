"""Video on a CPU: clips of a bouncing digit, 8 frames at 16x16; a run takes a few minutes on one core."""

from __future__ import annotations

from ganbench import Evaluating, Protocol, Training, hookimpl


@hookimpl
def ganbench_protocol() -> Protocol:
    """Build the rules: clips of 8 frames of 16x16, judged by FID."""
    return Protocol(
        name="moving-digits-v1",
        description=(
            "Clips of 8 frames, 16x16, in which a real handwritten digit drifts over a dim, still background and "
            "bounces off the borders. 2,000 fakes are compared with 2,000 clips of held-out digits in the features of "
            "a small clip classifier (clips-cnn); frames are judged by digits-cnn, motion by its speed and steadiness."
        ),
        dataset="moving-digits",
        resolution=16,
        seeds=(0, 1, 2),
        training=Training(
            budget_kimg=80, batch=16, lr=2e-3, betas=(0.5, 0.999), lr_decay=0.5, ema=0.998, width=24, z_dim=64
        ),
        evaluation=Evaluating(
            samples=2000,
            reference="test",
            draws=2,
            checks=4,
            extractor="clips-cnn",
            metrics=("fid", "is", "frames", "motion", "modes", "density-coverage"),
            headline="fid",
            shown=("frame_fid", "identity", "speed_w1", "residual_w1", "flicker_w1", "coverage"),
            yardsticks=("real data", "still", "shuffled frames", "changing digit", "one class", "noise"),
        ),
    )
