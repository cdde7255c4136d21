"""Draws the real samples of an evaluation, and generates the fakes."""

from __future__ import annotations

import torch
from torch import Tensor

from ganbench.contracts.arch import GAN
from ganbench.contracts.data import Batch, Dataset, Split, quantise, to_signal
from ganbench.device.untouched import in_eval_mode
from ganbench.errors import DataError, Diverged

BATCH = 500
"""Samples generated at a time."""


def draw_reference(dataset: Dataset, part: str, samples: int, seed: int) -> Split:
    """``samples`` real samples of one part, without repetition, chosen by a seeded permutation.

    Raises:
        DataError: the part has too few.
    """
    split = dataset.part(part)
    pairs = dataset.spec.source is not None  # only one part has pairs
    if len(split) < samples:
        raise DataError(
            f"the protocol evaluates {samples} samples, but '{dataset.name}' has {len(split)}"
            + (f" in its {part} part" if part != "all" else ""),
            "lower `samples` in the protocol" + (', or use reference = "all"' if part != "all" and not pairs else ""),
        )
    if len(split) == samples:
        return split
    order = torch.randperm(len(split), generator=torch.Generator().manual_seed(seed))
    return split[order[:samples].sort().values]


def sample(gan: GAN, like: Split, seed: int, device: torch.device, batch: int = BATCH) -> Split:
    """As many fakes as ``like`` has samples, in its storage type, from the averaged generator in eval mode.

    Latents come from their own random generator. Conditional models get the labels of the real samples, and translators
    get their sources. Back-translations of the real samples become the ``source`` of the fakes.

    Raises:
        Diverged: a sample is not finite.
    """
    rng = torch.Generator(device).manual_seed(seed)
    parts: list[Tensor] = []
    backs: list[Tensor] = []
    with torch.inference_mode(), in_eval_mode(*gan.generators()):
        for start in range(0, len(like), batch):
            chunk = slice(start, min(start + batch, len(like)))
            real = to_signal(like.x[chunk].to(device))
            labels = None if like.labels is None else like.labels[chunk].to(device)
            source = None if like.source is None else to_signal(_cycle(like.source, chunk).to(device))
            given = Batch(real, gan.sample_latent(len(real), rng), labels, source)
            parts.append(_finite(gan.sample(given), like.x))
            if like.source is not None and (back := gan.sample_back(given)) is not None:
                backs.append(_finite(back, like.source))
    known = like.source is None or like.paired  # the labels of other sources are unknown
    labels = like.labels if gan.conditional and known else None
    return Split(torch.cat(parts), labels, torch.cat(backs) if backs else None, like.paired)


def _finite(made: Tensor, like: Tensor) -> Tensor:
    """The samples as stored, on the CPU, if they are finite."""
    if not made.isfinite().all():
        raise Diverged("a generated sample")
    return quantise(made, like).cpu()


def _cycle(array: Tensor, chunk: slice) -> Tensor:
    return array[torch.arange(chunk.start, chunk.stop) % len(array)]
