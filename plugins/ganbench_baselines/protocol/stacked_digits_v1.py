"""Three random digits as the channels of one image: how many of the 1,000 triples does G produce?"""

from __future__ import annotations

from ganbench import Evaluating, Protocol, Training, hookimpl


@hookimpl
def ganbench_protocol() -> Protocol:
    """Build the rules: three digits as the channels of an image, judged by the modes that are hit."""
    return Protocol(
        name="stacked-digits-v1",
        description=(
            "Three random digits stacked as red, green and blue: 1,000 equally likely modes (Srivastava et al. 2017), "
            "judged on 26,000 samples by a classifier per channel. A mode is hit by one sample that is of high quality "
            "in every channel, and covered by a tenth of its fair share of them."
        ),
        dataset="stacked-digits",
        resolution=16,
        seeds=(0, 1, 2),
        training=Training(budget_kimg=64, batch=32, lr=2e-3, betas=(0.5, 0.999), ema=0.995, width=32, z_dim=64),
        evaluation=Evaluating(
            samples=26_000,
            reference="train",
            extractor="digits-cnn",
            metrics=("modes", "fid"),
            headline="modes_hit",
            shown=("fid", "modes_effective", "hq_fraction"),  # such a short training covers hardly any mode
            checks=1,
        ),
    )
