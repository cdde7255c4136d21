"""25 Gaussians on a grid, whose modes are easy to hit by chance and hard to cover."""

from __future__ import annotations

from ganbench import Evaluating, Protocol, Training, hookimpl


@hookimpl
def ganbench_protocol() -> Protocol:
    """Build the rules: 25 Gaussians in the plane, judged by coverage."""
    return Protocol(
        name="grid-v1",
        description=(
            "Twenty-five Gaussians of standard deviation 0.05 at {-4, -2, 0, 2, 4} squared (Lin et al. 2018). A "
            "uniform blob hits 21 of the modes; covering one takes a tenth of its fair share in high-quality samples."
        ),
        dataset="grid",
        seeds=(0, 1, 2, 3, 4),
        training=Training(budget_kimg=512, batch=128, lr=1e-3, betas=(0.5, 0.999), ema=0.995, width=128, z_dim=2),
        evaluation=Evaluating(
            samples=2500,
            reference="train",
            draws=3,
            extractor="raw",
            metrics=("modes", "density-coverage"),
            headline="coverage",
            shown=("hq_fraction", "modes_covered", "modes_effective"),
            target=0.5,
        ),
    )
