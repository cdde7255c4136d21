"""The contract of a feature extractor: the network in whose feature space samples are judged."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from random import SystemRandom
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from ganbench.contracts.data import Dataset


class Features(NamedTuple):
    """Features of N reals and M fakes: ``real[N, d]``, ``fake[M, d]`` in float64 on the CPU.

    Where the extractor classifies, also ``real_logits``/``fake_logits`` as ``[N, K]``, or ``[N, G, K]`` for G
    independent groups (one per channel of stacked digits).
    """

    real: Tensor
    fake: Tensor
    real_logits: Tensor | None = None
    fake_logits: Tensor | None = None


class Extractor(nn.Module):
    """``x[B, *shape]`` (as stored: uint8 0..255, or float32 points) -> (``features[B, d]``, ``logits`` or None).

    Scores compare only under identical weights, so the name of every score that used them contains ``name`` and a hash
    of name, version and weights.

    Attributes:
        name: short name, e.g. ``"digits-cnn"``.
        version: raised when the computation (not only the weights) changes.
        confusion: ``[K, K]`` counts, row = true class, column = assigned class, on images the classifier never saw;
            None where there is no classifier. Mode coverage uses it to discount the classifier's mistakes.
        gate: smallest softmax confidence at which a sample counts as high quality.
        sample_rate: of the sounds it accepts, in samples per second; data with another rate are refused.
        trained_on: names of the datasets it was made for; scores on others come with a doubt. Empty for a general
            extractor, such as Inception.
        class_names: names of the classes it tells apart, in the order of its logits, by which they are matched with
            the data's; empty if they have none.
    """

    name: str
    version: str
    confusion: Tensor | None = None
    gate: float = 0.0
    sample_rate: int | None = None
    trained_on: tuple[str, ...] = ()
    class_names: tuple[str, ...] = ()

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """``x[B, *shape]``, as stored, -> ``features[B, d]``, and logits where it classifies."""
        raise NotImplementedError

    @property
    def weights_hash(self) -> str:
        """First 8 hex digits of sha256 over name, version and every weight (names, shapes and bytes)."""
        digest = hashlib.sha256(f"{self.name}@{self.version}".encode())
        for key, value in sorted(self.state_dict().items()):
            digest.update(f"{key}{tuple(value.shape)}{value.dtype}".encode())
            digest.update(value.detach().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()[:8]

    @property
    def tag(self) -> str:
        """What a score is named after: ``digits-cnn:1a2b3c4d``."""
        return f"{self.name}:{self.weights_hash}"


class TrainedExtractor(Extractor, ABC):
    """An extractor that is trained on the data that it will judge, and kept in a file: ``own:mine.judge.safetensors``.

    Named without a file, its hook builds an untrained one, which declines all samples. ``ganbench new-protocol`` trains
    that one and writes the file, and the protocol names it.
    """

    @abstractmethod
    def fit(self, dataset: Dataset) -> None:
        """Learn from the training split alone. The same data give the same weights.

        Raises:
            Unsupported: it is not made for such data.
            DataError: they are too few.
        """

    @abstractmethod
    def to_bytes(self) -> bytes:
        """The content of the file, from which the hook builds the same extractor without unpickling anything."""


BATCH = 500
"""Samples at a time. The last bits of features depend on it, so it is the same for all."""


@torch.inference_mode()
def stream(
    extractor: Extractor, x: Tensor, device: torch.device, batch: int = BATCH
) -> Iterator[tuple[Tensor, Tensor | None]]:
    """``(features[B, d] float64, logits or None)`` on the CPU, batch by batch, so that used ones can be freed.

    Raises:
        ValueError: a feature is not finite.
    """
    for part in x.split(batch):
        features, logits = extractor(part.to(device))
        features = features.cpu().double()
        if not features.isfinite().all():
            raise ValueError(f"extractor '{extractor.name}' returned features that are not finite")
        yield features, None if logits is None else logits.cpu().double()


LOOKED_AT = 8
"""Samples whose features are computed once more: a thousandth of the time that all of them took."""
CLOSE = 1e-4
"""How far features may be off, as a share of the largest: their last bits depend on the size of the batch."""


def is_of(
    extractor: Extractor, x: Tensor, device: torch.device, features: Tensor | None, logits: Tensor | None
) -> bool:
    """Whether features and logits, from a file, are those of ``x``, as far as a few of them tell.

    The few are others at each use, which nobody can foresee, and drawn without any stream of random numbers.
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


@torch.inference_mode()
def extract(extractor: Extractor, x: Tensor, device: torch.device, batch: int = BATCH) -> tuple[Tensor, Tensor | None]:
    """``(features[N, d] float64, logits or None)`` on the CPU, each written into one array as batches come in.

    Raises:
        ValueError: a feature is not finite.
    """
    features: Tensor | None = None
    logits: Tensor | None = None
    for i, (f, g) in enumerate(stream(extractor, x, device, batch)):
        if features is None:
            features = f.new_empty(len(x), *f.shape[1:])
            logits = None if g is None else g.new_empty(len(x), *g.shape[1:])
        here = slice(i * batch, i * batch + len(f))
        features[here] = f
        if logits is not None and g is not None:
            logits[here] = g
    assert features is not None  # splitting gives at least one part, if only an empty one
    return features, logits
