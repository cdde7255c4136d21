"""digits-16-v1 with ten times the budget: which GAN is best given enough training?"""

from __future__ import annotations

from msgspec.structs import replace

from ganbench import Protocol, hookimpl
from ganbench_baselines.protocol.digits_16_v1 import PROTOCOL


@hookimpl
def ganbench_protocol() -> Protocol:
    """Build the rules of digits-16-v1 for 800 kimg."""
    return replace(PROTOCOL, name="digits-16-long-v1", training=replace(PROTOCOL.training, budget_kimg=800, ema=0.999))
