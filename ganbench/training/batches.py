"""Training batches: drawn in an order that no device changes, from memory or, if the data are larger, from disk."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import torch
from torch import Tensor

from ganbench.contracts.arrays import file_behind, will_need
from ganbench.contracts.data import Split, to_signal
from ganbench.training.augment import Augmentation, applied

NEAR, AHEAD = 4, 32
"""Streamed batches that are read ahead of their use, and that the system is asked to fetch from disk."""
SHARE = 0.4
"""The share of a GPU's free memory up to which the data are kept there."""


class Chosen(NamedTuple):
    """The rows of a batch, ``[B]`` each, and the dice of augmentations, ``[U, B]`` in [0, 1), if there are any.

    Without rows of their own, sources are those of the samples, with the same dice.
    """

    rows: Tensor
    source: Tensor | None
    dice: Tensor | None
    source_dice: Tensor | None


class Stream:
    """Training batches, drawn with replacement by their own RNG, so that other draws do not change the data order.

    The RNG is one of the CPU, so the order is the same on every device. Data that fit stay on the device. Others are
    read a few batches ahead, in a thread, and copied there. Both give the same bits.

    ``fill`` prepares batches in fixed memory, and ``draw`` returns them one after another. So an iteration that is
    recorded, which may not wait for the host, can be replayed on new data. Images come in ``memory_format``, torch's
    term for the order of their axes in memory, and are changed by the augmentations that the protocol names.
    """

    def __init__(
        self,
        split: Split,
        batch: int,
        seed: int,
        device: torch.device,
        memory_format: torch.memory_format = torch.contiguous_format,
        augmentations: Sequence[Augmentation] = (),
    ) -> None:
        self.batch, self.device, self.augmentations = batch, device, augmentations
        self.memory_format = memory_format if split.x.ndim == 4 else torch.contiguous_format
        self.rng = torch.Generator().manual_seed(seed)
        self.streamed = not fits(split, device)
        self.split = split if self.streamed else split.to(device)
        self._supply: _Resident | _Streamed = _Streamed(self) if self.streamed else _Resident(self)
        self._next = 0

    def fill(self, batches: int) -> None:
        """Prepare the next few batches. Must not be part of what is recorded."""
        self._supply.fill(batches)
        self._next = 0

    def rewind(self) -> None:
        """Let ``draw`` return the prepared batches from the first again."""
        self._next = 0

    def draw(self) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Return the next batch: ``real[B, *shape]`` in model range, and ``labels[B]`` and ``source[B, ...]`` or None.

        If none is left of those prepared, prepares one.
        """
        if self._next >= self._supply.ready:
            self.fill(1)
        x, labels, source, dice, source_dice = self._supply.get(self._next)
        self._next += 1
        if dice is not None:
            x = applied(self.augmentations, x, dice)
        if dice is not None and source is not None:
            source = applied(self.augmentations, source, dice if source_dice is None else source_dice)
        real = to_signal(x).contiguous(memory_format=self.memory_format)
        return real, labels, None if source is None else to_signal(source)

    def choose(self) -> Chosen:
        """Draw the rows of a batch, and the dice of its augmentations."""
        source, rows = self.split.source, self._index(len(self.split))
        if source is None or self.split.paired:
            return Chosen(rows, None, self._dice(), None)
        return Chosen(rows, self._index(len(source)), self._dice(), self._dice())

    def _index(self, n: int) -> Tensor:
        return torch.randint(n, (self.batch,), generator=self.rng)

    def _dice(self) -> Tensor | None:
        uniforms = sum(one.uniforms for one in self.augmentations)
        return torch.rand(uniforms, self.batch, generator=self.rng) if uniforms else None

    def state(self) -> Tensor:
        """Return the position in the order: the state of the RNG before the first batch that has not been prepared."""
        return self._supply.state()

    def restore(self, state: Tensor) -> None:
        """Continue from ``state()``."""
        self._supply.forget()
        self.rng.set_state(state)


def fits(split: Split, device: torch.device) -> bool:
    """Whether the data stay on the device. On a CPU, they do so unless they are mapped from a file."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return sum(array.nbytes for array in split.arrays.values()) <= SHARE * free
    return all(file_behind(array) is None for array in split.arrays.values())


