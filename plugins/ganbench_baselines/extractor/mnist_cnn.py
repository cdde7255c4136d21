"""Small CNN for MNIST, trained on 8,000 of its test images only: 32 standardised features and ten classes.

It classifies 99.45 % of the other 2,000 test images correctly. Its gate (a confidence of at least 0.8) passes 97.9 % of
digits that a network was not trained on, 4 % of a Gaussian fitted to the pixels, 19 % of even blends of two digits,
0.3 % of negatives, and no noise or samples of an untrained generator. It is digits-cnn for larger images, whose
training it shares. ``train_mnist_cnn.py`` trained it and measured this; ``mnist_cnn.json`` has all the numbers and the
confusion matrix.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, interpolate

from ganbench import Extractor, Unsupported, hookimpl
from ganbench_baselines.extractor.shipped import Shipped, with_weights

WEIGHTS = Path(__file__).with_name("mnist_cnn.safetensors")
CLASSES, FEATURES, SIDE = 10, 32, 28


class Network(nn.Module):
    """``x[B, 1, 28, 28]`` in [-1, 1] -> (``features[B, 32]``, ``logits[B, 10]``)."""

    def __init__(self, width: int = 14) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *_block(1, width, stride=1),
            *_block(width, 2 * width, stride=2),
            *_block(2 * width, 2 * width, stride=1),
            *_block(2 * width, 2 * width, stride=2),
            nn.Flatten(),
            nn.Linear(2 * width * (SIDE // 4) ** 2, FEATURES),
            nn.BatchNorm1d(FEATURES),
        )
        self.head = nn.Linear(FEATURES, CLASSES)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Features before the last nonlinearity, and logits."""
        features = self.body(x)  # before the nonlinearity: closer to the Gaussian that a Fréchet distance assumes
        return features, self.head(gelu(features))


def _block(inputs: int, outputs: int, stride: int) -> tuple[nn.Module, ...]:
    conv = nn.Conv2d(inputs, outputs, kernel_size=3, stride=stride, padding=1, bias=False)
    return conv, nn.BatchNorm2d(outputs), nn.ReLU()


class MnistCNN(Shipped):
    """``x[B, 1, S, S]`` in uint8 -> (``features[B, 32]``, ``logits[B, 10]``).

    Stacked digits ``x[B, 3, S, S]`` are read channel by channel: ``features[B, 96]``, ``logits[B, 3, 10]``.
    Other sizes are resized to 28x28 (bilinear, antialiased when shrinking).

    The last bits of the float32 features depend on batch size and device.
    """

    name, version = "mnist-cnn", "1"
    trained_on = ("mnist", "mnist-10k", "stacked-mnist")
    class_names = tuple("0123456789")
    gate = 0.8  # chosen by train_mnist_cnn.py; a different gate needs a new version

    def __init__(self) -> None:
        super().__init__(Network(), FEATURES, CLASSES)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Standardised features, and logits; ``Unsupported`` for anything but square uint8 images."""
        if x.ndim != 4 or x.shape[1] not in (1, 3) or x.shape[2] != x.shape[3] or x.dtype != torch.uint8:
            raise Unsupported("mnist-cnn judges square uint8 images of one or three channels")
        samples, channels = x.shape[:2]
        signal = x.reshape(samples * channels, 1, *x.shape[2:]).float() / 127.5 - 1
        if signal.shape[-1] != SIDE:
            signal = interpolate(signal, size=(SIDE, SIDE), mode="bilinear", antialias=True)
        features, logits = self.network(signal)
        features = ((features - self.mean) / self.std).reshape(samples, channels * FEATURES)
        return features, logits if channels == 1 else logits.reshape(samples, channels, CLASSES)


def load(file: Path = WEIGHTS) -> MnistCNN:
    """The extractor with its shipped weights.

    Raises:
        DataError: the weights are missing or damaged.
    """
    return with_weights(MnistCNN(), file)


@hookimpl
def ganbench_extractor() -> Extractor:
    """Load the extractor; its weights ship with the package, so nothing is downloaded."""
    return load()
