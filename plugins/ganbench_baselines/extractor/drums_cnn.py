"""Small CNN for drum sounds, on log-mel spectrograms: 32 standardised features and six classes.

It takes at most 1.024 s, at 8,000 samples per second (``drums-cnn``) or 16,000 (``drums-cnn:16000``). Its spectrograms
have frames of 32 ms every 8 ms and 32 bands up to 8 kHz, down to 60 dB below full scale. One network serves both rates;
each rate has its own feature standardisation and its own confusion matrix.

It classifies all 600 held-out drums correctly, and all 2,400 from another seed. Its gate (a confidence of at least 0.9)
passes 99.8 % of the held-out drums at 8 kHz and 99.2 % at 16 kHz, 8 % and 4 % of even blends of two classes, and no
white or spectral noise, silence, reversed drums or samples of an untrained generator. ``train_drums_cnn.py``
trained it and measured this; ``drums_cnn.json`` has all the numbers and the confusion matrices.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, pad

from ganbench import DataError, Extractor, Unsupported, hookimpl, to_signal
from ganbench_baselines.extractor.shipped import Shipped, with_weights

WEIGHTS = Path(__file__).with_name("drums_cnn.safetensors")
RATES = (8000, 16_000)
CLASSES, FEATURES = 6, 32
BANDS, FRAMES = 32, 128
FRAME, HOP = 0.032, 0.008  # seconds
TOP = 8000.0  # Hz
FLOOR = 1e-6  # relative to the power of a full-scale sine: -60 dB


def mel_bands(rate: int, size: int) -> Tensor:
    """``[size / 2 + 1, 32]``: triangles evenly spaced on the mel scale, from 0 to 8 kHz at either rate.

    The scale is 2595 log10(1 + f / 700) (O'Shaughnessy 1987). Bands above half the rate stay empty.
    """
    mel = torch.linspace(0, torch.tensor(1 + TOP / 700).log10().item(), BANDS + 2, dtype=torch.float64)
    corner = 700 * (10**mel - 1)
    f = torch.fft.rfftfreq(size, 1 / rate, dtype=torch.float64)[:, None]
    rising = (f - corner[:-2]) / (corner[1:-1] - corner[:-2])
    falling = (corner[2:] - f) / (corner[2:] - corner[1:-1])
    return torch.minimum(rising, falling).clamp(min=0).float()


class LogMel(nn.Module):
    """``x[B, T]`` in [-1, 1] -> ``[B, 1, 32, 128]``, from -1 (60 dB below full scale, or after the end) to about 1."""

    window: Tensor
    bands: Tensor

    def __init__(self, rate: int) -> None:
        super().__init__()
        self.size, self.hop = round(FRAME * rate), round(HOP * rate)
        self.register_buffer("window", torch.hann_window(self.size), persistent=False)
        self.register_buffer("bands", mel_bands(rate, self.size), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Levels in 32 bands and 128 frames of 8 ms."""
        spectrum = torch.stft(x, self.size, self.hop, window=self.window, pad_mode="constant", return_complex=True)
        power = (spectrum.abs() * (2 / self.window.sum())).square().transpose(1, 2) @ self.bands
        level = (power.clamp(min=FLOOR).log10() + 3) / 3  # a NaN stays a NaN
        return pad(level, (0, 0, 0, FRAMES), value=-1.0)[:, :FRAMES].transpose(1, 2).unsqueeze(1)


class Network(nn.Module):
    """``[B, 1, 32, 128]`` -> (``features[B, 32]``, ``logits[B, 6]``)."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *_halved(1, width),
            *_halved(width, 2 * width),
            *_halved(2 * width, 2 * width),
            *_halved(2 * width, 2 * width),
            nn.Flatten(),
            nn.Linear(2 * width * (BANDS // 16) * (FRAMES // 16), FEATURES),
            nn.BatchNorm1d(FEATURES),
        )
        self.head = nn.Linear(FEATURES, CLASSES)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Features before the last nonlinearity, and logits."""
        features = self.body(x)  # before the nonlinearity: closer to the Gaussian that a Fréchet distance assumes
        return features, self.head(gelu(features))


def _halved(inputs: int, outputs: int) -> tuple[nn.Module, ...]:
    conv = nn.Conv2d(inputs, outputs, kernel_size=3, stride=2, padding=1, bias=False)
    return conv, nn.BatchNorm2d(outputs), nn.ReLU()


class DrumsCNN(Shipped):
    """``x[B, 1, T]`` in float32 [-1, 1] (or uint8), at most 1.024 s -> (``features[B, 32]``, ``logits[B, 6]``).

    Shorter sounds are padded with silence. The hash of the weights includes the rate, so scores at 8 kHz and at 16 kHz
    have different names.
    """

    name, version = "drums-cnn", "1"
    trained_on = ("drums",)
    class_names = ("kick", "snare", "closed hat", "open hat", "tom", "clap")
    gate = 0.9  # chosen by train_drums_cnn.py; a different gate needs a new version

    rate: Tensor

    def __init__(self, rate: int = RATES[0]) -> None:
        super().__init__(Network(), FEATURES, CLASSES)
        self.sample_rate = rate
        self.heard = LogMel(rate)
        self.longest = FRAMES * self.heard.hop
        self.register_buffer("rate", torch.tensor(rate))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Standardised features, and logits; ``Unsupported`` for anything but short sounds of one channel."""
        if x.ndim != 3 or x.shape[1] != 1 or x.dtype not in (torch.uint8, torch.float32):
            raise Unsupported("drums-cnn judges sounds of one channel, float32 or uint8")
        if x.shape[2] > self.longest:
            raise Unsupported(
                f"drums-cnn judges at most {self.longest} samples, not {x.shape[2]}",
                "make the sounds shorter; for sounds that are not drums, write extractor = 'raw', or your own",
            )
        features, logits = self.network(self.heard(to_signal(x[:, 0])))
        return (features - self.mean) / self.std, logits


OWN = ("mean", "std", "confusion_counts")
"""Buffers that each rate has for itself, stored as ``<rate>.<name>``."""


def load(rate: int = RATES[0], file: Path = WEIGHTS) -> DrumsCNN:
    """The extractor with its shipped weights.

    Raises:
        DataError: the weights are missing or damaged.
    """
    extractor = DrumsCNN(rate)

    def state(tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        network = {name: value for name, value in tensors.items() if name.startswith("network.")}
        return network | {name: tensors[f"{rate}.{name}"] for name in OWN} | {"rate": extractor.rate}

    return with_weights(extractor, file, state)


@hookimpl
def ganbench_extractor(argument: str) -> Extractor:
    """Load the extractor; its weights ship with the package, so nothing is downloaded."""
    if argument not in ("", *map(str, RATES)):
        raise DataError(
            f"drums-cnn judges sounds at {' or '.join(map(str, RATES))} samples a second, not '{argument}'",
            "write drums-cnn or drums-cnn:16000",
        )
    return load(int(argument or RATES[0]))
