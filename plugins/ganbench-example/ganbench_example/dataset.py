"""Six Gaussians on a circle, each half as frequent as the one before. Does G find the rare ones?"""

import math

import torch
from ganbench import Dataset, DataSpec, Oracle, Split, hookimpl
from torch import Tensor

ANGLES = 2 * math.pi / 6 * torch.arange(6, dtype=torch.float64)
CENTRES = torch.stack([ANGLES.cos(), ANGLES.sin()], dim=1)
SHARES = torch.tensor([32, 16, 8, 4, 2, 1], dtype=torch.float64) / 63
STD = 0.05
SAMPLES, SEED = 20_000, 0


def draw(rng: torch.Generator) -> Split:
    """Draw points and their modes in float64, and store the points in float32."""
    mode = torch.multinomial(SHARES, SAMPLES, replacement=True, generator=rng)
    noise = torch.randn(SAMPLES, 2, generator=rng, dtype=torch.float64)
    return Split((CENTRES[mode] + STD * noise).float(), mode)


def nearest(x: Tensor) -> Tensor:
    """``x[N, 2] -> mode[N]``, with -1 for points more than three standard deviations from every centre."""
    distance, mode = (x.double().unsqueeze(1) - CENTRES.to(x.device)).norm(dim=2).min(dim=1)
    return torch.where(distance <= 3 * STD, mode, -1)


@hookimpl
def ganbench_dataset() -> Dataset:
    """Build the dataset: 20,000 training points and 20,000 test points, the same in every run."""
    rng = torch.Generator().manual_seed(SEED)
    return Dataset(
        name="example",
        spec=DataSpec((2,), classes=len(SHARES), bounded=False),
        train=draw(rng),
        test=draw(rng),
        oracle=Oracle(SHARES, assign=nearest, ceiling=1 - math.exp(-(3**2) / 2)),  # P(|N(0, I)| <= 3) in the plane
    )
