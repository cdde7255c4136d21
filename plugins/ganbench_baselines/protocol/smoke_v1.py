"""Runs the whole pipeline in seconds, to check that everything works; its scores mean nothing."""

from __future__ import annotations

from msgspec.structs import replace

from ganbench import Protocol, hookimpl
from ganbench_baselines.protocol.digits_16_v1 import PROTOCOL


@hookimpl
def ganbench_protocol() -> Protocol:
    """Build the rules of digits-16-v1 for a fraction of the budget, one seed and few samples."""
    return replace(
        PROTOCOL,
        name="smoke-v1",
        description="Every stage of digits-16-v1 on a budget far too small to learn anything; one seed.",
        seeds=(0,),
        training=replace(PROTOCOL.training, budget_kimg=0.96, width=8),
        evaluation=replace(PROTOCOL.evaluation, samples=500, draws=1, checks=2),
    )
