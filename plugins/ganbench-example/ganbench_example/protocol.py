"""Points in the plane, three seeds, a few seconds per run: enough to see what a plugin does."""

from ganbench import Evaluating, Protocol, Training, hookimpl


@hookimpl
def ganbench_protocol() -> Protocol:
    """Build the rules; their digest is part of every record."""
    return Protocol(
        name="example-v1",  # give changed rules a new name, such as -v2
        dataset="example",  # built in: "ring"
        seeds=(0, 1, 2),
        training=Training(budget_kimg=64, batch=128, lr=1e-3, width=64, z_dim=4),
        evaluation=Evaluating(
            samples=1000,
            reference="test",
            extractor="example",  # built in: "raw"
            metrics=("modes", "density-coverage", "example"),  # built in: ("modes", "density-coverage")
            headline="coverage",
            checks=4,
        ),
    )
