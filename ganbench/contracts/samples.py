"""Samples that somebody hands in to be judged, as a reader found them."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Samples:
    """Samples from a file, a folder or a program, before they are fitted to a protocol.

    Args:
        x: ``[N, *shape]``, of any numeric type.
        read: what was read: ``"10,000 images in 'samples'"``.
        labels: ``[N]``, the classes that they were made for; None if unknown.
        class_names: the names of these classes in the order of ``labels``; empty if ``labels`` are those of the data.
        assumed: sentences on how they were understood.
        found: sentences on what may be wrong with them.
    """

    x: Tensor
    read: str
    labels: Tensor | None = None
    class_names: tuple[str, ...] = ()
    assumed: tuple[str, ...] = ()
    found: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.x)

    @property
    def format(self) -> str:
        """The shape of a sample, the type of its numbers, and their range: ``3x32x32, uint8 from 0 to 255``."""
        kind = str(self.x.dtype).removeprefix("torch.")
        if self.x.is_complex() or not self.x.numel():
            return f"{'x'.join(map(str, self.x.shape[1:]))}, {kind}"
        low, high = self.x.min().item(), self.x.max().item()
        span = f"{low:.3g} to {high:.3g}" if self.x.is_floating_point() else f"{int(low)} to {int(high)}"
        return f"{'x'.join(map(str, self.x.shape[1:]))}, {kind} from {span}"