class _Rows(NamedTuple):
    """A batch as stored: samples, labels and sources, and the dice of augmentations."""

    x: Tensor
    labels: Tensor | None
    source: Tensor | None
    dice: Tensor | None
    source_dice: Tensor | None


def _at(split: Split, chosen: Chosen) -> _Rows:
    labels = None if split.labels is None else split.labels[chosen.rows]
    source_rows = chosen.rows if chosen.source is None else chosen.source
    source = None if split.source is None else split.source[source_rows]
    return _Rows(split.x[chosen.rows], labels, source, chosen.dice, chosen.source_dice)


class _Fixed:
    """A few batches in memory of the device that stays where it is, because recordings refer to it."""

    def __init__(self, device: torch.device) -> None:
        self._device, self._arrays = device, dict[int, Tensor]()

    def put(self, batches: Sequence[Sequence[Tensor | None]]) -> None:
        """Copy batches of arrays there, without waiting for the device."""
        for number, arrays in enumerate(zip(*batches, strict=True)):
            if arrays[0] is None:
                continue
            stacked = torch.stack(arrays) if len(arrays) > 1 else arrays[0].unsqueeze(0)
            if number not in self._arrays or len(self._arrays[number]) < len(stacked):
                self._arrays[number] = torch.empty_like(stacked, device=self._device)
            pinned = stacked.pin_memory() if self._device.type == "cuda" else stacked
            self._arrays[number][: len(stacked)].copy_(pinned, non_blocking=True)

    def get(self, batch: int, number: int) -> Tensor | None:
        """One of the arrays of a batch."""
        array = self._arrays.get(number)
        return None if array is None else array[batch]


class _Resident:
    """Takes batches from arrays on the device; only the numbers of their rows, and the dice, are copied there."""

    def __init__(self, stream: Stream) -> None:
        self._stream, self.ready = stream, 0
        self._fixed = _Fixed(stream.device)

    def fill(self, batches: int) -> None:
        self._fixed.put([self._stream.choose() for _ in range(batches)])
        self.ready = batches

    def get(self, batch: int) -> _Rows:
        arrays = [self._fixed.get(batch, number) for number in range(len(Chosen._fields))]
        return _at(self._stream.split, Chosen(*arrays))  # type: ignore[arg-type]  # None only where they were None

    def state(self) -> Tensor:
        return self._stream.rng.get_state()

    def forget(self) -> None:
        self.ready = 0


class _Coming(NamedTuple):
    """A batch to come: the RNG's state before its rows were drawn, the rows, and the reading."""

    before: Tensor
    chosen: Chosen
    reading: Future[_Rows] | None


class _Streamed:
    """Reads batches in a thread, a few ahead of their use, and copies them to the device."""

    def __init__(self, stream: Stream) -> None:
        self._stream, self.ready = stream, 0
        self._thread = ThreadPoolExecutor(1, "batches")
        self._coming = deque[_Coming]()
        self._fixed = _Fixed(stream.device)

    def fill(self, batches: int) -> None:
        self._fixed.put([self._take() for _ in range(batches)])
        self.ready = batches

    def _take(self) -> _Rows:
        """The next batch; meanwhile, those after it are fetched and read."""
        while len(self._coming) <= AHEAD:
            before, chosen = self._stream.rng.get_state(), self._stream.choose()
            self._thread.submit(self._fetch, chosen)
            self._coming.append(_Coming(before, chosen, None))
        for number, coming in enumerate(self._coming):
            if number <= NEAR and coming.reading is None:
                reading = self._thread.submit(_at, self._stream.split, coming.chosen)
                self._coming[number] = coming._replace(reading=reading)
        taken = self._coming.popleft().reading
        assert taken is not None
        return taken.result()

    def _fetch(self, chosen: Chosen) -> None:
        will_need(self._stream.split.x, chosen.rows.tolist())
        if self._stream.split.source is not None:
            will_need(self._stream.split.source, (chosen.rows if chosen.source is None else chosen.source).tolist())

    def get(self, batch: int) -> _Rows:
        arrays = [self._fixed.get(batch, number) for number in range(len(_Rows._fields))]
        return _Rows(*arrays)  # type: ignore[arg-type]  # None only where the data have no such array

    def state(self) -> Tensor:
        return self._coming[0].before if self._coming else self._stream.rng.get_state()

    def forget(self) -> None:
        self._coming.clear()
        self.ready = 0
