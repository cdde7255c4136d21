"""Fashion-MNIST as in Lucic et al. 2018, with the rules of mnist-28-v1, for a GPU."""

from __future__ import annotations

from msgspec.structs import replace

from ganbench import Protocol, hookimpl
from ganbench_baselines.protocol import mnist_28_v1


@hookimpl
def ganbench_protocol() -> Protocol:
    """Build the rules: Fashion-MNIST's test images, judged by FID."""
    return replace(
        mnist_28_v1.PROTOCOL,
        name="fashion-28-v1",
        description=(
            "Fashion-MNIST, 28x28, one channel: 1 million images shown to D, and 10,000 fakes against the 10,000 test "
            "images in the features of Inception, as in Lucic et al. 2018. Meant for a GPU."
        ),
        dataset="fashion-mnist",
    )
