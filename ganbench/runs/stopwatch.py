"""Time one row: build and warm up its players in this process, then run rounds of equal work."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from msgspec import Struct

from ganbench.contracts.executor import TrainingJob
from ganbench.device import memory
from ganbench.device.determinism import noting_nondeterminism, refuse_changed, torch_settings
from ganbench.device.load import Load
from ganbench.device.nvml import library, sm_clock, uuid_of
from ganbench.device.untouched import preserved_rng
from ganbench.evaluation.sampling import BATCH, sample
from ganbench.plugins.source import core_hash
from ganbench.records.provenance import environment
from ganbench.records.record import Component, Environment
from ganbench.records.timing import Round
from ganbench.runs.players import build_players, refuse_unmet
from ganbench.runs.setup import cast_of, prepare
from ganbench.runs.trainers import account_of, build_trainer
from ganbench.training.trainer import Window

WARM_UP_SECONDS = 0.5
"""Seconds of training before anything is timed: caches fill, optimisers build up moments, CUDA captures its graph."""
TRAIN_SECONDS = 0.5
"""Approximate training time of a round. Interrupts distort shorter ones, and longer ones are disturbed more often."""
SAMPLE_SECONDS = 0.15
"""Approximate sampling time of a round, in whole batches of the size that judging uses."""
PRODUCT_SECONDS = 0.015
"""Approximate duration of the matrix products that are timed together."""
PRODUCTS = 5
"""The number timed before each round, and again after it; the median of all is the round's."""
SIZE = {"cpu": 512}
LARGE = 2048
"""Rows and columns of the matrices: on a CPU they fit in its cache, like a small network; elsewhere they keep the
device busy."""
BUDGET = 2**40
"""D updates, more than any timing uses, so that learning rates and tricks stay as they are at the beginning."""


class Facts(Struct, frozen=True):
    """What stays the same in all rounds: the code, the machine, and the arithmetic.

    ``images`` is the number of real images shown to D in one iteration. What cannot be counted is 0.
    """

    arch: Component
    loss: Component
    tricks: tuple[Component, ...]
    environment: Environment
    on_cpu: bool
    images: int
    d_flops: float
    g_flops: float
    peak_flops_per_second: float
    peak_memory_mb: float
    mode: str


