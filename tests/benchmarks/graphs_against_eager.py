"""CUDA graphs against plain iterations, for every baseline arch and loss: the same bits, and how much faster.

    python tests/benchmarks/graphs_against_eager.py --device cuda --seconds 120 --out graphs.json

Both trainings of a combination take place in turn in one process. On a CPU a tape (``tests/taped.py``) stands in for
graphs: its bits mean something, its speed does not. The file is complete after each combination, so that a run that is
stopped leaves what it has. The exit code is 1 if a combination gives other bits, is not recorded, or fails.
"""

from __future__ import annotations

import argparse
import gc
import math
import os
import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import msgspec
import torch
from msgspec import Struct
from taped import TapeRecorder

from ganbench import Unsupported, plugins
from ganbench.contracts.executor import TrainingJob
from ganbench.device.determinism import configured
from ganbench.errors import GanbenchError, told
from ganbench.plugins.protocols import load_protocol
from ganbench.runs.players import build_players
from ganbench.runs.setup import Bench, prepare
from ganbench.runs.stopwatch import BUDGET
from ganbench.runs.trainers import build_trainer
from ganbench.training.capture import EAGER, PROOFS, WARM_UP
from ganbench.training.trainer import Trainer

PROTOCOLS = {
    "mlp": "ring-v1",
    "dcgan": "digits-16-v1",
    "dcgan-upsample": "digits-16-v1",
    "sngan": "digits-16-v1",
    "r3gan": "digits-16-v1",
    "cgan": "digits-16-cond-v1",
    "cgan-mlp": "digits-16-cond-v1",
    "acgan": "digits-16-cond-v1",
    "sngan-projection": "digits-16-cond-v1",
    "biggan-small": "digits-16-cond-v1",
    "cyclegan": "digits-edges-v1",
    "wavegan": "drums-v1",
    "videogan": "moving-digits-v1",
    "videogan-two-critic": "moving-digits-v1",
    "stylegan2": "digits-16-v1",
}
"""Arch -> a protocol that it can play under."""
FIRST = ("wgan-gp", "non-saturating", "rpgan-r1-r2")
"""Several D updates and a penalty, neither, and relativistic: the others resemble these."""
LOSSES = sorted(
    (source.name for source in plugins.of_kind("loss") if source.package == "ganbench"),
    key=lambda name: FIRST.index(name) if name in FIRST else len(FIRST),
)
COMBINATIONS = [(arch, loss) for loss in LOSSES for arch in PROTOCOLS]
"""In order of importance, should the time run out."""
REPLAYS = 2
"""Of each kind of iteration, after its proofs, before the bits are compared."""
ROUNDS = 3
ROUND_SECONDS = 0.05


class Comparison(Struct, frozen=True):
    """One combination.

    ``same_bits`` is that of weights, buffers and averages after ``iterations`` iterations. ``graph_ms`` and
    ``eager_ms`` are medians for one iteration, ``ratio`` is the median of the second over the first, round by round.
    ``mode`` is ``"graph"``, or ``"eager: <why it is not recorded>"``.
    """

    arch: str
    loss: str
    protocol: str
    mode: str
    iterations: int
    same_bits: bool
    graph_ms: float
    eager_ms: float
    ratio: float

    @property
    def good(self) -> bool:
        """Whether it is recorded, with the bits of plain iterations."""
        return self.same_bits and self.mode == "graph"


class Failure(Struct, frozen=True):
    """A combination that could not be compared. It may be one that is not meant to be: ``unsupported``."""

    arch: str
    loss: str
    protocol: str
    why: str
    unsupported: bool

    @property
    def good(self) -> bool:
        """Whether nothing is wrong with it."""
        return self.unsupported


class Report(Struct):
    """What the file holds; ``left`` combinations were not reached in time."""

    device: str
    torch: str
    left: int
    compared: list[Comparison] = []
    failed: list[Failure] = []


