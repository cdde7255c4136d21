"""Random Fourier features: inner products approximate a Gaussian kernel, for any data (Rahimi and Recht 2007)."""

import torch
from ganbench import Extractor, hookimpl, to_signal
from torch import Tensor

WAVES, SEED = 256, 0


class RandomFourier(Extractor):
    """``x[B, *shape] -> features[B, 2 * WAVES]``; kernel exp(-‖x - y‖² / 2d) for samples of d numbers.

    The waves depend on ``SEED`` alone and so belong to the version; trained or loaded weights would be buffers.
    """

    name, version = "example", "1"

    def forward(self, x: Tensor) -> tuple[Tensor, None]:
        """``(features[B, 2 * WAVES] in float64, no logits)``; the norm of each row is 1."""
        signal = to_signal(x).flatten(1).double()
        d = signal.shape[1]
        waves = torch.randn(d, WAVES, generator=torch.Generator().manual_seed(SEED), dtype=torch.float64) / d**0.5
        phase = signal @ waves.to(signal.device)
        return torch.cat([phase.cos(), phase.sin()], dim=1) / WAVES**0.5, None


@hookimpl
def ganbench_extractor() -> RandomFourier:
    """Build the extractor."""
    return RandomFourier()
