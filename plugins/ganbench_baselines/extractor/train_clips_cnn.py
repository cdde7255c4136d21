"""Trains the weights of `clips-cnn`: ``python -m ganbench_baselines.extractor.train_clips_cnn``.

It writes ``clips_cnn.safetensors`` and ``clips_cnn.json`` (the measurements) into the working directory, in about five
minutes on one core. Training uses only clips of training digits; the confusion matrix and the gate are measured on
held-out digits, each in one clip.

The network learns both digit and motion, from ordered, shuffled and still clips, so its features have to encode both.
As for digits-cnn, there are also blends of two digits, whose target is divided between both classes, and clips of no
digit or of several, whose target is spread over all classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import interpolate, one_hot, smooth_l1_loss

from ganbench import Dataset, Split, extract, quantise, to_signal
from ganbench_baselines.dataset import digits, moving_digits
from ganbench_baselines.extractor.clips_cnn import CLASSES, SIDE, ClipsCNN, Network
from ganbench_baselines.extractor.train_cnn import (
    CPU,
    Optimisation,
    answers,
    choose_gate,
    measured,
    share,
    standardised,
    trained,
    write,
)
from ganbench_baselines.extractor.train_digits_cnn import Recipe as OneDigit
from ganbench_baselines.extractor.train_digits_cnn import augment, outliers
from ganbench_baselines.metric.frechet import distance, moments

COMPARED = 2000
"""Clips in each Fréchet distance."""


@dataclass(frozen=True)
class Recipe(Optimisation):
    """Settings of the training."""

    steps: int = 3000
    plain: int = 48  # clips per batch: one digit, in order
    broken: int = 16  # one digit, half of them shuffled, half of them still
    odd: int = 32  # half blends of two digits, a quarter without a digit, a quarter with a different one in each frame
    odd_weight: float = 0.5
    motion_weight: float = 1.5

    @property
    def clips(self) -> int:
        """The size of a batch."""
        return self.plain + self.broken + self.odd


class Lesson(NamedTuple):
    """``x[B, 1, T, 16, 16]`` in [-1, 1], ``classes[B, 10]`` as shares, ``motion[B, 7]``."""

    x: Tensor
    classes: Tensor
    motion: Tensor


def motion_of(place: Tensor) -> Tensor:
    """``place[N, T, 2]`` -> ``[N, 7]`` in pixels, averaged over time.

    These are the position, the steps down, right, up and left per frame, and the change of velocity.
    """
    step = place.diff(dim=1)
    turn = step.diff(dim=1).norm(dim=2, keepdim=True)
    return torch.cat([of.mean(dim=1) for of in (place, step.clamp(min=0), (-step).clamp(min=0), turn)], dim=1)


def lesson(shown: Split, recipe: Recipe, rng: torch.Generator) -> Lesson:
    """One batch, composed as in :class:`Recipe`."""
    n, frames, half = recipe.clips, moving_digits.FRAMES, recipe.odd // 2
    place, _ = moving_digits.paths(n, frames, SIDE, rng)
    order = torch.arange(frames).repeat(n, 1)
    shuffled = slice(recipe.plain, recipe.plain + recipe.broken // 2)
    order[shuffled] = torch.rand(recipe.broken // 2, frames, generator=rng).argsort(dim=1)
    order[shuffled.stop : recipe.plain + recipe.broken] = 0
    place = place.gather(1, order[..., None].expand_as(place))
    ink, classes = drawn(shown, n, frames, recipe, rng)
    ink[-half:], classes[-half:] = odd(shown, half, frames, rng)
    x = moving_digits.filmed(ink, place, moving_digits.backgrounds(n, SIDE, rng))
    return Lesson(to_signal(x), classes, motion_of(place))


def drawn(shown: Split, n: int, frames: int, recipe: Recipe, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """(``ink[n, T, d, d]``, ``classes[n, 10]``) of slightly turned, scaled and noisy digits.

    The last ``recipe.odd`` of them are blends of two digits.
    """
    assert shown.labels is not None
    index = torch.randint(len(shown), (n,), generator=rng)
    x = augment(to_signal(shown.x[index]), OneDigit(), rng)
    classes = one_hot(shown.labels[index], CLASSES).float()
    lam = torch.ones(n)
    lam[-recipe.odd :] = 0.3 + 0.4 * torch.rand(recipe.odd, generator=rng)
    x = torch.lerp(x.roll(recipe.odd, 0), x, lam.view(-1, 1, 1, 1))
    classes = torch.lerp(classes.roll(recipe.odd, 0), classes, lam.view(-1, 1))
    return (x + 1).mul(127.5).repeat(1, frames, 1, 1), classes


def odd(shown: Split, n: int, frames: int, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """(``ink[n, T, d, d]``, ``classes[n, 10]``, all equal): half no digit, half a different one in each frame."""
    side, half = shown.x.shape[-1], n // 2
    large = interpolate(shown.x.float(), size=(SIDE, SIDE), mode="bilinear").to(torch.uint8)
    none = interpolate(outliers(large, half, rng), size=(side, side), mode="bilinear", antialias=True)
    index = torch.randint(len(shown), (n - half, frames), generator=rng)
    ink = torch.cat([(none + 1).mul(127.5).repeat(1, frames, 1, 1), shown.x[index, 0].float()])
    return ink, torch.full((n, CLASSES), 1 / CLASSES)


def loss(network: Network, batch: Lesson, recipe: Recipe) -> Tensor:
    """Cross-entropy on the digits, plus the smooth L1 distance of the motion, in units of half a pixel."""
    _, logits, motion = network(batch.x)
    surprise = -(batch.classes * logits.log_softmax(dim=1)).sum(dim=1)
    weight = torch.ones(len(surprise))
    weight[-recipe.odd :] = recipe.odd_weight
    return (weight * surprise).mean() + recipe.motion_weight * smooth_l1_loss(motion, 2 * batch.motion)


def train(shown: Split, recipe: Recipe, seed: int) -> Network:
    """Train a network, and return its averaged weights in eval mode."""
    return trained(
        Network, lambda network, rng: loss(network, lesson(shown, recipe, rng), recipe), recipe.steps, recipe, seed
    )


def once(held_out: Split, seed: int = 0) -> tuple[Split, Tensor, Tensor]:
    """(one clip of each digit, its ``place[N, T, 2]``, its ``velocity[N, 2]`` at the start)."""
    rng = torch.Generator().manual_seed(seed)
    place, velocity = moving_digits.paths(len(held_out), moving_digits.FRAMES, SIDE, rng)
    x = moving_digits.filmed(held_out.x, place, moving_digits.backgrounds(len(held_out), SIDE, rng))
    return Split(x, held_out.labels), place, velocity


@torch.inference_mode()
def told_directions(extractor: ClipsCNN, clips: Split, place: Tensor, velocity: Tensor) -> Tensor:
    """For each clip without a bounce, whether the direction is recovered to within 22.5 degrees."""
    straight = (place[:, -1] - place[:, 0] - (place.shape[1] - 1) * velocity).abs().amax(dim=1) < 1e-3
    _, _, motion = extractor.network(to_signal(clips.x[straight]))
    found, true = motion[:, 2:4] - motion[:, 4:6], velocity[straight]
    return torch.cosine_similarity(found, true) > torch.cos(torch.tensor(torch.pi / 8))


def strangers(data: Dataset, n: int) -> dict[str, Tensor]:
    """Clips that are not real, ``x[n, 1, T, 16, 16]``: the dataset's yardsticks, and others."""
    rng = torch.Generator().manual_seed(0)
    like, x = data.test[torch.arange(n)], to_signal(data.train.x[:n])
    other = torch.randperm(n, generator=rng)
    assert data.train.labels is not None
    blends = torch.maximum(x, x[other])[data.train.labels[:n] != data.train.labels[:n][other]]
    kinds = {
        "two digits at once": blends,
        "uniform noise": torch.rand(x.shape, generator=rng) * 2 - 1,
        "backgrounds": x.amin(dim=2, keepdim=True).clamp(max=-0.5).expand_as(x),
        "blurred": interpolate(interpolate(x[:, 0], scale_factor=0.25, mode="area"), scale_factor=4.0)[:, None],
    }
    made = {name: make(like, 0).x for name, make in data.yardsticks.items()}
    return {**made, **{name: quantise(kind, like.x) for name, kind in kinds.items()}}


