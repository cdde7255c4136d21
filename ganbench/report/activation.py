"""Activation maximisation: find the input that makes a unit of G or D most active.

The method is from Erhan, Bengio, Courville and Vincent 2009, "Visualizing higher-layer features of a deep network",
section 4. It raises the unit's activation by gradient ascent on the input, which is kept at the norm, or in the range,
of real inputs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any, Literal

import torch
from torch import Tensor, nn

from ganbench.contracts.arch import GAN
from ganbench.contracts.data import Batch, Dataset, Split, quantise
from ganbench.device.untouched import device_of, untouched
from ganbench.errors import GanbenchError, meant
from ganbench.report.latent import batch_of, conditions, made_of, refuse_translators

Who = Literal["G", "D"]
Hear = Callable[[str, nn.Module, Any], None]

TRIES = 16
"""Random inputs per unit; the ascent starts from the best of them."""
SHELL_DRAWS = 1000
"""The number of latents whose mean norm gives the radius of the prior's shell."""


@dataclass(frozen=True)
class Layer:
    """A layer of a player.

    ``shape`` is that of its output for one sample. Its first number is the number of units. If a unit is a map or a
    row, its activation is the mean over it.
    """

    name: str
    kind: str
    shape: tuple[int, ...]

    @property
    def units(self) -> int:
        """The number of units."""
        return self.shape[0] if self.shape else 1


@dataclass(frozen=True)
class Maximised:
    """Samples that maximise the activation of U units.

    Attributes:
        x: ``[U, *shape]``, a sample for each unit, as stored.
        activation: ``[U]``, the activations of these samples.
        random: ``[U]``, the highest activation among the random inputs, from which the ascent started.
    """

    x: Tensor
    activation: Tensor
    random: Tensor


