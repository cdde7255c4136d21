"""How cost grows: with batch, image, width, number of samples and number of records.

Every round visits all sizes in turn; a size's cost is its median over the rounds. The exponent is the slope of cost
over size on log-log axes, through the upper half of the sizes: 1 is linear. ``plot_growth.py`` draws the sweeps.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pytest
import torch
from many_records import many_records, protocol_of

from ganbench import DataSpec, Split, plugins
from ganbench.contracts.protocol import Recipe
from ganbench.device.determinism import configured
from ganbench.evaluation.sampling import sample
from ganbench.leaderboards.table import build
from ganbench.plugins.protocols import load_protocol
from ganbench.records.store import read_all, write
from ganbench.runs.setup import Bench, prepare
from ganbench.training.batches import Stream
from ganbench.training.trainer import Trainer
from ganbench_baselines.arch import dcgan

CPU = torch.device("cpu")
ROUNDS = 5


def exponent(sizes: Sequence[int], seconds: Sequence[float]) -> float:
    """Slope of log cost over log size, by least squares through the upper half of the sizes."""
    half = len(sizes) // 2
    return float(np.polyfit(np.log(sizes[half:]), np.log(seconds[half:]), 1)[0])


def sweep(benchmark, title: str, axis: str, steps: Mapping[int, Callable[[], object]]) -> None:
    """Time the step of every size; the sizes, their medians and the exponent stand in ``extra_info``."""
    taken: dict[int, list[float]] = {size: [] for size in steps}

    def visit() -> None:
        for size, step in steps.items():
            began = time.perf_counter()
            step()
            taken[size].append(time.perf_counter() - began)

    benchmark.pedantic(visit, rounds=ROUNDS, warmup_rounds=1)
    seconds = [statistics.median(values[1:]) for values in taken.values()]
    found = exponent(list(steps), seconds)
    benchmark.extra_info |= {
        "sweep": title,
        "axis": axis,
        "sizes": list(steps),
        "seconds": [float(f"{value:.4g}") for value in seconds],
        "exponent": round(found, 2),
    }
    shown = ", ".join(f"{size}: {1000 * value:.4g} ms" for size, value in zip(steps, seconds, strict=True))
    print(f"\n{title} over {axis}: exponent {found:.2f} ({shown})")


@pytest.fixture(autouse=True)
def _one_thread():
    with configured(1):
        yield


def an_iteration(batch: int = 16, side: int = 16, width: int = 16) -> Callable[[], object]:
    """One G update and one D update of a DCGAN, non-saturating."""
    images = torch.zeros(256, 1, side, side, dtype=torch.uint8)
    gan = dcgan.ganbench_arch(DataSpec((1, side, side)), None, width, 64)
    loss = plugins.build(plugins.find("loss", "non-saturating"))
    trainer = Trainer(gan, loss, Stream(Split(images), batch, 0, CPU), Recipe(lr=2e-4), 10**9, 1, 2)
    return lambda: trainer.advance(trainer.d_done + 2)


def test_an_iteration_over_batch(benchmark) -> None:
    sizes = (8, 16, 32, 64, 128, 256, 512)
    sweep(benchmark, "two iterations", "batch", {size: an_iteration(batch=size) for size in sizes})


def test_an_iteration_over_pixels(benchmark) -> None:
    """A layer more for each doubling of the side, of about the same cost per pixel: a little more than linear."""
    sides = (16, 32, 64, 128, 256)
    sweep(benchmark, "two iterations", "pixels", {side**2: an_iteration(batch=8, side=side, width=8) for side in sides})


def test_an_iteration_over_width(benchmark) -> None:
    """Channels times channels: the exponent comes near 2."""
    sizes = (8, 16, 32, 64, 128, 256)
    sweep(benchmark, "two iterations", "width", {size: an_iteration(width=size) for size in sizes})


@pytest.fixture(scope="module")
def judging() -> Bench:
    return prepare(load_protocol("digits-16-v1"), "cpu")


@pytest.mark.parametrize(
    ("metrics", "sizes"),
    [(("fid", "is"), (500, 1000, 2000, 4000, 8000, 16000)), (("precision-recall",), (500, 1000, 2000, 4000, 8000))],
    ids=["fid and is", "precision-recall"],
)
def test_drawing_and_judging_over_samples(benchmark, judging, metrics, sizes) -> None:
    """Of a given number of fakes against all 1,797 digits. The neighbours of fakes among themselves take n²."""
    gan = dcgan.ganbench_arch(judging.dataset.spec, None, 16, 64)
    reference = judging.judge.reference

    def drawn(n: int) -> Callable[[], object]:
        like = reference[torch.arange(n) % len(reference)]
        return lambda: judging.judge.score(sample(gan, like, 0, CPU), 0, only=metrics)

    sweep(benchmark, f"drawing and judging by {' and '.join(metrics)}", "samples", {n: drawn(n) for n in sizes})


def test_reading_over_records(benchmark, tmp_path) -> None:
    sizes = (50, 100, 200, 400, 800, 1600)
    paths = []
    for at, record in enumerate(many_records(sizes[-1] // 5, protocol_of(5))):
        paths.append(tmp_path / f"{at}.json")
        write(record, paths[-1])
    sweep(benchmark, "reading records", "records", {n: lambda n=n: read_all(paths[:n]) for n in sizes})


@pytest.mark.parametrize("seeds", [5, 50])
def test_a_table_over_records(benchmark, seeds) -> None:
    """Every entry is tested against every other: what grows as the square of their number. Without garbage collection,
    as in the command."""
    rules, sizes = protocol_of(seeds), (500, 1000, 2000, 4000, 8000)
    records = list(many_records(sizes[-1] // seeds, rules))
    tables = {n: lambda n=n: build(records[:n], rules) for n in sizes}
    gc.disable()
    sweep(benchmark, f"a table of {seeds} seeds an entry", "records", tables)
    gc.enable()
