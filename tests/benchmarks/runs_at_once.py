"""Several runs on one device at once, against one alone: the images per second of all together.

    python tests/benchmarks/runs_at_once.py digits-64-v1 --device cuda --runs 4 --seconds 5 --out at_once.json

Each run has a process of its own, as under ``ganbench run --jobs``, and all of them train over the same seconds.
"""

from __future__ import annotations

import argparse
import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.synchronize import Barrier
from pathlib import Path

import msgspec
from msgspec import Struct

from ganbench.contracts.executor import TrainingJob
from ganbench.device.determinism import configure
from ganbench.plugins.protocols import load_protocol
from ganbench.runs.players import build_players
from ganbench.runs.setup import prepare
from ganbench.runs.stopwatch import BUDGET
from ganbench.runs.trainers import build_trainer

ARCH, LOSS = "dcgan", "non-saturating"
WARM_UP_ITERATIONS = 20
PATIENCE = 120.0
"""Seconds until every run is warm."""


class Together(Struct, frozen=True):
    """Real images per second that each of several runs showed to D at once."""

    protocol: str
    arch: str
    loss: str
    modes: list[str]
    rates: list[float]
    total: float


_barrier: Barrier


def begin(barrier: Barrier) -> None:
    """Make the barrier known to a process of the pool."""
    global _barrier  # noqa: PLW0603  # a barrier reaches the processes of a pool through their initialiser only
    _barrier = barrier


def trained(protocol: str, seed: int, device: str, seconds: float) -> tuple[str, float]:
    """Train one run beside the others for some seconds: its mode, and images per second."""
    configure(1)
    rules = load_protocol(protocol)
    names = {"arch": f"ganbench:{ARCH}", "loss": f"ganbench:{LOSS}"}
    job = TrainingJob(protocol=rules, digest=rules.digest, seed=seed, folder="", device=device, **names)
    bench = prepare(rules, device)
    trainer = build_trainer(job, bench, build_players(job, bench.dataset), d_updates=BUDGET)
    step = trainer.recipe.d_steps
    trainer.advance(WARM_UP_ITERATIONS * step)
    _barrier.wait(PATIENCE)
    began, images = time.monotonic(), trainer.images
    while (spent := time.monotonic() - began) < seconds:
        trainer.advance(trainer.d_done + WARM_UP_ITERATIONS * step)
    return trainer.mode, (trainer.images - images) / spent


def together(protocol: str, runs: int, device: str, seconds: float) -> Together:
    """Train ``runs`` seeds of a protocol at once."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(runs, context, begin, (context.Barrier(runs),)) as pool:
        futures = [pool.submit(trained, protocol, seed, device, seconds) for seed in range(runs)]
        modes, rates = zip(*(future.result() for future in futures), strict=True)
    return Together(protocol, ARCH, LOSS, [*modes], [round(rate, 1) for rate in rates], round(sum(rates), 1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("protocols", nargs="+")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--runs", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    found: list[Together] = []
    for protocol in given.protocols:
        found += [together(protocol, runs, given.device, given.seconds) for runs in (1, given.runs)]
        given.out.write_bytes(msgspec.json.encode(found))
        alone, several = found[-2:]
        print(f"{protocol}: {alone.total} images/s alone, {several.total} by {given.runs} runs at once", flush=True)


if __name__ == "__main__":
    main()
