"""Unpaired translation from edges to digits and back at 16x16; a run takes about a minute on one CPU core."""

from __future__ import annotations

from ganbench import Evaluating, Protocol, Training, hookimpl


@hookimpl
def ganbench_protocol() -> Protocol:
    """Build the rules: edges to digits and back at 16x16, judged by the error on held-out pairs."""
    return Protocol(
        name="digits-edges-v1",
        description=(
            "Unpaired translation, 16x16: from edges of digits to digits, and back. Training draws digits, and edges "
            "of other digits. On 359 held-out pairs, errors are mean distances from the truth, over pixels in [-1, 1]. "
            "label_accuracy is how often a digit classifier recognises the digit that the edges came from."
        ),
        dataset="digits-edges",
        resolution=16,
        seeds=(0, 1, 2),
        training=Training(budget_kimg=8, batch=8, lr=1e-3, betas=(0.5, 0.999), ema=0.995, width=16, z_dim=1),
        evaluation=Evaluating(
            samples=359,
            reference="test",
            extractor="digits-cnn",
            metrics=("translation", "label-accuracy", "fid"),
            headline="paired_error",
            shown=("paired_error_back", "label_accuracy", "fid", "cycle_error"),
            target=0.15,  # half the score of the mean image
            yardsticks=("identity", "mean image"),
        ),
    )