def outcome_of(arch: str, loss: str, device: str) -> Comparison | Failure:
    """Compare one combination, and survive whatever happens."""
    try:
        return compared(arch, loss, device)
    except Exception as error:
        why = error.message if isinstance(error, GanbenchError) else told(error)
        return Failure(arch, loss, PROTOCOLS[arch], why, isinstance(error, Unsupported))


def compared(arch: str, loss: str, device: str) -> Comparison:
    """Train a combination both ways, compare the bits, then time both in turn."""
    rules = load_protocol(PROTOCOLS[arch])
    names = {"arch": f"ganbench:{arch}", "loss": f"ganbench:{loss}"}
    job = TrainingJob(protocol=rules, digest=rules.digest, seed=0, folder="", device=device, **names)
    bench = prepare(rules, device)
    with patch.dict(os.environ, {EAGER: "1"}):
        eager = trainer_of(job, bench)
    with recording(device):
        graph = trainer_of(job, bench)
    ms(eager, 1)  # shows which terms are lazy
    iterations = (WARM_UP + PROOFS + REPLAYS) * eager.cycle
    ms(eager, iterations - 1)
    ms(graph, iterations)
    same, cycle = eager.fingerprint() == graph.fingerprint(), eager.cycle
    pairs = [(ms(graph, many(graph, cycle)), ms(eager, many(eager, cycle))) for _ in range(ROUNDS)]
    graph_ms, eager_ms = (statistics.median(values) for values in zip(*pairs, strict=True))
    ratio = statistics.median(slow / fast for fast, slow in pairs)
    numbers = (round(number, 4) for number in (graph_ms, eager_ms, ratio))
    return Comparison(arch, loss, rules.name, graph.mode, iterations, same, *numbers)


def trainer_of(job: TrainingJob, bench: Bench) -> Trainer:
    """A trainer at its beginning, with players of its own."""
    return build_trainer(job, bench, build_players(job, bench.dataset), d_updates=BUDGET)


@contextmanager
def recording(device: str) -> Iterator[None]:
    """Trainers built inside the block record their iterations, on a CPU too."""
    if device == "cpu":
        with patch("ganbench.training.trainer.recorder_for", lambda *_: TapeRecorder()):
            yield
    else:
        yield


def ms(trainer: Trainer, iterations: int) -> float:
    """Train, and return the milliseconds of one iteration."""
    window = trainer.advance(trainer.d_done + iterations * trainer.recipe.d_steps)
    return 1000 * window.seconds / iterations


def many(trainer: Trainer, cycle: int) -> int:
    """The iterations of a round, in which every lazy term comes as often as it should."""
    return cycle * math.ceil(1000 * ROUND_SECONDS / (cycle * ms(trainer, cycle)))


def compare_all(
    combinations: Iterable[tuple[str, str]], device: str, seconds: float, written: Callable[[Report], None]
) -> Report:
    """Compare one combination after another until the time is over; ``written`` gets the report after each."""
    left = list(combinations)
    report = Report(device_name(device), str(torch.__version__), len(left))
    ends = time.monotonic() + seconds
    while left and time.monotonic() < ends:
        outcome = outcome_of(*left.pop(0), device)
        gc.collect()  # a trainer is part of a circle, and its graphs hold memory of their own
        if isinstance(outcome, Comparison):
            report.compared.append(outcome)
        else:
            report.failed.append(outcome)
        report.left = len(left)
        written(report)
        print(outcome, flush=True)
    return report


def device_name(device: str) -> str:
    """A GPU's model, or ``cpu``."""
    return torch.cuda.get_device_name(device) if device != "cpu" else device


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    with configured(1):
        report = compare_all(
            COMBINATIONS, given.device, given.seconds, lambda now: given.out.write_bytes(msgspec.json.encode(now))
        )
    outcomes = [*report.compared, *report.failed]
    bad = [f"{one.arch} x {one.loss}" for one in outcomes if not one.good]
    print(f"{len(outcomes)} of {len(COMBINATIONS)} combinations, wrong: {', '.join(bad) or 'none'}")
    return int(bool(bad))


if __name__ == "__main__":
    raise SystemExit(main())
