"""Random Fourier features for any data. Inner products approximate a Gaussian kernel (Rahimi and Recht 2007)."""

import torch
from ganbench import Extractor, hookimpl, to_signal
from torch import Tensor

WAVES, SEED = 256, 0


class RandomFourier(Extractor):
    """``x[B, *shape] -> features[B, 2 * WAVES]``, for the kernel exp(-‖x - y‖² / 2d) of samples with d numbers.

    The waves depend only on ``SEED``, so they are part of the version. Register trained or loaded weights as buffers.
    """

    name, version = "example", "1"

    def forward(self, x: Tensor) -> tuple[Tensor, None]:
        """Return ``features[B, 2 * WAVES]`` in float64, with rows of norm 1, and no logits."""
        signal = to_signal(x).flatten(1).double()
        d = signal.shape[1]
        waves = torch.randn(d, WAVES, generator=torch.Generator().manual_seed(SEED), dtype=torch.float64) / d**0.5
        phase = signal @ waves.to(signal.device)
        return torch.cat([phase.cos(), phase.sin()], dim=1) / WAVES**0.5, None


@hookimpl
def ganbench_extractor() -> RandomFourier:
    """Build the extractor."""
    return RandomFourier()
