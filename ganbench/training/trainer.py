"""The training loop: budget, D and G updates, averaging, throughput, checkpoint and resume; no metrics, no output."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Hashable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ganbench.contracts.arch import GAN, Lazy, Terms
from ganbench.contracts.data import Batch
from ganbench.contracts.loss import Loss, LossTraits
from ganbench.contracts.protocol import Precision, Recipe
from ganbench.contracts.trick import Player, Trick, Turn
from ganbench.device.untouched import default_rng_states, preserved_rng, set_default_rng_states
from ganbench.errors import Diverged, PluginError
from ganbench.training.average import Average
from ganbench.training.batches import Stream
from ganbench.training.capture import Counters, Hidden, Recorder, Replayed, recorder_for, stream_of
from ganbench.training.observer import Observer
from ganbench.training.optimisers import build_optimizer, decay, params_of, restore
from ganbench.training.precision import InFloat32, autocast, in_float32, tensor_cores
from ganbench.training.tricks import Shown
from ganbench.training.watch import Watch

WARM_UP_WINDOWS = 2
_UNOBSERVED = nullcontext()


@dataclass(frozen=True)
class Window:
    """A stretch of training between two evaluations: mean losses, and its duration, synchronised only at both ends.

    ``seconds`` is wall-clock time, which grows with every wait for a core. ``cpu_seconds`` is the CPU time of all
    threads of the process, which other programs on the machine hardly affect.
    """

    step: int
    images: int
    seconds: float
    cpu_seconds: float
    window_images: int
    losses: dict[str, float]


class _Moment(NamedTuple):
    """Wall-clock time and CPU time in seconds, each since an arbitrary moment in the past."""

    wall: float
    cpu: float


class _Played(NamedTuple):
    """The arguments of an objective: the loss and the batch as tricks present them, and the fakes."""

    loss: Loss
    batch: Batch
    fake: Any


class Trainer:
    """Trains one GAN under one loss until a budget of D updates is spent.

    The same arguments give the same bits, however often the run is evaluated, stopped and resumed. Data order, latents
    and the plugins' own draws (torch's default generator) come from separate random streams.

    Args:
        gan: the players, already on their device.
        loss: the objective.
        stream: the training batches.
        recipe: resolved settings.
        d_updates: the budget, in D updates.
        latent_seed, noise_seed: seeds of the latent stream, and of torch's default generator during training.
        tricks: the tricks in use, in order; ``loss`` is already wrapped by those that wrap it.
        precision: the lowest precision for matrix products and convolutions.
        recorder: records and replays whole iterations; by default that of the device, and none on a CPU.
        observer: sees the updates that are played, not replayed.

    Attributes:
        periods: periods of the lazy terms seen so far, in iterations.
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
        precision: Precision = "float32",
        recorder: Recorder | None = None,
        observer: Observer | None = None,
    ) -> None:
        self.gan, self.stream, self.recipe, self.d_updates = gan, stream, recipe, d_updates
        self.loss = InFloat32(loss) if precision == "bf16" else loss
        self.tricks, self.precision, self.observer = tuple(tricks), precision, observer
        self.device = stream.device
        self.after_d_step = LossTraits(loss).after_d_step
        self.latents = torch.Generator(self.device).manual_seed(latent_seed)
        with preserved_rng(self.device):
            torch.manual_seed(noise_seed)
            self.noise = default_rng_states(self.device)
        self.recorder = recorder or recorder_for(self.device, [self.latents])
        self._replayed = Replayed(self, self.recorder) if self.recorder is not None else None
        recorded = self.recorder is not None
        build = partial(build_optimizer, recipe=recipe, device=self.device, recorded=recorded)
        self.optim_d = build(gan.discriminator_params(), recipe.d_lr or recipe.lr)
        self.optim_g = build(gan.generator_params(), recipe.lr)
        self._d_params, self._g_params = params_of(self.optim_d), params_of(self.optim_g)
        self.average = Average(gan, recipe.ema, self.device if recorded else None)
        self.watch = Watch(gan.named_parameters(), at_once=self._waits_anyway)
        self.d_done = 0
        self.step = 0
        self._sums: dict[str, Tensor] = {}
        self._terms: dict[Hashable, tuple[str, ...]] = {}  # for each kind of iteration
        self.periods: set[int] = set()
        self._hidden = False

    @property
    def averaged(self) -> GAN:
        """The GAN with the averaged generators."""
        return self.average.gan

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
            Diverged: a loss term or a weight is not finite; names the first one and its iteration. Raised in that
                iteration on a CPU, and elsewhere at the end of the window, so that the loop never waits for the device.
        """
        first, images, began = self.step, self.images, self._clock()
        with preserved_rng(self.device), stream_of(self.recorder), tensor_cores(self.precision):
            set_default_rng_states(self.noise, self.device)
            self._zero_sums()
            heard: set[str] = set()
            while self.d_done < min(until, self.d_updates):
                heard.update(self._iterate())
                if self._waits_anyway:
                    self._check()
            self.noise = default_rng_states(self.device)
        ended = self._clock()
        self._check()
        losses = {name: (total / (self.step - first)).item() for name, total in self._sums.items() if name in heard}
        seconds, cpu_seconds = ended.wall - began.wall, ended.cpu - began.cpu
        return Window(self.step, self.images, seconds, cpu_seconds, self.images - images, losses)

    @property
    def mode(self) -> str:
        """How iterations run: ``"eager"``, ``"graph"``, or ``"eager: <why there is no graph>"``."""
        return self._replayed.mode if self._replayed else "eager"

    @property
    def _waits_anyway(self) -> bool:
        """Whether the host does the computation, so that reading a number costs nothing."""
        return self.device.type == "cpu" and self.recorder is None

    def _iterate(self) -> tuple[str, ...]:
        """Run one G update and the D updates before it, and return the names of the loss terms.

        The number of D updates is that of the recipe, or what is left of the budget.
        """
        kind = self.kind()
        self._dial()
        self.stream.fill(self._d_steps)
        if self._replayed and self._d_steps == self.recipe.d_steps:
            self._replayed()
        else:
            self.play()
        return self._terms[kind]

    @property
    def _d_steps(self) -> int:
        """The number of D updates of the next iteration."""
        return min(self.recipe.d_steps, self.d_updates - self.d_done)

    def _zero_sums(self) -> None:
        for total in self._sums.values():
            total.zero_()

    def _dial(self) -> None:
        """Set the values that follow a schedule: learning rates, and the weight of G in the average.

        Recorded iterations read both from memory.
        """
        self.average.dial(self.step)
        if self.recipe.lr_decay:
            factor = min(1.0, (1 - self.d_done / self.d_updates) / self.recipe.lr_decay)
            for optimizer in (self.optim_d, self.optim_g):
                decay(optimizer, factor)

    # -- one iteration, as played and recorded -------------------------------------------------------------------------

    def play(self, *, hidden: bool = False) -> None:
        """Run one G update and the D updates before it, each on a new batch and new latents.

        ``hidden`` forbids plugins to read the iteration's number or the progress.
        """
        kind, self._hidden = self.kind(), hidden
        try:
            self.stream.rewind()
            for _ in range(self._d_steps):
                with self._observed("D"):
                    batch = self._batch()
                    d_terms = self._update_d(batch)
                self.d_done += 1
            with self._observed("G"):
                g_terms = self._update_g(replace(batch, z=self._z()))
        finally:
            self._hidden = False
        self.average.update()
        self._note(kind, {**d_terms, **g_terms})
        self.step += 1

    def _observed(self, player: Player) -> AbstractContextManager[object]:
        if self.observer is None or self._hidden:
            return _UNOBSERVED
        return self.observer.update(player, self.step)

    def _note(self, kind: Hashable, terms: Mapping[str, Tensor]) -> None:
        self._terms[kind] = tuple(terms)
        self.watch.note(terms)
        for name, value in terms.items():
            if name not in self._sums:
                self._sums[name] = torch.zeros_like(value)
            self._sums[name].add_(value)

    def skip(self) -> None:
        """Count an iteration that was replayed."""
        self.d_done += self.recipe.d_steps
        self.step += 1

    def kind(self) -> Hashable:
        """Which of the lazy terms the next iteration includes."""
        return tuple(self.step % every == 0 for every in sorted(self.periods))

    @property
    def cycle(self) -> int:
        """The number of iterations after which the schedule of the lazy terms seen so far repeats."""
        return math.lcm(*self.periods)

    def counters(self) -> Counters:
        """D updates and iterations done."""
        return Counters(self.d_done, self.step)

    def set_counters(self, counters: Counters) -> None:
        """Restore ``counters()``; weights and everything else are restored elsewhere."""
        self.d_done, self.step = counters

    def memory(self) -> list[Tensor]:
        """Every tensor that an iteration changes."""
        modules = [self.gan, *self.averaged.generators()]
        weights = [value for module in modules for value in (*module.parameters(), *module.buffers())]
        states = [o.state[p] for o in (self.optim_d, self.optim_g) for p in params_of(o) if p in o.state]
        moments = [value for state in states for value in state.values() if isinstance(value, Tensor)]
        return [*weights, *moments, *self._sums.values(), *self.watch.memory()]

    def generators(self) -> list[torch.Generator]:
        """Every generator that an iteration may draw from."""
        own = [self.latents, torch.default_generator]
        return [*own, torch.cuda.default_generators[self.device.index or 0]] if self.device.type == "cuda" else own

    def _update_d(self, batch: Batch) -> dict[str, Tensor]:
        with torch.no_grad():
            fake = self.gan.fakes_for_d(self._fake(batch))
        with self._cast():
            terms = self._evaluated(self.gan.d_objective(*self._played("D", batch, fake)))
        self._descend(terms, "D")
        if self.after_d_step:
            self.after_d_step(self.gan.discriminators())
        return {name: value.detach() for name, value in terms.items()}

    def _update_g(self, batch: Batch) -> dict[str, Tensor]:
        fake = self._fake(batch)
        with self._cast():
            objective = partial(self.gan.g_objective, *self._played("G", batch, fake))
            for trick in self.tricks:
                objective = partial(trick.g_objective, objective, self._turn("G", batch, fake))
            terms = self._evaluated(objective())
        self._descend(terms, "G")
        return {name: value.detach() for name, value in terms.items()}

    def _turn(self, player: Player, batch: Batch, fake: Any) -> Turn:
        def d_objective() -> Tensor:  # makes a new turn: a self-reference would keep fakes until garbage collection
            return _total(self._evaluated(self.gan.d_objective(*self._played(player, batch, fake))))

        progress: Any = Hidden() if self._hidden else self.d_done / self.d_updates
        optimizers = self.optim_d, self.optim_g
        return Turn(player, progress, batch, fake, self.gan, *optimizers, d_objective, self.after_d_step)

    def _played(self, player: Player, batch: Batch, fake: Any) -> _Played:
        if not self.tricks:
            return _Played(self.loss, batch, fake)
        shown = Shown(self.loss, self.tricks, self._turn(player, batch, fake))
        return _Played(shown, replace(batch, view=shown.seen), fake)

    def _descend(self, terms: Mapping[str, Tensor], player: Player) -> None:
        """Take one optimiser step on the sum of the terms.

        Gradients for the other player, and for the points at which a penalty is evaluated, are not computed, because
        nothing uses them.
        """
        optimizer, params = (self.optim_d, self._d_params) if player == "D" else (self.optim_g, self._g_params)
        for p in params:
            p.grad = None  # as zero_grad does, which would slow a small network by half a percent
        _total(terms).backward(inputs=params)
        if all(p.grad is None for p in params):
            raise PluginError(
                f"no gradient of {' + '.join(terms)} reaches the player being updated", "remove any detach() on the way"
            )
        for trick in self.tricks:
            trick.gradients(params, player)
        optimizer.step()

    def _fake(self, batch: Batch) -> Any:
        with self._cast():
            fake = self.gan.fake(batch)
        return in_float32(fake) if self.precision == "bf16" else fake

    def _cast(self) -> AbstractContextManager[Any]:
        return autocast(self.precision, self.device)

    def _evaluated(self, terms: Terms) -> dict[str, Tensor]:
        """Compute the lazy terms that are due, weighted by their period."""
        values = {}
        for name, term in terms.items():
            if not isinstance(term, Lazy):
                values[name] = term
                continue
            self.periods.add(term.every)
            if self.step % term.every == 0:
                values[name] = term.compute() * term.every
        return values

    def _batch(self) -> Batch:
        real, labels, source = self.stream.draw()
        step: Any = Hidden() if self._hidden else self.step
        return Batch(real, self._z(), labels, source, step)

    def _z(self) -> Tensor:
        return self.gan.sample_latent(self.stream.batch, self.latents)

    def _clock(self) -> _Moment:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return _Moment(time.perf_counter(), time.process_time())

    def _check(self) -> None:
        fault = self.watch.first()
        if fault is not None:
            raise Diverged(fault.name, fault.step)

    def fingerprint(self) -> str:
        """sha256 over every weight and buffer of the players and of the average, 16 hex digits."""
        digest = hashlib.sha256()
        for value in (*self.gan.state_dict().values(), *self.average.values()):
            digest.update(value.detach().contiguous().cpu().view(-1).view(torch.uint8).numpy())
        return digest.hexdigest()[:16]

    # -- checkpoint and resume ---------------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Everything that the rest of the run depends on: tensors and plain values, loadable with ``weights_only``."""
        return {
            "gan": self.gan.state_dict(),
            "averaged": self.average.state(),
            "optim_d": self.optim_d.state_dict(),
            "optim_g": self.optim_g.state_dict(),
            "data": self.stream.state(),
            "latents": self.latents.get_state(),
            "noise": self.noise,
            "d_done": self.d_done,
            "step": self.step,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Resume from ``state()``."""
        self.gan.load_state_dict(state["gan"])
        self.average.restore(state["averaged"])
        restore(self.optim_d, state["optim_d"])
        restore(self.optim_g, state["optim_g"])
        self.stream.restore(state["data"])
        self.latents.set_state(state["latents"])
        self.noise = state["noise"]
        self.d_done, self.step = state["d_done"], state["step"]
        self.watch.go_to(self.step)
        if self.recorder is not None:
            self._replayed = Replayed(self, self.recorder)  # recordings refer to the old optimiser state


def _total(terms: Mapping[str, Tensor]) -> Tensor:
    values = list(terms.values())
    return values[0] if len(values) == 1 else torch.stack(values).sum()  # stacking one slows a small network by 2 %
