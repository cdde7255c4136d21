"""The default: scikit-learn's handwritten digits at 16x16; a run takes about half a minute on one CPU core."""

from __future__ import annotations

from msgspec.structs import replace

from ganbench import LossRules, Protocol, hookimpl
from ganbench_baselines.protocol import digits_16_v1

WGAN_GP = LossRules(recipe={"d_steps": 1})
"""As in progressive growing (Karras et al. 2018, appendix A). The budget counts the images that D sees: with five D
updates per G update, G gets 500 of its 2,500 updates, and the digits stay half-legible."""


@hookimpl
def ganbench_protocol() -> Protocol:
    """Build the rules: digits at 16x16, judged by FID."""
    v1 = digits_16_v1.PROTOCOL
    return replace(v1, name="digits-16-v2", losses={"wgan-gp": WGAN_GP})
