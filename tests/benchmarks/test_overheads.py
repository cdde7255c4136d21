"""What GANBench costs beside the training itself: its loop, its history and pictures, its start, its tables.

Run with ``tox -e bench``. Two things are timed in turn in one session and their ratio is printed; nothing asserts
seconds.
"""

from __future__ import annotations

import copy
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from bare_loop import BareLoop
from many_records import write_runs
from versus import versus

from ganbench import plugins
from ganbench.contracts.executor import TrainingJob
from ganbench.device.determinism import configured
from ganbench.plugins.protocols import load_protocol
from ganbench.records.store import read
from ganbench.runs.changes import parse_changes
from ganbench.runs.display import Display
from ganbench.runs.executors.local import LocalExecutor
from ganbench.runs.plan import make_plan
from ganbench.runs.players import build_players
from ganbench.runs.runner import execute
from ganbench.runs.session import carry_out
from ganbench.runs.setup import prepare
from ganbench.training.batches import Stream
from ganbench.training.trainer import Trainer

CPU = torch.device("cpu")
PLAYED = [
    ("digits-16-v1", "dcgan", "non-saturating"),
    ("digits-16-v1", "dcgan", "wgan-gp"),
    ("ring-v1", "mlp", "non-saturating"),
    ("ring-v1", "mlp", "wgan-gp"),
]
"""The size of a published row, and the smallest step that there is."""
CHECKED = 7
"""So many iterations must end in the same bits."""


# -- the loop --------------------------------------------------------------------------------------------------


def both_loops(protocol: str, arch: str, loss: str) -> tuple[Trainer, BareLoop]:
    """The engine and the loop by hand, on copies of the same players, with the same seeds."""
    shared = prepare(load_protocol(protocol), "cpu")
    rules, names = shared.protocol, {"arch": f"ganbench:{arch}", "loss": f"ganbench:{loss}"}
    job = TrainingJob(protocol=rules, digest=rules.digest, seed=0, folder="", **names)
    players = build_players(job, shared.dataset)
    batch, twin = rules.training.batch, copy.deepcopy(players.gan)
    bare = BareLoop(twin, players.played, shared.dataset.train.x, players.recipe, batch, (0, 1, 2))
    stream = Stream(shared.dataset.train, batch, 0, CPU)
    return Trainer(players.gan, players.played, stream, players.recipe, 10**9, 1, 2), bare


@pytest.mark.parametrize(("protocol", "arch", "loss"), PLAYED)
def test_the_engine_against_the_same_iterations_by_hand(benchmark, protocol, arch, loss) -> None:
    with configured(1):
        ours, bare = both_loops(protocol, arch, loss)
        ours.advance(CHECKED * ours.recipe.d_steps)
        bare.advance(CHECKED)
        for module, twin in ((ours.gan.generator, bare.G), (ours.gan.discriminator, bare.D)):
            for mine, theirs in zip(module.state_dict().values(), twin.state_dict().values(), strict=True):
                assert torch.equal(mine, theirs)
        for mine, theirs in zip(ours.averaged.generator.parameters(), bare.averaged.parameters(), strict=True):
            assert torch.equal(mine, theirs)
        many = 20 if arch == "mlp" else 4 if loss == "non-saturating" else 1
        ratio = versus(
            benchmark,
            lambda: ours.advance(ours.d_done + many * ours.recipe.d_steps),
            lambda: bare.advance(many),
            f"{arch} x {loss} of {protocol}, {many} iterations: by hand",
            rounds=25,
            seconds=0.25,
        )
    benchmark.extra_info["overhead"] = round(1 / ratio - 1, 4)
    print(f"the engine's overhead: {1 / ratio - 1:.1%}")


# -- one run ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("protocol", "arch", "loss", "kimg"), [(*PLAYED[0], 8), (*PLAYED[2], 64)])
def test_history_pictures_and_checkpoints_beside_the_training(benchmark, protocol, arch, loss, kimg, tmp_path) -> None:
    """A run has 40 windows and 8 looks whatever its budget, so what they cost is set against the published budget. The
    looks are evaluation, and stand apart."""
    rules = load_protocol(protocol)
    changes = parse_changes([f"budget_kimg={kimg}"])
    named = plugins.find_many("arch", [arch]), plugins.find_many("loss", [loss])
    plan = make_plan(*named, rules, changes=changes, out=tmp_path, device="cpu", seeds=[0], force=True)
    (job,) = plan.runs
    records = []
    with configured(1):
        prepare(job.protocol, job.device)

        def run() -> None:
            records.append(execute(job, lambda _: None, lambda: False))

        benchmark.pedantic(run, rounds=2, warmup_rounds=1)
    costs = [record.cost for record in records[1:]]
    beside = [
        whole - cost.train_seconds - cost.judge_seconds
        for whole, cost in zip(benchmark.stats.stats.data, costs, strict=True)
    ]
    whole_budget = rules.training.budget_kimg / kimg
    training = statistics.median(cost.train_seconds for cost in costs) * whole_budget
    benchmark.extra_info |= {
        "beside_s": round(statistics.median(beside), 3),
        "training_s_at_the_published_budget": round(training, 1),
        "share": round(statistics.median(beside) / training, 4),
    }
    print(f"\n{protocol}: {benchmark.extra_info}")


