"""Eight Gaussians on a circle: does G find all modes, and are its samples close to them?"""

from __future__ import annotations

from ganbench import Evaluating, Protocol, Training, hookimpl


@hookimpl
def ganbench_protocol() -> Protocol:
    """Build the rules: eight Gaussians on a circle, judged by coverage."""
    return Protocol(
        name="ring-v1",
        description=(
            "Eight Gaussians of standard deviation 0.01 on the unit circle (Metz et al. 2017). A sample is of high "
            "quality within three standard deviations of a centre; a perfect sampler reaches 98.9 %."
        ),
        dataset="ring",
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
