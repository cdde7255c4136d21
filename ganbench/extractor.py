"""The contract of a feature extractor: the network in whose feature space samples are judged."""

from __future__ import annotations

import hashlib
from typing import NamedTuple

import torch
from torch import Tensor, nn


class Features(NamedTuple):
    """Features of N reals and M fakes: ``real[N, d]``, ``fake[M, d]`` in float64 on the CPU, and, where the extractor
    classifies, ``real_logits``/``fake_logits`` as ``[N, K]``, or ``[N, G, K]`` for G independent groups (one per
    channel of stacked digits)."""

    real: Tensor
    fake: Tensor
    real_logits: Tensor | None = None
    fake_logits: Tensor | None = None


class Extractor(nn.Module):
    """``x[B, *shape]`` (as stored: uint8 0..255, or float32 points) -> (``features[B, d]``, ``logits`` or None).

    Scores compare only under identical weights, so ``name``, ``version`` and the hash of the weights stand in the name
    of every score that used them.

    Attributes:
        name: short name, e.g. ``"digits-cnn"``.
        version: raised when the computation (not only the weights) changes.
        confusion: ``[K, K]`` counts, row = true class, column = assigned class, on images the classifier never saw;
            None where there is no classifier. Mode coverage uses it to discount the classifier's mistakes.
        gate: smallest softmax confidence at which a sample counts as high quality.
    """

    name: str
    version: str
    confusion: Tensor | None = None
    gate: float = 0.0

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
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


@torch.inference_mode()
def extract(extractor: Extractor, x: Tensor, device: torch.device, batch: int = 500) -> tuple[Tensor, Tensor | None]:
    """``(features[N, d] float64, logits or None)`` on the CPU, in batches, every feature checked to be finite."""
    features, logits = [], []
    for part in x.split(batch):
        f, g = extractor(part.to(device))
        features.append(f.cpu().double())
        if g is not None:
            logits.append(g.cpu().double())
    joined = torch.cat(features)
    if not joined.isfinite().all():
        raise ValueError(f"extractor '{extractor.name}' returned features that are not finite")
    return joined, torch.cat(logits) if logits else None
