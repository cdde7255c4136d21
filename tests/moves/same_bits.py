"""Prove that a move of code changes no bit: the same thirty jobs, run from two trees on one machine, compared.

    python tests/moves/same_bits.py TREE_A TREE_B [--only PATTERN] [--keep FOLDER]

Each tree is a checkout. Its `ganbench` and its plugins run the jobs of `jobs.py` through the command line, about four
minutes a tree on one core. Then their records are compared as plain JSON: how a run ended, its weights, samples, draws
and curve, and the data and extractor that it was judged by. Source hashes, versions, times and the machine are not
compared, and of sentences only the numbers. The exit code is 1 if anything differs.

With `--keep FOLDER` the results stay there under a hash of the tree's content, and a tree that has not changed is not
run again. Two trees of the same content are both run: this shows that the jobs repeat their bits on this machine.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

TESTS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS))

from moves.jobs import JOBS, RULES, Job, write_inputs  # noqa: E402

Record = Mapping[str, Any]
SHOWN = 300  # characters of what a command printed before it failed


class Refusal(Exception):
    """What the user can mend, in a sentence."""


# -- one tree --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Tree:
    """A checkout, and the folder of its results; ``inputs`` is the folder of what the protocols read."""

    root: Path
    results: Path
    inputs: Path

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables under which Python imports this tree, and no other package's plugins.

        Caches lie beside the results: nothing is written to the tree, and no tree reads what another has computed.
        """
        path = [self.results / "site", self.root, self.root / "plugins"]
        # without bytecode Python would compile all of torch again for every job
        inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        return inherited | {
            "PYTHONPATH": os.pathsep.join(map(str, path)),
            "PYTHONPYCACHEPREFIX": str(self.results.parent / "bytecode"),
            "GANBENCH_CACHE": str(self.results / "cache"),
            "GANBENCH_INCEPTION": str(self.inputs / "inception.pt"),
            "GANBENCH_OFFLINE": "1",
            "GANBENCH_PLUGINS": "ganbench",
            "OMP_NUM_THREADS": "1",
            "MKL_NUM_THREADS": "1",
        }

    def python(self, *arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
        """Run Python in this tree's environment, its output into one string."""
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )


def prepare(tree: Tree) -> None:
    """Announce the tree's plugins, and check that Python imports this tree.

    Raises:
        Refusal: Python imports something else, or nothing.
    """
    tree.results.mkdir(parents=True, exist_ok=True)
    _announce(tree)
    where = "import ganbench, ganbench_baselines as b; print(ganbench.__file__, b.__file__, sep='\\n')"
    said = tree.python("-c", where, folder=tree.results)
    files = said.stdout.splitlines()
    if said.returncode or not all(Path(file).is_relative_to(tree.root) for file in files):
        raise Refusal(f"ganbench is not imported from {tree.root} but: {files[-1] if files else 'not at all'}")


