"""The contract of a dataset: its arrays, what is known about their modes, and the batch that an update sees."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ganbench.errors import DataError

if TYPE_CHECKING:
    from ganbench.contracts.loss import Match


@dataclass(frozen=True)
class DataSpec:
    """What one sample looks like.

    ``shape`` without the batch: points ``(F,)``, audio ``(C, T)``, images ``(C, H, W)``, video ``(C, T, H, W)``.
    ``classes`` is the number of labels (0: none). ``bounded``: samples lie in [-1, 1]. ``rate``: samples of audio, or
    frames of video, per second. ``source``: the shape of a translator's input (None: nothing is translated).
    """

    shape: tuple[int, ...]
    classes: int = 0
    bounded: bool = True
    rate: float | None = field(default=None, repr=False)  # fingerprints hold the repr of the three above
    source: tuple[int, ...] | None = field(default=None, repr=False)

    def __str__(self) -> str:
        what = {1: "points", 2: "audio", 3: "images", 4: "video"}.get(len(self.shape), "arrays")
        return f"{what} of shape {'x'.join(map(str, self.shape))}"


@dataclass(frozen=True)
class Split:
    """One part of a dataset: ``x[N, *shape]`` as uint8 (0..255 for [-1, 1]) or float32, ``labels[N]`` as int64 or None.

    ``source[M, *source_shape]`` is the input of a translator (the other domain). It is drawn independently of ``x``,
    unless the two are ``paired``: then M = N, and ``x[i]`` is the correct translation of ``source[i]``.
    """

    x: Tensor
    labels: Tensor | None = None
    source: Tensor | None = None
    paired: bool = False

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, index: Tensor) -> Split:
        source = self.source[index] if self.source is not None and self.paired else self.source
        return Split(self.x[index], None if self.labels is None else self.labels[index], source, self.paired)

    @property
    def arrays(self) -> dict[str, Tensor]:
        """The arrays that are not None, by name."""
        return {name: value for name, value in vars(self).items() if isinstance(value, Tensor)}

    def to(self, device: torch.device | str) -> Split:
        """The same arrays on another device."""
        moved: dict[str, Tensor] = {name: array.to(device) for name, array in self.arrays.items()}
        return replace(self, **moved)  # type: ignore[arg-type]  # arrays where there were arrays


@dataclass(frozen=True)
class Oracle:
    """What is known exactly about the modes of a dataset.

    ``probabilities[K]`` sum to 1. ``assign: x[N, *shape] -> mode[N]`` gives the mode of each sample, or -1 for a
    sample of low quality; if None, the extractor's classifier decides. ``ceiling`` is the share of high-quality
    samples that a perfect sampler reaches.
    """

    probabilities: Tensor
    assign: Callable[[Tensor], Tensor] | None = None
    ceiling: float = 1.0


@dataclass(frozen=True)
class Dataset:
    """Real data: a training split, a held-out split that no model is trained on, and what is known about the modes.

    ``selection`` is the split that looks during training are scored on, if it is neither of the two. ``yardsticks``
    are fakes made without training, besides those that the core knows: name -> ``make(like, seed)``, which returns as
    many samples as ``like`` has reals (for translators with a ``source``), as stored. ``notes`` are sentences on what
    was left out, cut off or converted; each is a warning before training, and stands in records and under tables.
    ``class_names[K]`` are different names of the classes, in the order of their numbers; empty if they have none.
    """

    name: str
    spec: DataSpec
    train: Split
    test: Split
    oracle: Oracle | None = None
    selection: Split | None = None
    yardsticks: Mapping[str, Callable[[Split, int], Split]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    class_names: tuple[str, ...] = ()

    @cached_property
    def fingerprint(self) -> str:
        """sha256 over every array, its shape and type included (16 hex digits)."""
        digest = hashlib.sha256(repr(self.spec).encode())
        if self.spec.rate is not None:
            digest.update(f"rate{float(self.spec.rate)}".encode())
        for split in (self.train, self.test, *([] if self.selection is None else [self.selection])):
            digest.update(b"paired" if split.paired else b"")
            for name, array in split.arrays.items():
                digest.update(f"{name}{tuple(array.shape)}{array.dtype}".encode())
                digest.update(array.contiguous().cpu().numpy().tobytes())
        return digest.hexdigest()[:16]

    def class_called(self, name: str) -> int:
        """The number of the class with this name, or, of data whose classes have no names, with this number.

        Raises:
            DataError: there is none.
        """
        numbered = self.class_names or tuple(map(str, range(self.spec.classes)))
        if name in numbered:
            return numbered.index(name)
        few, more = numbered[:10], len(numbered) - 10
        raise DataError(
            f"'{self.name}' has no class '{name}'",
            f"its classes are {', '.join(few)}{f' and {more} more' if more > 0 else ''}" if few else "it has none",
        )

    def class_title(self, label: int) -> str:
        """A class in messages: ``class 'cat'``, or ``class 3`` if it has no name."""
        return f"class '{self.class_names[label]}'" if self.class_names else f"class {label}"

    def part(self, name: str) -> Split:
        """``"train"``, ``"test"``, ``"selection"`` or ``"all"`` (the first two, training samples first)."""
        if name == "selection" and self.selection is not None:
            return self.selection
        if name != "all":
            return self.train if name == "train" else self.test
        one, other = self.train, self.test
        labels, source = _joined(one.labels, other.labels), other.source
        paired = one.paired and other.paired
        if paired:
            source = _joined(one.source, other.source)
        return Split(torch.cat([one.x, other.x]), labels, source, paired)


def _joined(one: Tensor | None, other: Tensor | None) -> Tensor | None:
    return None if one is None or other is None else torch.cat([one, other])


@dataclass(frozen=True)
class Batch:
    """What one update sees: a batch of data, latents, and the number of the iteration.

    It holds ``real[B, *shape]`` in [-1, 1] (or unbounded points), ``z[B, Z]``, ``labels[B]``, and ``source[B, ...]``
    for translators.

    ``view`` is how the tricks show a match to the loss: with samples augmented, packed or noisy. A term that shows
    samples to D itself, in ``d_extra`` or ``g_extra``, does so through ``batch.view(Match(D, real, fake))``.
    """

    real: Tensor
    z: Tensor
    labels: Tensor | None = None
    source: Tensor | None = None
    step: int = 0
    view: Callable[[Match], Match] = field(default=lambda match: match)


def to_signal(x: Tensor) -> Tensor:
    """uint8 0..255 -> float32 [-1, 1]; floats pass through."""
    return x.float().div_(127.5).sub_(1) if x.dtype == torch.uint8 else x


def quantise(x: Tensor, like: Tensor) -> Tensor:
    """Samples in the storage type of ``like``: [-1, 1] -> round -> uint8, once, or float32 as they are."""
    if like.dtype == torch.uint8 and x.dtype != torch.uint8:
        return ((x.float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
    return x.to(like.dtype)


def stratified_split(labels: Tensor, test_share: float, seed: int) -> tuple[Tensor, Tensor]:
    """Indices (train, test) of a seeded permutation that keeps every class's share; never by file order."""
    rng = torch.Generator().manual_seed(seed)
    train, test = [], []
    for label in labels.unique():
        members = (labels == label).nonzero().flatten()
        members = members[torch.randperm(len(members), generator=rng)]
        cut = round(len(members) * test_share)
        test.append(members[:cut])
        train.append(members[cut:])
    both = torch.cat(train), torch.cat(test)
    return both[0][torch.randperm(len(both[0]), generator=rng)], both[1][torch.randperm(len(both[1]), generator=rng)]