def published(extractor: ClipsCNN, held_out: Split) -> dict[str, Any]:
    """The measurements published with the weights; also sets the extractor's confusion counts."""
    data = moving_digits.ganbench_dataset(argument="", resolution=SIDE)
    clips, place, velocity = once(held_out)
    told, odd_ones = answers(extractor, clips), strangers(data, COMPARED)
    reference = moments([extract(extractor, data.test.x[:COMPARED], CPU)[0]])
    compared = {"real": data.train.x[:COMPARED], **odd_ones}
    return {
        **measured(extractor, choose_gate(told.confidence), odd_ones, held_out=told),
        "held_out_directions": share(told_directions(extractor, clips, place, velocity)),
        "frechet_distance_n": COMPARED,
        "frechet_distance": {
            name: round(distance(reference, moments([extract(extractor, x, CPU)[0]])), 3)
            for name, x in compared.items()
        },
    }


def main() -> None:
    """Train the network, measure it, and write both files."""
    torch.set_num_threads(1)
    recipe = Recipe()
    shown, held_out = digits.load(round(moving_digits.DIGIT * SIDE))
    real = moving_digits.ganbench_dataset(argument="", resolution=SIDE).train.x
    extractor = standardised(ClipsCNN(), train(shown, recipe, seed=0), real)
    write("clips_cnn", extractor.state_dict(), published(extractor, held_out), recipe)


if __name__ == "__main__":
    main()
