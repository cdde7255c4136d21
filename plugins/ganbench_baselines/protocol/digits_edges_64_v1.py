"""Unpaired translation from edges to digits and back at 64x64, for a GPU."""

from __future__ import annotations

from ganbench import Evaluating, Protocol, Training, hookimpl


@hookimpl
def ganbench_protocol() -> Protocol:
    """Build the rules: edges to digits and back at 64x64, judged by the error on held-out pairs."""
    return Protocol(
        name="digits-edges-64-v1",
        description=(
            "Unpaired translation, 64x64: from edges of digits to digits, and back. Like digits-edges-v1, but at four "
            "times the resolution and with the paper's width and learning rate."
        ),
        dataset="digits-edges",
        resolution=64,
        seeds=(0, 1, 2),
        training=Training(budget_kimg=160, batch=4, lr=2e-4, betas=(0.5, 0.999), ema=0.995, width=64, z_dim=1),
        evaluation=Evaluating(
            samples=359,
            reference="test",
            extractor="digits-cnn",
            metrics=("translation", "label-accuracy", "fid"),
            headline="paired_error",
            shown=("paired_error_back", "label_accuracy", "fid", "cycle_error"),
            target=0.15,
            yardsticks=("identity", "mean image"),
        ),
    )
