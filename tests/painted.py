"""Image files of random pixels, and datasets of them."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from ganbench.contracts.data import Dataset
from ganbench_baselines.dataset import folder

CHANNELS = {"RGB": 3, "RGBA": 4, "L": 1}


def pixels(seed: int, size: tuple[int, int] = (8, 8), channels: int = 3) -> np.ndarray:
    """``[height, width, channels]``; ``size`` is (width, height)."""
    return np.random.default_rng(seed).integers(0, 256, (size[1], size[0], channels), dtype=np.uint8)


def paint(path: Path, seed: int = 0, size: tuple[int, int] = (8, 8), mode: str = "RGB", **save: object) -> Path:
    """An image in the format that its suffix names."""
    path.parent.mkdir(parents=True, exist_ok=True)
    drawn = pixels(seed, size, CHANNELS[mode])
    Image.fromarray(drawn[..., 0] if mode == "L" else drawn).save(path, **save)
    return path


def paint_many(root: Path, n: int = 10, suffix: str = ".png", **options: object) -> list[Path]:
    offset = zlib.crc32(str(root).encode())  # no image is in two folders
    return [paint(root / f"{i:02d}{suffix}", offset + i, **options) for i in range(n)]


def load(path: Path, resolution: int | None = None) -> Dataset:
    return folder.ganbench_dataset(argument=str(path), resolution=resolution)


def rows(x: torch.Tensor) -> set[bytes]:
    """The content of every sample."""
    return {row.numpy().tobytes() for row in x}


def size_of(picture: Path) -> tuple[int, int]:
    """(width, height)"""
    with Image.open(picture) as image:
        return image.size