# -- many runs -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("runs", [20])
def test_orchestration_beside_runs_of_a_minute(benchmark, runs, tmp_path) -> None:
    """Everything between two runs: handing out, events, logs, checkpoints, records, the board. At most 2 % is aimed at.

    Runs of a second are carried out, and what they take beside training and judging is set against a minute.
    """
    rules = load_protocol("smoke-v1")
    named = plugins.find_many("arch", ["mlp"]), plugins.find_many("loss", ["hinge"])

    def grid(out: str, n: int) -> float:
        """Seconds beside training and judging."""
        plan = make_plan(*named, rules, out=tmp_path / out, device="cpu", seeds=range(n))
        began = time.perf_counter()
        with LocalExecutor(1) as executor:
            carry_out(plan, executor, Display())
        whole = time.perf_counter() - began
        costs = [read(job.record_file).cost for job in plan.jobs]
        return whole - sum(cost.train_seconds + cost.judge_seconds for cost in costs)

    first = grid("warm", 1)  # also starts a process and imports torch
    many = benchmark.pedantic(lambda: grid("many", 1 + runs), rounds=1)
    each = (many - first) / runs
    benchmark.extra_info |= {"beside_s_a_run": round(each, 3), "share_of_a_minute": round(each / 60, 4)}
    print(f"\n{runs} runs: {benchmark.extra_info}")


# -- the start -------------------------------------------------------------------------------------------------


FIRST_USE = "import torch; torch.optim.Adam([torch.zeros(1, requires_grad=True)]).step()"
"""What every training in torch loads, ours or not: its optimisers import its compiler when first used."""


def seconds_of(*command: str) -> float:
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def seconds_to_the_first_step(protocol: str, arch: str, out: Path) -> float:
    """From the start of ``ganbench run`` to the picture that is drawn right before the first iteration."""
    chosen = ["--arch", arch, "--loss", "hinge", "--protocol", protocol, "--seed", "0", "--device", "cpu"]
    began = time.time()
    with subprocess.Popen([sys.executable, "-m", "ganbench", "run", *chosen, "-q", "--out", str(out)]) as process:
        while not (drawn := list(out.glob("*/*/seed0/samples/000000.00-kimg.png"))) and process.poll() is None:
            time.sleep(0.005)
        process.terminate()  # in good order: a worker that is left behind would slow down what is timed next
    return drawn[0].stat().st_mtime - began


@pytest.mark.parametrize(("protocol", "arch"), [("smoke-v1", "mlp"), ("digits-16-v1", "dcgan"), ("ring-v1", "mlp")])
def test_a_run_reaches_its_first_step(benchmark, protocol, arch, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    imports: list[float] = []
    first_uses: list[float] = []
    first_steps: list[float] = []
    count = iter(range(10))

    def of_torch() -> None:
        imports.append(seconds_of(sys.executable, "-c", "import torch"))
        first_uses.append(seconds_of(sys.executable, "-c", FIRST_USE))

    def of_a_run() -> None:
        first_steps.append(seconds_to_the_first_step(protocol, arch, tmp_path / str(next(count))))

    benchmark.pedantic(of_a_run, setup=of_torch, rounds=3, warmup_rounds=1)
    beyond = {
        "beyond_import_torch_s": [step - torch for step, torch in zip(first_steps, imports, strict=True)],
        "beyond_first_use_of_torch_s": [step - torch for step, torch in zip(first_steps, first_uses, strict=True)],
    }
    benchmark.extra_info |= {
        "import_torch_s": round(statistics.median(imports), 2),
        "first_step_s": round(statistics.median(first_steps), 2),
        **{name: round(statistics.median(values), 2) for name, values in beyond.items()},
    }
    print(f"\n{protocol}: {benchmark.extra_info}")


# -- a table ---------------------------------------------------------------------------------------------------


PEAK = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


@pytest.fixture(scope="module")
def ten_thousand(tmp_path_factory) -> Callable[[int, int], Path]:
    """Records as runs leave them, written once."""
    out = tmp_path_factory.mktemp("runs")
    written: dict[tuple[int, int], Path] = {}

    def rules_of(entries: int, seeds: int) -> Path:
        if (entries, seeds) not in written:
            written[entries, seeds] = write_runs(entries, seeds, out)
        return written[entries, seeds]

    return rules_of


@pytest.mark.parametrize("form", ["terminal", "csv", "html", "json"])
@pytest.mark.parametrize(("entries", "seeds"), [(200, 50), (2000, 5)])
def test_a_leaderboard_of_ten_thousand_records(benchmark, ten_thousand, entries, seeds, form) -> None:
    rules = ten_thousand(entries, seeds)
    shown = [str(rules), "--runs", str(rules.parent), "--format", form]
    command = [sys.executable, "-m", "ganbench", "leaderboard", *shown]
    peaks: list[int] = []

    def show() -> None:
        done = subprocess.run([sys.executable, "-c", PEAK, *command], check=True, capture_output=True, text=True)
        peaks.append(int(done.stdout))

    benchmark.pedantic(show, rounds=2)
    benchmark.extra_info["peak_mb"] = round(max(peaks) / (1024 if os.uname().sysname == "Linux" else 2**20))
    seconds = statistics.median(benchmark.stats.stats.data)
    print(f"\n{entries} x {seeds} {form}: {seconds:.2f} s, {benchmark.extra_info['peak_mb']} MB")
