"""Small CNN for moving digits, trained on training digits only: 48 standardised features and ten classes.

It classifies all 359 held-out digits correctly, in one clip each. Its gate (a confidence of at least 0.95) passes 98 %
of them, 20 % of clips of two digits at once, 0.1 % of blurred clips, and none with a different digit in each frame,
with noise, or with only a background. Its features also encode motion: the Fréchet distance from 2,000 held-out clips
is 0.40 for training clips, 4.8 if they stand still, 87 if their frames are shuffled, and 292 with a different digit in
each frame. They give the direction to within 22.5 degrees in every clip without a bounce. ``train_clips_cnn.py``
trained it and measured this; ``clips_cnn.json`` has all the numbers and the confusion matrix.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, interpolate

from ganbench import Extractor, Unsupported, hookimpl
from ganbench_baselines.extractor.shipped import Shipped, with_weights

WEIGHTS = Path(__file__).with_name("clips_cnn.safetensors")
CLASSES, SIDE, MOTIONS = 10, 16, 7
OF_DIGIT, OF_MOTION = 32, 16
FEATURES = OF_DIGIT + OF_MOTION
FEWEST = 4  # frames


class Network(nn.Module):
    """``x[B, 1, T, 16, 16]`` in [-1, 1] -> (``features[B, 48]``, ``logits[B, 10]``, ``motion[B, 7]``).

    Convolutions span 7 frames, and their output is averaged over time. The first 32 features encode the digit, and the
    others its motion: its position, its steps down, right, up and left per frame, and how sharply it turns.
    """

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *_block(1, width, 3, stride=2),
            *_block(width, 3 * width // 2, 3),
            *_block(3 * width // 2, 2 * width, 3, stride=2),
            nn.Conv3d(2 * width, FEATURES, (1, SIDE // 4, SIDE // 4), bias=False),  # keeps the position in the frame
            nn.BatchNorm3d(FEATURES),
            nn.ReLU(),
        )
        self.pooled = nn.Sequential(nn.Linear(FEATURES, FEATURES), nn.BatchNorm1d(FEATURES))
        self.digit = nn.Linear(OF_DIGIT, CLASSES)
        self.motion = nn.Linear(OF_MOTION, MOTIONS)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Features before the last nonlinearity, logits of the digits, and the motion."""
        features = self.pooled(self.body(x).mean(dim=(2, 3, 4)))  # before the nonlinearity, as in digits-cnn
        of_digit, of_motion = gelu(features).split([OF_DIGIT, OF_MOTION], dim=1)
        return features, self.digit(of_digit), self.motion(of_motion)


def _block(inputs: int, outputs: int, kernel: int, stride: int = 1) -> tuple[nn.Module, ...]:
    conv = nn.Conv3d(inputs, outputs, kernel, stride=(1, stride, stride), padding=kernel // 2, bias=False)
    return conv, nn.BatchNorm3d(outputs), nn.ReLU()


class ClipsCNN(Shipped):
    """``x[B, C, T, S, S]`` in uint8 -> (``features[B, 48]``, ``logits[B, 10]``).

    Colour channels are averaged. Frames of other sizes are resized to 16x16 (bilinear, antialiased when shrinking).
    Clips need at least 4 frames. Features are means over time.
    """

    name, version = "clips-cnn", "1"
    trained_on = ("moving-digits",)
    class_names = tuple("0123456789")
    gate = 0.95  # chosen by train_clips_cnn.py; a different gate needs a new version

    def __init__(self) -> None:
        super().__init__(Network(), FEATURES, CLASSES)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Standardised features, and logits; ``Unsupported`` for anything but clips of square uint8 frames."""
        if x.ndim != 5 or x.shape[2] < FEWEST or x.shape[3] != x.shape[4] or x.dtype != torch.uint8:
            raise Unsupported(f"clips-cnn judges clips of {FEWEST} or more square uint8 frames")
        signal = x.float().mean(dim=1, keepdim=True) / 127.5 - 1
        if signal.shape[-1] != SIDE:
            frames = interpolate(signal.flatten(0, 2)[:, None], size=(SIDE, SIDE), mode="bilinear", antialias=True)
            signal = frames.reshape(*signal.shape[:3], SIDE, SIDE)
        features, logits, _ = self.network(signal)
        return (features - self.mean) / self.std, logits


def load(file: Path = WEIGHTS) -> ClipsCNN:
    """The extractor with its shipped weights.

    Raises:
        DataError: the weights are missing or damaged.
    """
    return with_weights(ClipsCNN(), file)


@hookimpl
def ganbench_extractor() -> Extractor:
    """Load the extractor; its weights ship with the package, so nothing is downloaded."""
    return load()
