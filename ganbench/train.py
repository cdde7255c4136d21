"""The training loop: budget, D and G updates, averaging, throughput, checkpoint and resume. No metric, no printing."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from ganbench.contracts import Loss, LossTraits
from ganbench.data import Batch, Stream
from ganbench.errors import Diverged, PluginError
from ganbench.gan import GAN, Lazy, Terms
from ganbench.protocol import Recipe
from ganbench.trick import Player, Shown, Trick, Turn
from ganbench.watch import Watch

WARM_UP_WINDOWS = 2


@dataclass(frozen=True)
class Window:
    """A stretch of training between two looks: mean losses, and the time it took, synchronised at both ends only."""

    step: int
    images: int
    seconds: float
    window_images: int
    losses: dict[str, float]


class Trainer:
    """Trains one GAN under one loss until a budget of D updates is spent.

    The same arguments give the same bits, whoever looks in between and however often it is stopped and resumed:
    data order, latents and the plugins' own draws (torch's default generator) come from streams of their own.

    Args:
        gan: the players, already on their device.
        loss: the objective.
        stream: the training batches.
        recipe: resolved settings.
        d_updates: the budget.
        latent_seed, noise_seed: of the latent stream, and of torch's default generator during training.
        tricks: what changes the play; of those that wrap the loss, ``loss`` is what they made of it.
    """

    def __init__(
        self,
        gan: GAN,
        loss: Loss,
        stream: Stream,
        recipe: Recipe,
        d_updates: int,
        latent_seed: int,
        noise_seed: int,
        tricks: Sequence[Trick] = (),
    ) -> None:
        self.gan, self.loss, self.stream, self.recipe, self.d_updates = gan, loss, stream, recipe, d_updates
        self.tricks = tuple(tricks)
        self.device = stream.device
        self.after_d_step = LossTraits(loss).after_d_step
        self.latents = torch.Generator(self.device).manual_seed(latent_seed)
        with preserved_rng(self.device):
            torch.manual_seed(noise_seed)
            self.noise = _default_rng_states(self.device)
        self.optim_d = _optimizer(gan.discriminator_params(), recipe, recipe.d_lr or recipe.lr)
        self.optim_g = _optimizer(gan.generator_params(), recipe, recipe.lr)
        self.averaged = gan.averaged_copy()
        self._d_params = _params_of(self.optim_d)
        self._g_params = _params_of(self.optim_g)
        self._pairs = [
            (ours, theirs) for ours, theirs in zip(self.averaged.generators(), gan.generators(), strict=True)
        ]
        self.watch = Watch(gan.named_parameters())
        self.d_done = 0
        self.step = 0

    @property
    def images(self) -> int:
        """Real images shown to D so far."""
        return self.d_done * self.stream.batch

    @property
    def done(self) -> bool:
        """Whether the budget is spent."""
        return self.d_done >= self.d_updates

    def advance(self, until: int) -> Window:
        """Train until ``until`` D updates are done (rounded up to a whole iteration) or the budget is spent.

        Raises:
            Diverged: a loss term or a weight left the finite numbers; names the first of them and its iteration. On
                a CPU that ends the very iteration; elsewhere the window's end, so that nothing waits for the device.
        """
        sums: dict[str, Tensor] = {}
        first, images, began = self.step, self.images, self._clock()
        with preserved_rng(self.device):
            _set_default_rng_states(self.noise, self.device)
            while self.d_done < min(until, self.d_updates):
                terms = self._iterate()
                self.watch.note(terms, self.step)
                if self.device.type == "cpu":
                    self._check()
                for name, value in terms.items():
                    sums[name] = sums[name] + value if name in sums else value
            self.noise = _default_rng_states(self.device)
        self._check()
        seconds = self._clock() - began
        losses = {name: (total / (self.step - first)).item() for name, total in sums.items()}
        return Window(self.step, self.images, seconds, self.images - images, losses)

    def _iterate(self) -> dict[str, Tensor]:
        """One G update and the D updates before it, each on a fresh batch and fresh latents."""
        self._schedule()
        for _ in range(min(self.recipe.d_steps, self.d_updates - self.d_done)):
            batch = self._batch()
            d_terms = self._update_d(batch)
            self.d_done += 1
        batch = Batch(batch.real, self._z(), batch.labels, batch.source, self.step)
        g_terms = self._update_g(batch)
        self._average()
        self.step += 1
        return {**d_terms, **g_terms}

    def _update_d(self, batch: Batch) -> dict[str, Tensor]:
        with torch.no_grad():
            fake = self.gan.fake(batch)
        terms = _evaluated(self.gan.d_objective(self._played("D", batch, fake), batch, fake), batch.step)
        self._descend(terms, "D")
        if self.after_d_step:
            self.after_d_step(self.gan.discriminators())
        return {name: value.detach() for name, value in terms.items()}

    def _update_g(self, batch: Batch) -> dict[str, Tensor]:
        fake = self.gan.fake(batch)
        objective = partial(self.gan.g_objective, self._played("G", batch, fake), batch, fake)
        for trick in self.tricks:
            objective = partial(trick.g_objective, objective, self._turn("G", batch, fake))
        terms = _evaluated(objective(), batch.step)
        self._descend(terms, "G")
        return {name: value.detach() for name, value in terms.items()}

    def _turn(self, player: Player, batch: Batch, fake: Any) -> Turn:
        def d_objective() -> Tensor:  # knows no turn: one that held itself would keep its fakes until a collection
            return _total(_evaluated(self.gan.d_objective(self._played(player, batch, fake), batch, fake), batch.step))

        progress = self.d_done / self.d_updates
        return Turn(player, progress, batch, fake, self.gan, self.optim_d, self.optim_g, d_objective)

    def _played(self, player: Player, batch: Batch, fake: Any) -> Loss:
        """The loss, on what the tricks show it."""
        return Shown(self.loss, self.tricks, self._turn(player, batch, fake)) if self.tricks else self.loss

    def _descend(self, terms: Mapping[str, Tensor], player: Player) -> None:
        """One step on the sum of the terms. Gradients of the other player, and of the points that a penalty is taken
        at, are not computed: nobody uses them."""
        optimizer, params = (self.optim_d, self._d_params) if player == "D" else (self.optim_g, self._g_params)
        optimizer.zero_grad(set_to_none=True)
        _total(terms).backward(inputs=params)
        if all(p.grad is None for p in params):
            raise PluginError(
                f"no gradient of {' + '.join(terms)} reaches the player whose turn it is", "is something detached?"
            )
        for trick in self.tricks:
            trick.gradients(params, player)
        optimizer.step()

    @torch.no_grad()
    def _average(self) -> None:
        """Exponential moving average with warm-up; buffers (batch-norm statistics) are copied."""
        decay = min(self.recipe.ema, (1 + self.step) / (10 + self.step)) if self.recipe.ema else 0.0
        for ours, theirs in self._pairs:
            torch._foreach_lerp_(list(ours.parameters()), list(theirs.parameters()), 1 - decay)
            for mine, current in zip(ours.buffers(), theirs.buffers(), strict=True):
                mine.copy_(current)

    def _schedule(self) -> None:
        if not self.recipe.lr_decay:
            return
        left = 1 - self.d_done / self.d_updates
        factor = min(1.0, left / self.recipe.lr_decay)
        for optimizer in (self.optim_d, self.optim_g):
            for group in optimizer.param_groups:
                group["lr"] = group["initial_lr"] * factor

    def _batch(self) -> Batch:
        real, labels, source = self.stream.draw()
        return Batch(real, self._z(), labels, source, self.step)

    def _z(self) -> Tensor:
        return self.gan.sample_latent(self.stream.batch, self.latents)

    def _clock(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()

    def _check(self) -> None:
        fault = self.watch.first()
        if fault is not None:
            raise Diverged(fault.name, fault.step)

    def fingerprint(self) -> str:
        """sha256 over every weight and buffer of the players and of the average, 16 hex digits."""
        digest = hashlib.sha256()
        averaged = [value for module in self.averaged.generators() for value in module.state_dict().values()]
        for value in (*self.gan.state_dict().values(), *averaged):
            digest.update(value.detach().contiguous().cpu().view(-1).view(torch.uint8).numpy())
        return digest.hexdigest()[:16]

    # -- checkpoint and resume ---------------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Everything that the rest of the run depends on: tensors and plain values, loadable with ``weights_only``."""
        return {
            "gan": self.gan.state_dict(),
            "averaged": [module.state_dict() for module in self.averaged.generators()],
            "optim_d": self.optim_d.state_dict(),
            "optim_g": self.optim_g.state_dict(),
            "data": self.stream.rng.get_state(),
            "latents": self.latents.get_state(),
            "noise": self.noise,
            "d_done": self.d_done,
            "step": self.step,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from ``state()``."""
        self.gan.load_state_dict(state["gan"])
        for module, weights in zip(self.averaged.generators(), state["averaged"], strict=True):
            module.load_state_dict(weights)
        self.optim_d.load_state_dict(state["optim_d"])
        self.optim_g.load_state_dict(state["optim_g"])
        self.stream.rng.set_state(state["data"])
        self.latents.set_state(state["latents"])
        self.noise = state["noise"]
        self.d_done, self.step = state["d_done"], state["step"]


@contextmanager
def preserved_rng(device: torch.device) -> Iterator[None]:
    """Leave torch's default generators, the CPU's and the device's, as they were found."""
    before = _default_rng_states(device)
    try:
        yield
    finally:
        _set_default_rng_states(before, device)


def _default_rng_states(device: torch.device) -> list[Tensor]:
    """Of the CPU and, elsewhere, of the device: a plugin may draw from either."""
    states = [torch.get_rng_state()]
    return states if device.type == "cpu" else [*states, _rng_module(device).get_rng_state(*_index(device))]


def _set_default_rng_states(states: list[Tensor], device: torch.device) -> None:
    torch.set_rng_state(states[0])
    if device.type != "cpu":
        _rng_module(device).set_rng_state(states[1], *_index(device))


def _rng_module(device: torch.device) -> Any:
    return torch.get_device_module(device)


def _index(device: torch.device) -> list[torch.device]:
    return [device] if device.type == "cuda" else []  # there is but one of the others


def _evaluated(terms: Terms, step: int) -> dict[str, Tensor]:
    """Compute the lazy terms whose turn it is, weighted by how seldom they come."""
    values = {}
    for name, term in terms.items():
        if isinstance(term, Lazy):
            if step % term.every == 0:
                values[name] = term.compute() * term.every
        else:
            values[name] = term
    return values


def _total(terms: Mapping[str, Tensor]) -> Tensor:
    return torch.stack(list(terms.values())).sum()


def _params_of(optimizer: Optimizer) -> list[Tensor]:
    return [p for group in optimizer.param_groups for p in group["params"]]


def _optimizer(params: Any, recipe: Recipe, lr: float) -> Optimizer:
    match recipe.optimizer:
        case "adam":
            optimizer: Optimizer = torch.optim.Adam(params, lr, recipe.betas, recipe.eps, fused=True)
        case "rmsprop":
            optimizer = torch.optim.RMSprop(params, lr, eps=recipe.eps, foreach=True)
        case "sgd":
            optimizer = torch.optim.SGD(params, lr, momentum=recipe.betas[0], fused=True)
    for group in optimizer.param_groups:
        group["initial_lr"] = group["lr"]
    return optimizer