class Probe:
    """Inspects one player: its layers by name, and the samples that make a unit most active.

    G's inputs are latents, kept at the mean norm of the prior. D's inputs are samples, kept between -1 and 1 or, if the
    data are unbounded, between the smallest and the largest number in the training data.

    Args:
        gan: the players; they are not changed.
        who: ``"G"`` or ``"D"``.
        dataset: the data they were trained on.
        label: the name of the class to generate, if the GAN takes labels; by default, the training labels in turn.

    Raises:
        Unsupported: the GAN translates, or takes no label.
    """

    def __init__(self, gan: GAN, who: Who, dataset: Dataset, label: str = "") -> None:
        refuse_translators(dataset.train)
        self.gan, self.who, self.dataset, self.label, self.device = gan, who, dataset, label, device_of(gan)
        self.modules = _named(gan, gan.generators() if who == "G" else gan.discriminators())

    @cached_property
    def layers(self) -> dict[str, Layer]:
        """The layers whose output is a tensor with a row per sample, in order of execution."""
        found: dict[str, Layer] = {}
        n = 3  # a number that is rare in shapes

        def note(name: str, module: nn.Module, given: Any) -> None:
            if isinstance(given, Tensor) and given.ndim and len(given) == n and name not in found:
                found[name] = Layer(name, type(module).__name__, tuple(given.shape[1:]))

        with untouched(self.gan), torch.no_grad(), _heard(self.modules, note):
            self._player(self._like(n))(self._random(n, torch.Generator(self.device).manual_seed(0)))
        return found

    def maximise(
        self,
        layer: str,
        units: Sequence[int],
        *,
        steps: int = 200,
        lr: float = 0.05,
        seed: int = 0,
    ) -> Maximised:
        """Maximise each unit's activation with Adam, from the best of 16 random inputs, and keep the best input found.

        All units share one batch, so a layer that compares samples within a batch sees those of all units.

        Args:
            layer: the name of one of ``layers``.
            units: the indices of the units in that layer.
            steps: the number of ascent steps.
            lr: Adam's learning rate; inputs are of the order of 1.
            seed: the seed of the random inputs.

        Raises:
            GanbenchError: there is no such layer or unit, or the input does not reach it.
        """
        self._check(layer, units)
        wanted, like = torch.tensor(units, device=self.device), self._like(len(units))
        with untouched(self.gan):
            start, random = self._best_of_random(layer, wanted, like, torch.Generator(self.device).manual_seed(seed))
            best, activation = self._ascend(layer, wanted, like, start, steps, lr)
        x = made_of(self.gan, best, like) if self.who == "G" else quantise(best, like.x).cpu()
        return Maximised(x, activation.cpu(), random.cpu())

    def activations(self, layer: str, units: Tensor, play: Callable[[Tensor], None], x: Tensor) -> Tensor:
        """``[B]``: the activation of the unit ``units[i]`` for the input ``x[i]``."""
        heard: list[Tensor] = []

        def note(_: str, module: nn.Module, given: Tensor) -> None:
            by_unit = given if given.ndim > 1 else given[:, None]
            mine = by_unit[torch.arange(len(x), device=x.device), units]  # a copy: later layers may work in place
            heard.append(mine.flatten(1).mean(1) if mine.ndim > 1 else mine)

        with _heard({layer: self.modules[layer]}, note):
            play(x)
        return torch.stack(heard).mean(0)

    # -- inputs --------------------------------------------------------------------------------------------------------

    def held(self, x: Tensor) -> Tensor:
        """The nearest allowed input."""
        if self.who == "D":
            return x.clamp(*self._bounds)
        flat = x.flatten(1)
        norm: Tensor = flat.norm(dim=1, keepdim=True)
        return (flat * (self._shell / norm.clamp(min=1e-12))).view_as(x)

    def _along(self, slope: Tensor, x: Tensor) -> Tensor:
        """The component of a gradient along the shell; the rest would be undone, and would distort Adam's moments."""
        if self.who == "D":
            return slope
        flat, at = slope.flatten(1), nn.functional.normalize(x.flatten(1))
        return (flat - (flat * at).sum(1, keepdim=True) * at).view_as(x)

    def _random(self, n: int, rng: torch.Generator) -> Tensor:
        """For G, latents from the prior, moved to its shell; for D, faint noise around the middle of the range."""
        if self.who == "G":
            return self.held(self.gan.sample_latent(n, rng))
        low, high = self._bounds
        noise = torch.randn(n, *self.dataset.spec.shape, generator=rng, device=self.device)
        return self.held((low + high) / 2 + 0.1 * (high - low) / 2 * noise)

    @cached_property
    def _shell(self) -> float:
        z = self.gan.sample_latent(SHELL_DRAWS, torch.Generator(self.device).manual_seed(0))
        return float(z.flatten(1).norm(dim=1).mean())

    @cached_property
    def _bounds(self) -> tuple[float, float]:
        x = self.dataset.train.x
        return (-1.0, 1.0) if self.dataset.spec.bounded else (float(x.min()), float(x.max()))

    def _like(self, n: int) -> Split:
        return conditions(self.gan, self.dataset, n, self.label)

    # -- the ascent ----------------------------------------------------------------------------------------------------

    def _player(self, like: Split) -> Callable[[Tensor], None]:
        """A function that passes inputs ``[B, ...]`` through the player, with the labels of ``like``."""
        z = self.gan.sample_latent(len(like), torch.Generator(self.device).manual_seed(0))
        batch = batch_of(z, like)
        if self.who == "G":
            return partial(self._make, batch)
        with torch.no_grad():
            return partial(self._judge, batch, self.gan.fake(batch))

    def _make(self, batch: Batch, z: Tensor) -> None:
        self.gan.sample(replace(batch, z=z))

    def _judge(self, batch: Batch, fake: Any, x: Tensor) -> None:
        for match in self.gan.matches(replace(batch, real=x), fake):
            match.D(match.real)

    def _best_of_random(self, layer: str, units: Tensor, like: Split, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        tried = [self._random(len(units), rng) for _ in range(TRIES)]
        play = self._player(like)
        with torch.no_grad():
            values = torch.stack([self.activations(layer, units, play, x) for x in tried])
        value, place = values.max(dim=0)
        return torch.stack(tried)[place, torch.arange(len(units), device=self.device)], value

    def _ascend(
        self, layer: str, units: Tensor, like: Split, start: Tensor, steps: int, lr: float
    ) -> tuple[Tensor, Tensor]:
        """The best inputs found during the ascent, and their activations."""
        play, x = self._player(like), start.clone().requires_grad_(True)
        adam = torch.optim.Adam([x], lr)
        best, record = start.clone(), torch.full((len(units),), -math.inf, device=self.device)
        for step in range(steps + 1):
            value = self.activations(layer, units, play, x)
            better = value.detach() > record
            best[better], record = x.detach()[better], torch.where(better, value.detach(), record)
            if step < steps:
                worth = value.sum()
                (slope,) = torch.autograd.grad(worth, x, allow_unused=True) if worth.requires_grad else (None,)
                if slope is None:
                    raise GanbenchError(f"'{layer}' does not depend on the input of {self.who}", "choose another layer")
                x.grad = -self._along(slope, x.detach())
                adam.step()
                x.data.copy_(self.held(x.data))
        return best, record

    def _check(self, layer: str, units: Sequence[int]) -> None:
        known = self.layers
        if layer not in known:
            said = f"{self.who} has no layer '{layer}'{meant(layer, known, 0.3)}"
            raise GanbenchError(said, "`ganbench latent layers` lists them")
        for unit in units:
            if not 0 <= unit < known[layer].units:
                raise GanbenchError(f"'{layer}' has no unit {unit}", f"its units are 0 to {known[layer].units - 1}")


def _named(gan: GAN, modules: Sequence[nn.Module]) -> dict[str, nn.Module]:
    """The layers of a player by name, without containers of other layers.

    If a player consists of several modules, names begin with the module's name in the GAN.
    """
    within = {id(module): name for name, module in gan.named_modules()}
    found = {}
    for module in modules:
        before = f"{within.get(id(module), '?')}." if len(modules) > 1 else ""
        for name, layer in module.named_modules():
            plain = isinstance(layer, (nn.Sequential, nn.ModuleList, nn.ModuleDict)) or "parametrizations" in name
            if name and not plain:
                found[before + name] = layer
            elif not name and not list(layer.children()):
                found[before.rstrip(".") or type(layer).__name__] = layer
    return found


@contextmanager
def _heard(modules: Mapping[str, nn.Module], note: Hear) -> Iterator[None]:
    """Call ``note`` with the output of each module as it runs."""
    hooks = [
        module.register_forward_hook(lambda module, _, given, name=name: note(name, module, given))
        for name, module in modules.items()
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
