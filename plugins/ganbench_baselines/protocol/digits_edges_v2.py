"""Unpaired translation from edges to digits and back at 16x16: digits-edges-v1 with five seeds."""

from __future__ import annotations

from msgspec.structs import replace

from ganbench import Protocol, hookimpl
from ganbench_baselines.protocol import digits_edges_v1


@hookimpl
def ganbench_protocol() -> Protocol:
    """Build the rules: edges to digits and back at 16x16, judged by the error on held-out pairs."""
    return replace(digits_edges_v1.ganbench_protocol(), name="digits-edges-v2", seeds=(0, 1, 2, 3, 4))
