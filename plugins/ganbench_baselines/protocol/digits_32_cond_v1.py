"""Labelled digits at 32x32, with networks as wide as in the papers and 50,000 updates, for a GPU."""

from __future__ import annotations

from ganbench import Evaluating, Protocol, Training, hookimpl


@hookimpl
def ganbench_protocol() -> Protocol:
    """Build the rules: digits by class at 32x32, judged by intra-FID."""
    return Protocol(
        name="digits-32-cond-v1",
        description=(
            "Real handwritten digits by class, 32x32. At this width and latent size, sngan-projection has its paper's "
            "networks for CIFAR-10. Each class of fakes is compared with the same class of the 1,438 training digits "
            "in the features of digits-cnn, which sees them at 16x16."
        ),
        dataset="digits",
        resolution=32,
        seeds=(0, 1, 2, 3, 4),
        training=Training(budget_kimg=3200, batch=64, lr=2e-4, betas=(0.0, 0.9), ema=0.999, width=128, z_dim=128),
        evaluation=Evaluating(
            samples=1438,
            reference="train",
            draws=3,
            extractor="digits-cnn",
            metrics=("intra-fid", "fid", "label-accuracy", "is", "density-coverage"),
            headline="intra_fid",
            shown=("fid", "intra_fid_worst", "label_accuracy", "coverage"),
        ),
    )