def _announce(tree: Tree) -> None:
    """Write the entry points of the tree's pyproject.toml as metadata of a package, first on the path."""
    project = tomllib.loads((tree.root / "pyproject.toml").read_text("utf-8"))["project"]
    number = project.get("version", "0")  # where it is dynamic, records do without
    info = tree.results / "site" / f"ganbench-{number}.dist-info"
    info.mkdir(parents=True, exist_ok=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: ganbench\nVersion: {number}\n")
    lines = [line for group, points in project["entry-points"].items() for line in (f"[{group}]", *_points(points))]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")


def _points(points: Mapping[str, str]) -> list[str]:
    return [f"{name} = {module}" for name, module in points.items()]


def content_of(root: Path) -> str:
    """12 hex digits over everything in a tree that can change a run.

    Raises:
        Refusal: the folder is no checkout of this project.
    """
    if not (root / "ganbench" / "__init__.py").is_file() or not (root / "plugins" / "ganbench_baselines").is_dir():
        raise Refusal(f"{root} is no checkout of GANBench: it needs `ganbench` and `plugins/ganbench_baselines`")
    files = [root / "pyproject.toml", *(file for part in ("ganbench", "plugins") for file in (root / part).rglob("*"))]
    digest = hashlib.sha256()
    for file in sorted(file for file in files if file.is_file() and "__pycache__" not in file.parts):
        digest.update(file.relative_to(root).as_posix().encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:12]


# -- one job of one tree ---------------------------------------------------------------------------------------------


def run(job: Job, tree: Tree) -> Path:
    """Run a job unless results of the same command are there; returns the folder of its results."""
    folder = tree.results / re.sub(r"[^\w.+-]", "_", job.name)
    protocol = tree.inputs / f"{job.rules}.toml"
    command = json.dumps([*software(), *job.arguments, protocol.read_text("utf-8")])
    done = folder / "command.json"
    if not done.exists() or done.read_text("utf-8") != command:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        place = [f"--protocol={protocol}", f"--out={folder / 'runs'}", "--device=cpu", "--jobs=1", "--quiet"]
        said = tree.python("-m", "ganbench", "run", *job.arguments, *place, folder=folder)
        (folder / "output.txt").write_text(said.stdout, encoding="utf-8")
        if records_in(folder).get("run", {}).get("status") == job.ends:  # anything else is tried again
            done.write_text(command, encoding="utf-8")
    return folder


def software() -> list[str]:
    """What decides the last bits on one machine, apart from the tree."""
    capabilities = [os.environ.get(name, "") for name in ("ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA")]
    return [sys.version, version("torch"), *capabilities]


def records_in(folder: Path) -> dict[str, Record]:
    """The record of the trained run, under ``"run"``, and those of the yardsticks, under their names.

    For a run that left no record there is one that says so, with the end of what the command printed.
    """
    found = [json.loads(file.read_text("utf-8")) for file in sorted(folder.rglob("record.json"))]
    said = " ".join((folder / "output.txt").read_text("utf-8").split())
    none = {"run": {"status": "nothing", "reason": said[-SHOWN:]}}
    return none | {record.get("yardstick") or "run": record for record in found}


# -- two records -----------------------------------------------------------------------------------------------------


def facts_of(record: Record) -> dict[str, Any]:
    """The values in which two trees have to agree, causes before effects."""
    bits = record.get("bits") or {}
    checks = dict(record.get("self_checks") or {})
    failed = [numbers_in(sentence) for sentence in checks.pop("failed", ())]
    return {
        "protocol digest": record.get("digest"),
        "dataset hash": record.get("dataset_hash"),
        "extractor": record.get("extractor"),
        "parameters": record.get("parameters"),
        "trace": str(bits.get("trace", "")).split(),
        "status": record.get("status"),
        "reason": numbers_in(record.get("reason", "")),
        "weights": bits.get("weights"),
        "samples": bits.get("samples"),
        "draws": record.get("draws"),
        "scores": record.get("scores"),
        "columns": record.get("columns"),
        "curve": [{"kimg": look.get("kimg"), "score": look.get("score")} for look in record.get("curve") or ()],
        "best": record.get("best"),
        "self-checks": checks,
        "failed checks": failed,
        "images": (record.get("cost") or {}).get("images"),
    }


def numbers_in(sentence: str) -> list[str]:
    """The numbers of a sentence, whose words may be rewritten; a sentence without any differs from none."""
    return [*re.findall(r"\d+(?:\.\d+)?(?:e[+-]?\d+)?", sentence), "."] if sentence else []


def first_difference(a: object, b: object, name: str = "") -> str:
    """Where two values part and what stands there, in words; empty where they are equal."""
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        pairs = [(f"{name} {key}".strip(), a.get(key), b.get(key)) for key in {**a, **b}]
    elif isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        pairs = [(f"{name}[{place}]", *both) for place, both in enumerate(zip(a, b, strict=True))]
    else:
        return "" if a == b and type(a) is type(b) else f"{name}: {_short(a)} and {_short(b)}"
    return next((found for place, one, other in pairs if (found := first_difference(one, other, place))), "")


def _short(value: object) -> str:
    text = f"{len(value)} values" if isinstance(value, list) else repr(value)
    return text if len(text) <= 40 else text[:37] + "..."


def compare(job: Job, a: Mapping[str, Record], b: Mapping[str, Record]) -> str:
    """The first difference between two trees' records of a job, or why they prove nothing; empty if they are equal."""
    pairs = {key: (facts_of(a[key]), facts_of(b[key])) for key in {**a, **b} if key in a and key in b}
    differences = (first_difference(*both, f"{key}:") for key, both in pairs.items())
    return without_proof(job, a) or without_proof(job, b) or next(filter(None, differences), "")


def without_proof(job: Job, records: Mapping[str, Record]) -> str:
    """Why one tree's records of a job prove nothing even if the other's are the same; empty if they do."""
    rules = RULES[job.rules]
    for key, record in records.items():
        ends = job.ends if key == "run" else "ok"
        if record.get("status") != ends:
            return f"{key}: ended as {record.get('status')} instead of {ends}: {record.get('reason')}"
        needed = ["samples", "draws"]
        if key == "run":
            needed += ["trace", "weights", "curve"] if rules.checks > 1 else ["trace", "weights"]
        if missing := [name for name in needed if ends == "ok" and not facts_of(record)[name]]:
            return f"{key}: a record without {', '.join(missing)}"
    missing = [key for key in ("run", *rules.yardsticks) if key not in records]
    return f"no record of {', '.join(missing)}" if missing else ""


# -- the command -----------------------------------------------------------------------------------------------------


@contextmanager
def _kept(folder: Path | None) -> Iterator[Path]:
    """The folder that the user named, or a temporary one."""
    if folder is not None:
        yield folder.resolve()
        return
    with tempfile.TemporaryDirectory(prefix="same-bits-") as temporary:
        yield Path(temporary)


def trees_in(folder: Path, roots: tuple[Path, Path]) -> tuple[Tree, Tree]:
    """Both trees, ready to run.

    Raises:
        Refusal: one of them is not.
    """
    contents = [content_of(root) for root in roots]
    if contents[0] == contents[1]:
        contents[1] += "-again"
    a, b = (Tree(root, folder / content, folder / "inputs") for root, content in zip(roots, contents, strict=True))
    write_inputs(folder / "inputs")
    prepare(a)
    prepare(b)
    return a, b


def compare_all(jobs: Sequence[Job], trees: tuple[Tree, Tree]) -> dict[str, str]:
    """Name of a job -> its first difference, printed as they come; both trees run a job at the same time."""
    progress, found = Console(stderr=True, highlight=False, markup=False, soft_wrap=True), {}
    with ThreadPoolExecutor(len(trees)) as pool:
        for job in jobs:
            began = time.monotonic()
            one, other = pool.map(partial(run, job), trees)
            found[job.name] = compare(job, records_in(one), records_in(other))
            progress.print(f"{job.name}: {found[job.name] or 'equal'} ({time.monotonic() - began:.0f} s)")
    return found


def main(
    tree_a: Annotated[Path, typer.Argument(help="A checkout, for example from before the move.")],
    tree_b: Annotated[Path, typer.Argument(help="Another.")],
    only: Annotated[str, typer.Option(help="Only jobs whose names match, for example '*cyclegan*'.")] = "*",
    keep: Annotated[Path | None, typer.Option(help="Where results are kept and looked for.")] = None,
) -> None:
    """Run the same jobs from two trees and compare the bits; exit code 1 if any differ."""
    jobs = [job for job in JOBS if fnmatch(job.name, only)]
    if not jobs:
        _refuse(f"no job matches '{only}'; names are such as '{JOBS[0].name}'")
    with _kept(keep) as folder:
        try:
            trees = trees_in(folder, (tree_a.resolve(), tree_b.resolve()))
        except Refusal as refusal:
            _refuse(str(refusal))
        found = compare_all(jobs, trees)
    table = Table("job", "first difference")
    for name, difference in found.items():
        table.add_row(Text(name), Text(difference or "equal"))
    Console().print(table)
    equal = sum(not difference for difference in found.values())
    print(f"{equal} of {len(found)} jobs equal")
    raise typer.Exit(int(equal < len(found)))


def _refuse(sentence: str) -> NoReturn:
    print(sentence, file=sys.stderr)
    raise typer.Exit(2)


if __name__ == "__main__":
    typer.run(main)
