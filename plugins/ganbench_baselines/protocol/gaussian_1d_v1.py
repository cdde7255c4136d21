"""The classic tutorial (Nag 2017): two small networks learn one Gaussian on a line."""

from __future__ import annotations

from ganbench import Evaluating, Protocol, Training, hookimpl


@hookimpl
def ganbench_protocol() -> Protocol:
    """Build the rules: numbers from one Gaussian, judged by the Wasserstein distance."""
    return Protocol(
        name="gaussian-1d-v1",
        description=(
            'Numbers drawn from N(4, 1.25), as in "GANs in 50 lines" (Nag 2017). 25,000 fakes are compared with half '
            "of the 50,000 held-out numbers; w1 is how far fakes have to move, on average, to make the distributions "
            "equal. The data are a Gaussian, so no row can beat the gaussian fit."
        ),
        dataset="gaussian-1d",
        seeds=(0, 1, 2, 3, 4),
        training=Training(budget_kimg=2560, batch=512, lr=5e-4, d_lr=2e-3, lr_decay=1.0, ema=0.998, width=32, z_dim=1),
        evaluation=Evaluating(
            samples=25_000,
            reference="test",
            draws=3,
            metrics=("distance-1d",),
            headline="w1",
            shown=("ks", "mean", "std"),
            checks=40,
            target=0.1,
            yardsticks=("real data", "gaussian fit", "one class", "noise"),
        ),
    )
