"""Three random digits as the channels of one image, 1,000 modes: stacked-digits-v1 with five seeds."""

from __future__ import annotations

from msgspec.structs import replace

from ganbench import Protocol, hookimpl
from ganbench_baselines.protocol import stacked_digits_v1


@hookimpl
def ganbench_protocol() -> Protocol:
    """Build the rules: three digits as the channels of an image, judged by the modes that are hit."""
    return replace(stacked_digits_v1.ganbench_protocol(), name="stacked-digits-v2", seeds=(0, 1, 2, 3, 4))
