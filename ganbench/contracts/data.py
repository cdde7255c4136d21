"""The contract of a dataset: its arrays, exact knowledge of their modes, and the batch that an update sees."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ganbench.contracts.arrays import LARGE, joined, sha256_of, update
from ganbench.contracts.origin import Origin
from ganbench.errors import DataError

if TYPE_CHECKING:
    from ganbench.contracts.loss import Match


@dataclass(frozen=True)
class DataSpec:
    """The format of one sample.

    Args:
        shape: without the batch axis: points ``(F,)``, audio ``(C, T)``, images ``(C, H, W)``, video ``(C, T, H, W)``.
        classes: the number of classes; 0 if there are no labels.
        bounded: whether samples lie in [-1, 1].
        rate: audio samples or video frames per second, if known.
        source: the shape of a translator's input; None if the data are not for translation.
    """

    shape: tuple[int, ...]
    classes: int = 0
    bounded: bool = True
    rate: float | None = field(default=None, repr=False)  # not in the repr, which fingerprints include
    source: tuple[int, ...] | None = field(default=None, repr=False)

    def __str__(self) -> str:
        what = {1: "points", 2: "audio", 3: "images", 4: "video"}.get(len(self.shape), "arrays")
        return f"{what} of shape {'x'.join(map(str, self.shape))}"


@dataclass(frozen=True)
class Split:
    """One part of a dataset.

    Args:
        x: ``[N, *shape]`` as uint8 (0..255 maps to [-1, 1]) or float32.
        labels: ``[N]`` as int64, or None.
        source: ``[M, *source_shape]``, the input of a translator (the other domain), drawn independently of ``x``
            unless ``paired``.
        paired: whether M = N and ``x[i]`` is the correct translation of ``source[i]``.
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
        """Copy the arrays to another device."""
        moved: dict[str, Tensor] = {name: array.to(device) for name, array in self.arrays.items()}
        return replace(self, **moved)  # type: ignore[arg-type]  # every value is an array


@dataclass(frozen=True)
class Oracle:
    """Exact knowledge of the modes of a dataset.

    Args:
        probabilities: ``[K]``, summing to 1.
        assign: ``x[N, *shape] -> mode[N]``, with -1 for a low-quality sample. If None, the extractor's classifier
            assigns the modes.
        ceiling: the share of high-quality samples that a perfect sampler reaches.
    """

    probabilities: Tensor
    assign: Callable[[Tensor], Tensor] | None = None
    ceiling: float = 1.0


@dataclass(frozen=True)
class Dataset:
    """Real data: a training split, a held-out split, and what is known about the modes.

    Args:
        name: the dataset's name in messages and records.
        spec: the format of a sample.
        train: the training split.
        test: the held-out split, on which no model is trained.
        oracle: exact knowledge of the modes, or None.
        selection: the split for evaluations during training, if it is neither ``train`` nor ``test``.
        yardsticks: fakes made without training, in addition to the core's: name -> ``make(like, seed)``, which returns
            as many samples as ``like`` has reals, in storage format (with a ``source`` for translators).
        notes: sentences about what was skipped, cropped or converted. GANBench shows each as a warning before training,
            in records and below tables.
        class_names: ``[K]`` distinct class names in label order; empty if the classes have no names.
        origin: who made the data, under which terms, and how samples were made from their files.
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
    origin: Origin = field(default_factory=Origin)

    @cached_property
    def fingerprint(self) -> str:
        """The first 16 hexadecimal digits of the sha256 over every array with its shape and dtype.

        A large array counts by its own sha256, which is kept where the array was prepared on disk.
        """
        digest = hashlib.sha256(repr(self.spec).encode())
        if self.spec.rate is not None:
            digest.update(f"rate{float(self.spec.rate)}".encode())
        for split in (self.train, self.test, *([] if self.selection is None else [self.selection])):
            digest.update(b"paired" if split.paired else b"")
            for name, array in split.arrays.items():
                digest.update(f"{name}{tuple(array.shape)}{array.dtype}".encode())
                if array.nbytes < LARGE:
                    update(digest, array)
                else:
                    digest.update(sha256_of(array).encode())
        return digest.hexdigest()[:16]

    def class_called(self, name: str) -> int:
        """Return the label of the class with this name, or with this number if the classes have no names.

        Raises:
            DataError: there is no such class.
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
        """Name a class for messages: ``class 'cat'``, or ``class 3`` if it has no name."""
        return f"class '{self.class_names[label]}'" if self.class_names else f"class {label}"

    def part(self, name: str) -> Split:
        """Return the split ``"train"``, ``"test"``, ``"selection"`` or ``"all"`` (``train`` followed by ``test``)."""
        if name == "selection" and self.selection is not None:
            return self.selection
        if name != "all":
            return self.train if name == "train" else self.test
        one, other = self.train, self.test
        labels, source = _joined(one.labels, other.labels), other.source
        paired = one.paired and other.paired
        if paired:
            source = _joined(one.source, other.source)
        return Split(joined(one.x, other.x), labels, source, paired)


def _joined(one: Tensor | None, other: Tensor | None) -> Tensor | None:
    return None if one is None or other is None else joined(one, other)


@dataclass(frozen=True)
class Batch:
    """What one update sees.

    Args:
        real: ``[B, *shape]`` in [-1, 1], or unbounded if the data are.
        z: latents ``[B, Z]``.
        labels: ``[B]``, or None.
        source: ``[B, ...]``, a translator's input, or None.
        step: the number of the iteration.
        view: applies the tricks to a match, which may augment samples, pack them or add noise. A term in ``d_extra`` or
            ``g_extra`` that passes samples to D must use ``batch.view(Match(D, real, fake))``.
    """

    real: Tensor
    z: Tensor
    labels: Tensor | None = None
    source: Tensor | None = None
    step: int = 0
    view: Callable[[Match], Match] = field(default=lambda match: match)


def to_signal(x: Tensor) -> Tensor:
    """Convert uint8 0..255 to float32 in [-1, 1]. Floats pass through unchanged."""
    return x.float().div_(127.5).sub_(1) if x.dtype == torch.uint8 else x


def quantise(x: Tensor, like: Tensor) -> Tensor:
    """Convert samples to the dtype of ``like``: from [-1, 1] to rounded uint8, or to float32 unchanged."""
    if like.dtype == torch.uint8 and x.dtype != torch.uint8:
        return ((x.float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
    return x.to(like.dtype)


def stratified_split(labels: Tensor, test_share: float, seed: int) -> tuple[Tensor, Tensor]:
    """Split indices into (train, test) by a seeded permutation that keeps the share of every class in both."""
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
