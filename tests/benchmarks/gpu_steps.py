"""The steps of ``gpu.sh``, one after another, each in a process of its own and with a limit of time.

    python tests/benchmarks/gpu_steps.py RESULTS [--device cpu] [--only STEP ...]

A step that fails or takes too long is no reason to stop. ``summary.json`` is complete after each step; ``log.txt``
holds all that the steps print. The exit code is 0 if every step was carried out and passed.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec
import torch
from msgspec import Struct

import ganbench

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
TOTAL = 530
"""Seconds for all steps."""
CLOSING = 15
"""Seconds that a step has to end in good order when its time is over."""
SHORTEST = 10
"""With fewer seconds left, a step is not begun."""
TAIL = 15
"""Lines of a step's output that the summary repeats."""
PYTHON = (sys.executable,)
GANBENCH = (*PYTHON, "-m", "ganbench")
PLUGINS = ("-p", "pytest_timeout", "-p", "pytest_benchmark.plugin", "-p", "no:cacheprovider")
PYTEST = (*PYTHON, "-m", "pytest", "-v", "-rfE", "-W", "default", "-o", "addopts=", *PLUGINS)


class Step(NamedTuple):
    """What is carried out, within how many seconds, and its file among the results.

    The command writes ``file`` itself, or it is what the command prints (``output``), or a copy of ``made``.
    """

    name: str
    seconds: int
    command: tuple[str, ...]
    file: str = ""
    output: bool = False
    made: Path | None = None


class Outcome(Struct, frozen=True):
    """What became of a step; ``tail`` are the last lines that it printed."""

    step: str
    status: Literal["passed", "failed", "out of time", "not begun"]
    seconds: float = 0.0
    file: str = ""
    tail: list[str] = []


class Summary(Struct):
    """Where the steps were carried out, and their outcomes."""

    device: str
    torch: str
    ganbench: str
    steps: list[Outcome] = []


def steps_on(device: str, results: Path, runs: Path) -> list[Step]:
    """All steps, the most valuable first; on a CPU they are small.

    Args:
        device: ``"cuda"`` or ``"cpu"``.
        results: where files go.
        runs: where runs go, which are not among the results.
    """
    small, on = device == "cpu", ("--device", device)

    def script(name: str, file: str, *arguments: str) -> tuple[str, ...]:
        return (*PYTHON, str(HERE / name), *arguments, *on, "--out", str(results / file))

    def timing(protocol: str, *arguments: str) -> tuple[str, ...]:
        return (*GANBENCH, "time", protocol, *on, "--runs", str(runs), "--json", *arguments)

    duels = (
        "digits-16 and non-saturating and textbooks"
        if small
        else "not digits-16 and (textbooks or tf32 or bf16+channels-last)"
    )
    textbook = (*PYTEST, "--benchmark-only", "-s", "--timeout=60", f"--benchmark-json={results / 'textbook.json'}")
    rules = "smoke-v1" if small else "digits-64-v1"
    row = ("--protocol", rules, "--arch", "dcgan", "--loss", "non-saturating", "--seed", "0", "--out", str(runs))
    record = runs / rules / "dcgan+non-saturating" / "seed0" / "record.json"
    wide = ("smoke-v1" if small else str(HERE / "wide.toml"), "--arch", "dcgan", "--rounds", "3", "--loss")
    company = ("smoke-v1",) if small else ("digits-16-v1", "digits-64-v1")
    tables = {"gaussian-1d-v1": ("--rounds", "2")} if small else dict.fromkeys(published(), ())
    seconds = ("--seconds", "20" if small else "120")
    return [
        Step("tests", 90, (*PYTEST, "--benchmark-disable", str(ROOT / "tests" / "test_cuda.py"))),
        Step("graphs", 150, script("graphs_against_eager.py", "graphs.json", *seconds), "graphs.json"),
        *(Step(f"wide-{loss}", 50, timing(*wide, loss), "wide.jsonl", True) for loss in ("non-saturating", "wgan-gp")),
        Step("textbook", 110, (*textbook, *on, "-k", duels, str(HERE / "test_against_textbook.py")), "textbook.json"),
        Step("at-once", 75, script("runs_at_once.py", "at-once.json", *company), "at-once.json"),
        Step("row", 120, (*GANBENCH, "run", *row, *on), "row.json", made=record),
        *(Step(f"time-{table}", TOTAL, timing(table, *more), "timings.jsonl", True) for table, more in tables.items()),
    ]


def published() -> list[str]:
    """The protocols with a published table, those with the fewest rows to time first."""
    tables = {path.parent.name: path.read_text("utf-8") for path in ROOT.glob("leaderboards/*/table.csv")}
    return sorted(tables, key=lambda name: (tables[name].count("\nentry,"), name))


def carried_out(step: Step, limit: float, results: Path) -> Outcome:
    """Carry out a step in a process group of its own, which ends with it, and end it after ``limit`` seconds."""
    log, printed = results / "log.txt", results / (step.file if step.output else "log.txt")
    began = time.monotonic()
    with log.open("ab") as lines, printed.open("ab") as output:
        start = lines.tell()
        process = subprocess.Popen(
            step.command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=lines,
            cwd=ROOT,
            env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},  # the machine's plugins are not ours
            start_new_session=True,
        )
        try:
            status = "failed" if process.wait(limit) else "passed"
        except subprocess.TimeoutExpired:
            status = "out of time"
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(CLOSING)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    if step.made is not None and step.made.exists():
        shutil.copyfile(step.made, results / step.file)
    with log.open("rb") as lines:
        lines.seek(start)
        tail = lines.read().decode(errors="replace").splitlines()[-TAIL:]
    return Outcome(step.name, status, round(time.monotonic() - began, 1), step.file, tail)


def carry_out_all(steps: Sequence[Step], results: Path, device: str, total: float = TOTAL) -> Summary:
    """Carry out the steps within ``total`` seconds, and write the summary after each."""
    name = torch.cuda.get_device_name() if device == "cuda" else device
    summary = Summary(name, str(torch.__version__), ganbench.__version__)
    ends = time.monotonic() + total
    for step in steps:
        left = ends - time.monotonic()
        outcome = (
            Outcome(step.name, "not begun") if left < SHORTEST else carried_out(step, min(step.seconds, left), results)
        )
        summary.steps.append(outcome)
        (results / "summary.json").write_bytes(msgspec.json.format(msgspec.json.encode(summary)))
        print(f"{outcome.step:<24} {outcome.seconds:6.1f} s  {outcome.status:<12} {outcome.file}", flush=True)
    return summary


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("results", type=Path)
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--only", nargs="+", default=[], metavar="STEP", help="the beginning of a step's name")
    given = parser.parse_args()
    if given.device == "cuda" and not torch.cuda.is_available():
        parser.error("torch sees no GPU here; --device cpu tries the steps out")
    results = given.results.absolute()
    results.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as runs:
        steps = steps_on(given.device, results, Path(runs))
        chosen = [step for step in steps if not given.only or step.name.startswith(tuple(given.only))]
        summary = carry_out_all(chosen, results, given.device)
    return int(any(outcome.status != "passed" for outcome in summary.steps))


if __name__ == "__main__":
    raise SystemExit(main())
