"""Images as torch-fidelity takes them, which judges ours."""

from __future__ import annotations

import torch
from torch import Tensor


class Images(torch.utils.data.Dataset):
    """uint8 images one by one, as torch-fidelity takes them."""

    def __init__(self, x: Tensor) -> None:
        self.x = x

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, index: int) -> Tensor:
        return self.x[index]
