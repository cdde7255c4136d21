"""Small CNN for emoji, fitted to training pictures only: 32 standardised features and eight classes.

One layer of 5x5 filters, learnt from patches (Coates and Ng 2012), sees each picture at 32x32 and 16x16. The features
are 32 linear combinations of their mean absolute responses in each quarter, of the energy of four bands, and of a
thumbnail and the spread of the colours. Fisher's discriminant chose them: they differ most between training pictures,
and least between altered copies of one (mirrored, slightly turned, scaled, shifted and tinted).

The Fréchet distance of the 294 held-out pictures from the 1,180 training pictures is 1.5. If the held-out pictures are
damaged, it rises with every step of blur (to 19 at a standard deviation of 1.5 pixels), noise, JPEG, hue, gray (19),
shuffled tiles (21), blends (6.2 for even ones) and repetition (30 for ten distinct pictures). A shift by two pixels
gives 2.2, and mirroring 1.5. A missing group may go unnoticed (1.6 to 3.0). The features hardly see slight blur (1.7 at
0.4 pixels). The classifier recognises 65 % of the held-out pictures (guessing: 18 %), and of "activities" only 18 %.
``train_emoji_cnn.py`` fitted it and measured this; ``emoji_cnn.json`` has all the numbers.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, avg_pool2d, interpolate

from ganbench import DataError, Extractor, Unsupported, hookimpl
from ganbench_baselines.dataset.emoji import CLASS_NAMES

WEIGHTS = Path(__file__).with_name("emoji_cnn.safetensors")
CLASSES, FEATURES, SIDE = len(CLASS_NAMES), 32, 32
FILTERS, PATCH, HALVINGS, THUMBNAIL = 40, 5, 3, 4
LOOKS = 2 * 4 * FILTERS + 3 * (HALVINGS + THUMBNAIL**2 + 1)


class Network(nn.Module):
    """``x[B, 3, 32, 32]`` in [-1, 1] -> ``looks[B, 380]`` in float64: responses, bands, thumbnail and spread."""

    def __init__(self) -> None:
        super().__init__()
        self.fine, self.coarse = (nn.Conv2d(3, FILTERS, PATCH, bias=False) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        """Responses and energies are on a logarithmic scale."""
        levels = halvings(x)
        responses = [
            adaptive_avg_pool2d(filters(level).abs(), 2).add(0.1).log()
            for filters, level in zip((self.fine, self.coarse), levels[:2], strict=True)
        ]
        bands = [
            (level - interpolate(half, scale_factor=2.0)).square().mean(dim=(2, 3)).add(1e-4).log()
            for level, half in pairwise(levels)
        ]
        spread = x.var(dim=(2, 3)).add(1e-3).log()
        seen = [*responses, *bands, adaptive_avg_pool2d(x, THUMBNAIL), spread]
        return torch.cat([part.flatten(1) for part in seen], dim=1).double()


def halvings(x: Tensor) -> list[Tensor]:
    """The picture at 32x32, 16x16, 8x8 and 4x4."""
    levels = [x]
    for _ in range(HALVINGS):
        levels.append(avg_pool2d(levels[-1], 2))
    return levels


class EmojiCNN(Extractor):
    """``x[B, 3, S, S]`` in uint8 -> (``features[B, 32]`` in float64, ``logits[B, 8]``).

    Other sizes are resized to 32x32 (bilinear, antialiased when shrinking). It has no confusion matrix and no gate,
    because it recognises too few groups for modes to be counted.
    """

    name, version = "emoji-cnn", "1"
    trained_on = ("emoji",)
    class_names = CLASS_NAMES
    centre: Tensor
    directions: Tensor
    head: Tensor
    bias: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.network = Network()
        self.register_buffer("centre", torch.zeros(LOOKS, dtype=torch.float64))
        self.register_buffer("directions", torch.zeros(LOOKS, FEATURES, dtype=torch.float64))
        self.register_buffer("head", torch.zeros(LOOKS, CLASSES, dtype=torch.float64))
        self.register_buffer("bias", torch.zeros(CLASSES, dtype=torch.float64))
        self.eval().requires_grad_(False)

    def looks(self, x: Tensor) -> Tensor:
        """What the network sees in images as stored, ``[B, 380]``, centred on the training pictures."""
        if x.ndim != 4 or x.shape[1] != 3 or x.shape[2] != x.shape[3] or x.dtype != torch.uint8:
            raise Unsupported("emoji-cnn judges square uint8 images of three channels")
        signal = x.float() / 127.5 - 1
        if signal.shape[-1] != SIDE:
            signal = interpolate(signal, size=(SIDE, SIDE), mode="bilinear", antialias=True)
        looks: Tensor = self.network(signal)
        return looks - self.centre

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Standardised features, and logits; ``Unsupported`` for anything but square uint8 images in colour."""
        looks = self.looks(x)
        return looks @ self.directions, looks @ self.head + self.bias


def load(file: Path = WEIGHTS) -> EmojiCNN:
    """The extractor with its shipped weights.

    Raises:
        DataError: the weights are missing or damaged.
    """
    extractor = EmojiCNN()
    try:
        extractor.load_state_dict(load_file(file))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise DataError(
            f"the weights '{file}' cannot be read ({type(error).__name__})", "install ganbench again"
        ) from error
    return extractor


@hookimpl
def ganbench_extractor() -> Extractor:
    """Load the extractor; its weights ship with the package, so nothing is downloaded."""
    return load()
