"""The contract of a feature extractor: the network whose feature space the metrics use."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from random import SystemRandom
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from ganbench.contracts.progress import telling

if TYPE_CHECKING:
    from ganbench.contracts.data import Dataset


class Features(NamedTuple):
    """Features of N reals and M fakes: ``real[N, d]`` and ``fake[M, d]`` in float64 on the CPU.

    If the extractor classifies, ``real_logits`` is ``[N, K]`` and ``fake_logits`` ``[M, K]``, or ``[N, G, K]`` and
    ``[M, G, K]`` for G independent groups (such as the channels of stacked digits). Otherwise, both are None.
    """

    real: Tensor
    fake: Tensor
    real_logits: Tensor | None = None
    fake_logits: Tensor | None = None


class Extractor(nn.Module):
    """Maps ``x[B, *shape]`` in storage format (uint8 0..255 or float32) to ``features[B, d]`` and logits or None.

    Scores are comparable only under identical weights, so the name of every score that used the extractor contains
    ``name`` and a hash of name, version and weights.

    Attributes:
        name: a short name, e.g. ``"digits-cnn"``.
        version: raise it when the computation changes, not only the weights.
        confusion: confusion matrix ``[K, K]`` of counts on held-out images; rows are true classes, columns are
            predicted classes. None if it does not classify. Mode coverage uses it to correct for classifier errors.
        gate: lowest softmax confidence of a high-quality sample.
        sample_rate: audio sample rate that it accepts, in samples per second; data at another rate are refused.
        trained_on: names of the datasets it was made for. Scores on other data come with a warning. Empty for a
            general-purpose extractor, such as Inception.
        class_names: class names in the order of the logits, matched with those of the data; empty if the classes have
            no names.
    """

    name: str
    version: str
    confusion: Tensor | None = None
    gate: float = 0.0
    sample_rate: int | None = None
    trained_on: tuple[str, ...] = ()
    class_names: tuple[str, ...] = ()

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """Map ``x[B, *shape]`` in storage format to ``features[B, d]`` and, if it classifies, logits."""
        raise NotImplementedError

    @property
    def weights_hash(self) -> str:
        """The first 8 hex digits of the sha256 over name, version and every weight (name, shape, dtype, bytes)."""
        digest = hashlib.sha256(f"{self.name}@{self.version}".encode())
        for key, value in sorted(self.state_dict().items()):
            digest.update(f"{key}{tuple(value.shape)}{value.dtype}".encode())
            digest.update(value.detach().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()[:8]

    @property
    def tag(self) -> str:
        """The extractor's part in the name of a score: ``digits-cnn:1a2b3c4d``."""
        return f"{self.name}:{self.weights_hash}"


class TrainedExtractor(Extractor, ABC):
    """An extractor trained on the user's own data and stored in a file: ``own:mine.judge.safetensors``.

    Without a file, its hook builds an untrained extractor, which refuses all samples. ``ganbench new-protocol`` trains
    it and writes the file, which the protocol then names.
    """

    @abstractmethod
    def fit(self, dataset: Dataset) -> None:
        """Learn from the training split only. The same data must give the same weights.

        Raises:
            Unsupported: the extractor is not made for such data.
            DataError: there are too few samples.
        """

    @abstractmethod
    def to_bytes(self) -> bytes:
        """Return the content of the file, from which the hook rebuilds the same extractor without unpickling."""


LONG = 10_000
"""Samples. Extractions of more report their progress."""
BATCH = 500
"""Batch size of extraction. The last bits of features depend on it, so it is the same everywhere."""


@torch.inference_mode()
def stream(
    extractor: Extractor, x: Tensor, device: torch.device, batch: int = BATCH
) -> Iterator[tuple[Tensor, Tensor | None]]:
    """Yield ``features[B, d]`` in float64 and logits or None, on the CPU, batch by batch, so that memory can be freed.

    Raises:
        ValueError: a feature is not finite.
    """
    # the small extractors of the tables need only a few seconds for 10,000 samples
    with telling(f"{extractor.name} looks at {len(x):,} samples", len(x)) if len(x) > LONG else nullcontext() as tick:
        for part in x.split(batch):
            features, logits = extractor(part.to(device))
            features = features.cpu().double()
            if not features.isfinite().all():
                raise ValueError(f"extractor '{extractor.name}' returned features that are not finite")
            yield features, None if logits is None else logits.cpu().double()
            if tick is not None:
                tick(len(part))


LOOKED_AT = 8
"""Number of samples to recompute features for, in about a thousandth of the time that all samples took."""
CLOSE = 1e-4
"""Tolerance for features, relative to the largest, because their last bits depend on the batch size."""


def is_of(
    extractor: Extractor, x: Tensor, device: torch.device, features: Tensor | None, logits: Tensor | None
) -> bool:
    """Check on a few samples whether features and logits from a file belong to ``x``.

    Each call draws the samples anew and unpredictably, without using any seeded random stream.
    """
    rows = SystemRandom().sample(range(len(x)), min(LOOKED_AT, len(x)))
    given = (features, logits)
    if not rows or any(one is not None and len(one) != len(x) for one in given):
        return False
    fresh = next(stream(extractor, x[rows], device))
    for new, old in zip(fresh, given, strict=True):
        if new is None or old is None:
            if new is not old:
                return False
        elif new.shape[1:] != old.shape[1:] or not bool((old[rows] - new).abs().max() <= CLOSE * new.abs().max()):
            return False
    return True


Stream = Callable[[Extractor, Tensor, torch.device], Iterator[tuple[Tensor, Tensor | None]]]
_streamed_by: ContextVar[Stream | None] = ContextVar("streamed_by", default=None)


@contextmanager
def streamed_by(how: Stream) -> Iterator[None]:
    """Let ``how`` replace ``stream`` in ``extract``, for instance by several processes.

    It must yield the same batches of ``BATCH`` samples, bit by bit.
    """
    token = _streamed_by.set(how)
    try:
        yield
    finally:
        _streamed_by.reset(token)


Room = Callable[[tuple[int, ...]], Tensor]
"""Returns an array of float64 of a shape, to fill."""


def _in_memory(shape: tuple[int, ...]) -> Tensor:
    return torch.empty(shape, dtype=torch.float64)


@torch.inference_mode()
def extract(
    extractor: Extractor, x: Tensor, device: torch.device, batch: int = BATCH, room: Room = _in_memory
) -> tuple[Tensor, Tensor | None]:
    """Return ``features[N, d]`` in float64 and logits or None, on the CPU.

    Batches are written into one array each, which ``room`` provides.

    Raises:
        ValueError: a feature is not finite.
    """
    features: Tensor | None = None
    logits: Tensor | None = None
    how = _streamed_by.get() if batch == BATCH else None
    for i, (f, g) in enumerate(how(extractor, x, device) if how else stream(extractor, x, device, batch)):
        if features is None:
            features = room((len(x), *f.shape[1:]))
            logits = None if g is None else room((len(x), *g.shape[1:]))
        here = slice(i * batch, i * batch + len(f))
        features[here] = f
        if logits is not None and g is not None:
            logits[here] = g
    assert features is not None  # split() returns at least one part, even if empty
    return features, logits
