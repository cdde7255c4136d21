"""grid-v1 at unit variance, with a budget after which the order of the losses is stable, and WGAN-GP's toy settings."""

from __future__ import annotations

from msgspec.structs import replace

from ganbench import LossRules, Protocol, hookimpl
from ganbench_baselines.protocol import grid_v1

WGAN_GP = LossRules(recipe={"betas": [0.5, 0.9]}, settings={"weight": 0.1})
"""Of the authors' toy problems (Gulrajani et al. 2017); their rate of 1e-4 would take 100,000 G updates."""


@hookimpl
def ganbench_protocol() -> Protocol:
    """Build the rules: 25 Gaussians in the plane, judged by coverage."""
    v1 = grid_v1.ganbench_protocol()
    return replace(
        v1,
        name="grid-v2",
        description=(
            "Twenty-five Gaussians on a square grid (Lin et al. 2018), scaled to unit spread, with a budget in which "
            "every loss can finish. WGAN-GP has the weight and momenta that its authors gave it "
            "for such data."
        ),
        dataset="unit-grid",
        training=replace(v1.training, budget_kimg=2560),
        losses={"wgan-gp": WGAN_GP},
    )
