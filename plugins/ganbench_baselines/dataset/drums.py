"""Synthetic drum sounds from closed forms, in six classes, modelled on the drum data of Donahue et al. (2019).

    kick        a sine that falls from 120-220 Hz to 42-65 Hz within some 25 ms
    snare       two modes of a drum head, and noise above 1 kHz
    closed hat  noise above 2-2.8 kHz that dies away within 15-35 ms
    open hat    the same noise, lasting for 100-200 ms
    tom         a sine that falls slowly to 95-210 Hz
    clap        four bursts of noise around 0.9-1.5 kHz, 8-13 ms apart, and a tail

Pitch, decay, mixture and level are drawn for every sound, so each class is a distribution. Sounds start at the first
sample, and a fade over the last hundredth of a second ends those that have not died away.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from ganbench import DataError, Dataset, DataSpec, Oracle, Split, Unsupported, hookimpl, stratified_split, to_signal

CLASSES = ("kick", "snare", "closed hat", "open hat", "tom", "clap")
PER_CLASS = 400
TEST_SHARE = 0.25
SEED = 0  # the sounds are part of the dataset: they are the same for all protocols and runs
SAMPLES, LEAST, MOST = 4096, 1024, 65_536
LOW_RATE, HIGH_RATE = 8000, 16_000
SHORT = 8192  # samples; sounds up to this length have the low rate by default
GRID = 2**15  # amplitudes are rounded to 16-bit PCM, because the last bits of sin and exp differ between machines
FADE = 0.01  # seconds


class Drummer:
    """Makes ``n`` sounds of a class, ``[n, T]`` in float64 at any level, drawn from one random generator."""

    def __init__(self, n: int, samples: int, rate: int, rng: torch.Generator) -> None:
        self.n, self.samples, self.rate, self.rng = n, samples, rate, rng
        self.t = torch.arange(samples, dtype=torch.float64) / rate

    def kick(self) -> Tensor:
        """A falling sine with a click at its start, ``[n, T]``."""
        fall, click = self.between(0.015, 0.035), self.between(0.0, 0.15) * self.fading(0.002)
        body = self.sine(self.between(42, 65), self.between(80, 155), fall) * self.fading(self.between(0.07, 0.16))
        return body + click * self.noise(1000, 3500)

    def snare(self) -> Tensor:
        """Two modes of a drum head and the noise of the wires, ``[n, T]``."""
        pitch, fall = self.between(170, 240), self.between(0.02, 0.05)
        head = self.sine(pitch, 0.3 * pitch, fall) + 0.6 * self.sine(1.6 * pitch, 0.3 * pitch, fall)
        wires = self.noise(1000, 3800) * self.fading(self.between(0.05, 0.11))
        return self.between(0.5, 1.0) * head * self.fading(self.between(0.03, 0.07)) + 0.6 * wires

    def closed_hat(self) -> Tensor:
        """High noise that dies away quickly, ``[n, T]``."""
        return self.noise(self.between(2000, 2800)) * self.fading(self.between(0.005, 0.012))

    def open_hat(self) -> Tensor:
        """High noise that lasts, ``[n, T]``."""
        return self.noise(self.between(2000, 2800)) * self.fading(self.between(0.1, 0.2))

    def tom(self) -> Tensor:
        """A sine that falls slowly, ``[n, T]``."""
        pitch = self.between(95, 210)
        return self.sine(pitch, self.between(0.3, 0.6) * pitch, 0.06) * self.fading(self.between(0.09, 0.18))

    def clap(self) -> Tensor:
        """Four bursts of noise and a tail, ``[n, T]``."""
        centre, apart = self.between(900, 1500), self.between(0.008, 0.013)
        bursts = sum((self.fading(0.003, k * apart) for k in range(3)), torch.zeros(()))
        tail = self.fading(self.between(0.03, 0.07), 3 * apart)
        return self.noise(0.7 * centre, 1.4 * centre) * (bursts + tail)

    def between(self, low: float, high: float) -> Tensor:
        """A number for each sound, ``[n, 1]``."""
        return low + (high - low) * torch.rand(self.n, 1, generator=self.rng, dtype=torch.float64)

    def sine(self, pitch: Tensor, above: Tensor, fall: Tensor | float) -> Tensor:
        """A sine of ``pitch + above exp(-t / fall)`` Hz; its phase is the integral of that frequency."""
        return torch.sin(2 * math.pi * (pitch * self.t + above * fall * (1 - torch.exp(-self.t / fall))))

    def fading(self, decay: Tensor | float, start: Tensor | float = 0.0) -> Tensor:
        """``exp(-(t - start) / decay)`` from ``start`` on, and 0 before; in seconds."""
        after = self.t - start
        return torch.exp(-after.clamp(min=0) / decay) * (after >= 0)

    def noise(self, low: Tensor | float, high: Tensor | float | None = None) -> Tensor:
        """White noise of variance 1, from ``low`` to ``high`` Hz (Butterworth slopes of order 4, phase unchanged)."""
        white = torch.randn(self.n, self.samples, generator=self.rng, dtype=torch.float64)
        f = torch.fft.rfftfreq(self.samples, 1 / self.rate, dtype=torch.float64)
        rise = (f / low).square().square()
        gain = rise / (1 + rise.square()).sqrt()
        if high is not None:
            gain = gain / (1 + (f / high).square().square().square()).sqrt()
        return torch.fft.irfft(torch.fft.rfft(white) * gain, self.samples)


def drums(samples: int, rate: int, seed: int = SEED) -> Split:
    """``x[2400, 1, T]`` in float32, in [-1, 1] and on the grid of 16-bit PCM, sorted by ``labels[2400]``."""
    drummer = Drummer(PER_CLASS, samples, rate, torch.Generator().manual_seed(seed))
    voices = (drummer.kick, drummer.snare, drummer.closed_hat, drummer.open_hat, drummer.tom, drummer.clap)
    fade = ((samples - torch.arange(samples)) / (FADE * rate)).clamp(max=1)
    x = torch.empty(len(voices), PER_CLASS, 1, samples)
    for voice, out in zip(voices, x, strict=True):
        sound = voice() * fade
        level = drummer.between(0.5, 0.99) / sound.abs().amax(dim=1, keepdim=True)
        out[:, 0] = (sound * level * GRID).round() / GRID
    return Split(x.flatten(0, 1), torch.arange(len(voices)).repeat_interleave(PER_CLASS))


def spectral_noise(train: Split) -> Callable[[Split, int], Split]:
    """A yardstick: stationary noise that matches only the mean magnitude spectrum of the training sounds.

    A Gaussian fitted to whole sounds would need a covariance as large as the data.
    """

    def make(like: Split, seed: int) -> Split:
        rng = torch.Generator().manual_seed(seed)
        magnitude = torch.fft.rfft(to_signal(train.x).double()).abs().mean(dim=0)
        angle = 2 * math.pi * torch.rand(len(like), *magnitude.shape, generator=rng, dtype=torch.float64)
        noise = torch.fft.irfft(torch.polar(magnitude.expand_as(angle), angle), train.x.shape[-1])
        return Split(noise.clamp(-1, 1).float())

    return make


def parse(argument: str) -> tuple[int, int]:
    """(samples, samples per second) of ``drums:SAMPLES,RATE``.

    The default is 4,096 samples. The default rate is 8 kHz, or 16 kHz for more than 8,192 samples.

    Raises:
        DataError: the argument has another form, or a number is out of range.
    """
    parts = [part.strip() for part in argument.split(",")] if argument else []
    if len(parts) > 2 or not all(part.isdecimal() for part in parts):
        raise DataError(f"'drums:{argument}' is not understood", "write drums:SAMPLES or drums:SAMPLES,RATE")
    samples = int(parts[0]) if parts else SAMPLES
    rate = int(parts[1]) if len(parts) == 2 else LOW_RATE if samples <= SHORT else HIGH_RATE
    if not LEAST <= samples <= MOST:
        raise DataError(f"drums cannot have {samples} samples", f"choose {LEAST} to {MOST}, for example drums:4096")
    if not LOW_RATE <= rate <= 48_000:
        raise DataError(f"drums cannot have {rate} samples a second", "choose a rate from 8000 to 48000")
    return samples, rate


@hookimpl
def ganbench_dataset(argument: str, resolution: int | None) -> Dataset:
    """1,800 sounds to train on and 600 held out, the same number of each class."""
    if resolution is not None:
        raise Unsupported("drums are sounds and have no resolution", "leave it out, and write drums:SAMPLES,RATE")
    samples, rate = parse(argument)
    whole = drums(samples, rate)
    assert whole.labels is not None
    train, test = (whole[index] for index in stratified_split(whole.labels, TEST_SHARE, SEED))
    classes = len(CLASSES)
    return Dataset(
        name="drums",
        spec=DataSpec((1, samples), classes=classes, rate=rate),
        train=train,
        test=test,
        oracle=Oracle(torch.full((classes,), 1 / classes, dtype=torch.float64)),
        yardsticks={"spectral noise": spectral_noise(train)},
        class_names=CLASSES,
    )
