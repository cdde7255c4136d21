"""Digits at 64x64, with networks as wide as in the papers and 50,000 updates, for a GPU."""

from __future__ import annotations

from msgspec.structs import replace

from ganbench import Protocol, Training, hookimpl
from ganbench_baselines.protocol.digits_16_v1 import PROTOCOL


@hookimpl
def ganbench_protocol() -> Protocol:
    """Build the rules of digits-16-v1 for 64x64, with different training settings."""
    return replace(
        PROTOCOL,
        name="digits-64-v1",
        description=(
            "Real handwritten digits, 64x64, one channel. At this width, sngan has its paper's blocks for ImageNet. "
            "Judged as in digits-16-v1, by digits-cnn, which sees all images at 16x16."
        ),
        resolution=64,
        training=Training(budget_kimg=3200, batch=64, lr=2e-4, betas=(0.5, 0.999), ema=0.999, width=64, z_dim=128),
    )
