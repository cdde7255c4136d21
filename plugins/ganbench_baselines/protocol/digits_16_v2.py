"""The default: digits-16-v1 with a latent of the digits' own dimension, and one D update per G update for WGAN-GP."""

from __future__ import annotations

from msgspec.structs import replace

from ganbench import LossRules, Protocol, hookimpl
from ganbench_baselines.protocol import digits_16_v1

ONE_D_STEP = LossRules(recipe={"d_steps": 1})
"""Of WGAN-GP, as in Karras et al. (2018). The budget counts real images, and five D updates leave G a fifth of it."""


@hookimpl
def ganbench_protocol() -> Protocol:
    """Build the rules: digits at 16x16, judged by FID."""
    v1 = digits_16_v1.PROTOCOL
    return replace(
        v1,
        name="digits-16-v2",
        training=replace(v1.training, z_dim=16),
        losses={"wgan-gp": ONE_D_STEP},
    )