class Stopwatch:
    """A row, warmed up and ready for its rounds.

    Raises:
        Unsupported: arch, loss, tricks and data do not fit together.
        PluginError: a plugin is broken.
        Diverged: a weight or a loss becomes non-finite during the warm-up.
    """

    def __init__(self, job: TrainingJob) -> None:
        self.job, self.bench = job, prepare(job.protocol, job.device)
        self.device, self.settings = self.bench.device, torch_settings()
        self.on_cpu = self.device.type == "cpu"
        self.nondeterministic: set[str] = set()
        players = build_players(job, self.bench.dataset)
        refuse_unmet(job, players.gan, self.bench.dataset, self.bench.judge.metrics)
        memory.reset_peak(self.device)
        self.trainer = build_trainer(job, self.bench, players, d_updates=BUDGET)
        self.product, uuid, nvml = _Product(self.device), uuid_of(self.device), library()
        self.clock = sm_clock(nvml, uuid) if uuid and nvml is not None else None
        self.iterations = self._calibrated()
        self.batches = 1
        self.batches = math.ceil(SAMPLE_SECONDS / min(self._sample(), self._sample()))
        self.round()

    def round(self) -> Round:
        """Train and sample once, with matrix products timed before and after.

        Raises:
            Diverged: a weight, a loss or a sample is not finite.
            PluginError: a plugin changed torch's settings.
        """
        before, products = Load.now(), self.product.several()
        with by_device(self.device) as clock:
            window = self._train(self.iterations)
        megahertz = self.clock() if self.clock else None
        sampling = self._sample()
        products += self.product.several()
        refuse_changed(self.settings)
        meanwhile = Load.now().since(before)
        return Round(
            step_ms=round(1000 * (clock.seconds or window.seconds) / self.iterations, 4),
            step_cpu_ms=round(1000 * window.cpu_seconds / self.iterations, 4),
            samples_per_second=round(self.batches * BATCH / sampling, 1),
            product_ms=round(1000 * statistics.median(products), 5),
            steal=round(meanwhile.steal, 4),
            pressure=round(meanwhile.pressure, 4),
            clock_mhz=megahertz or 0.0,
        )

    def facts(self) -> Facts:
        """Everything else about the row. Counting operations builds further trainers, so no round may follow."""
        peak_memory = memory.peak_mb(self.device)  # before counting needs more
        account = account_of(self.job, self.bench, self.trainer)
        free = tuple(sorted(self.nondeterministic))
        precision = self.job.protocol.training.precision
        return Facts(
            **cast_of(self.job)._asdict(),
            environment=environment(self.device, free, 1, precision, core_hash()),
            on_cpu=self.on_cpu,
            images=self.trainer.stream.batch * self.trainer.recipe.d_steps,
            d_flops=round(account.flops.d, 1) if account else 0.0,
            g_flops=round(account.flops.g, 1) if account else 0.0,
            peak_flops_per_second=account.peak if account else 0.0,
            peak_memory_mb=peak_memory,
            mode=self.trainer.mode,
        )

    def _calibrated(self) -> int:
        """Warm up and return the iterations per round, so many that every lazy term occurs at its proper rate."""
        self._train(1)  # shows which terms are lazy
        spent, cycle = 0.0, self.trainer.cycle
        while spent < WARM_UP_SECONDS:
            window = self._train(cycle)
            spent += window.seconds
        return cycle * math.ceil(TRAIN_SECONDS / window.seconds)

    def _train(self, iterations: int) -> Window:
        with noting_nondeterminism(self.nondeterministic):
            return self.trainer.advance(self.trainer.d_done + iterations * self.trainer.recipe.d_steps)

    def _sample(self) -> float:
        """Seconds taken to draw the samples of a round."""
        reals = self.bench.judge.reference
        like = reals[torch.arange(self.batches * BATCH) % len(reals)]
        seed = self.job.protocol.seed(self.job.seed, "timing")
        with preserved_rng(self.device), noting_nondeterminism(self.nondeterministic):
            _wait(self.device)
            began = time.perf_counter()
            sample(self.trainer.averaged, like, seed, self.device)  # ends on the CPU: nothing is left to wait for
            return time.perf_counter() - began


@dataclass
class Stretch:
    """How long a stretch of work took by the device's own clock; 0 if it has none."""

    seconds: float = 0.0


@contextmanager
def by_device(device: torch.device) -> Iterator[Stretch]:
    """Time the work inside the block with CUDA events, on a device that has them. The device is idle at both ends."""
    stretch = Stretch()
    if device.type != "cuda":
        yield stretch
        return
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    begin.record()
    yield stretch
    end.record()
    end.synchronize()
    stretch.seconds = begin.elapsed_time(end) / 1000


class _Product:
    """Two fixed matrices whose product always takes the same time on an otherwise idle device."""

    def __init__(self, device: torch.device) -> None:
        size, rng = SIZE.get(device.type, LARGE), torch.Generator(device).manual_seed(0)
        self.device = device
        self.a, self.b = (torch.randn(size, size, generator=rng, device=device) for _ in range(2))
        self.out = torch.empty_like(self.a)
        self.repeats = 1
        self.repeats = math.ceil(PRODUCT_SECONDS / min(self.several()))

    def several(self) -> list[float]:
        """Seconds of one product, measured several times."""
        return [self._once() for _ in range(PRODUCTS)]

    def _once(self) -> float:
        _wait(self.device)
        began = time.perf_counter()
        for _ in range(self.repeats):
            torch.mm(self.a, self.b, out=self.out)
        _wait(self.device)
        return (time.perf_counter() - began) / self.repeats


def _wait(device: torch.device) -> None:
    torch.get_device_module(device).synchronize()
