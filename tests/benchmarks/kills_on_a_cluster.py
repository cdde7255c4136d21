"""A grid of tiny runs on a Ray cluster, while workers, machines and the command itself are killed; then a count.

    python tests/benchmarks/kills_on_a_cluster.py --runs 200 --out s3

The cluster's machines are processes of this one, with a core each. All that is killed was started here. The same grid
runs on this machine first, undisturbed, to compare every bit. It needs ganbench[ray,s3], moto[server] and Linux.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import toy
from clustered import add_machine, machines, object_store
from running import bits

from ganbench.records.history import read_history
from ganbench.records.store import read
from ganbench.runs.storage import Storage

LOSSES = ("hinge", "lsgan", "minimax", "non-saturating", "wgan")
BUCKET = "bucket"
WEIGHTS = {"worker": 6, "machine": 1, "command": 2}
"""How often each is killed, relative to the others."""


class Grid:
    """A grid of so many runs in ``folder``, and the command that carries it out.

    Args:
        folder: for the grid's file, and for runs that are not stored elsewhere.
        runs: how many; a multiple of the number of losses.
        environment: of the command.
    """

    def __init__(self, folder: Path, runs: int, environment: Mapping[str, str]) -> None:
        self.folder, self.environment = folder, {**environment, "NO_COLOR": "1", "COLUMNS": "160"}
        seeds = [*range(runs // len(LOSSES))]
        rules = toy.QUICK.replace("quick-v1", "kills-v1").replace("seeds = [0]", f"seeds = {seeds}")
        (folder / "kills.toml").write_text(rules)
        losses = ", ".join(f'"{name}"' for name in LOSSES)
        (folder / "grid.toml").write_text(f'protocol = "kills.toml"\narch = "mlp"\nloss = [{losses}]\n')

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start the command in a process group of its own; what it says is added to ``said.txt``."""
        with (self.folder / "said.txt").open("ab") as said:
            return subprocess.Popen(
                [sys.executable, "-m", "ganbench", "run", "--grid", "grid.toml", "--device", "cpu", *arguments],
                cwd=self.folder,
                env=self.environment,
                stdout=said,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )


def workers_of(cluster: Any) -> list[int]:
    """The processes of all workers that carry out jobs, on every machine of the cluster."""
    raylets = {process.process.pid for node in cluster.list_all_nodes() for process in node.all_processes["raylet"]}
    return [pid for pid, parent, name in _processes() if parent in raylets and name.startswith("ray::Worker")]


def _processes() -> Iterator[tuple[int, int, str]]:
    """Every process, as its number, its parent's, and its title."""
    for entry in Path("/proc").iterdir():
        try:
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1]) if entry.name.isdigit() else 0
            title = (entry / "cmdline").read_bytes().decode() if parent else ""
        except (OSError, IndexError):  # it has just ended
            continue
        if parent:
            yield int(entry.name), parent, title


def disturbed(grid: Grid, cluster: Any, arguments: list[str], rng: random.Random, every: float) -> Counter[str]:
    """Carry out the grid, and kill something after ``every`` seconds or so; returns how often what was killed."""
    killed = Counter[str]()
    command = grid.start(*arguments)
    while True:
        pause = time.monotonic() + rng.uniform(0.3, 1.7) * every
        while time.monotonic() < pause and command.poll() is None:
            time.sleep(0.05)
        if command.poll() is not None and command.returncode != 1:  # 1 says that runs were lost for good
            return killed
        if command.poll() is not None:
            killed["(started again, as runs were lost more often than --retries says)"] += 1
            command = grid.start(*arguments)
            continue
        victim = rng.choices([*WEIGHTS], [*WEIGHTS.values()])[0]
        if victim == "worker" and (found := workers_of(cluster)):
            os.kill(rng.choice(found), signal.SIGKILL)
        elif victim == "machine":
            cluster.remove_node(rng.choice(list(cluster.worker_nodes)), allow_graceful=False)
            add_machine(cluster)
        elif victim == "command":
            os.killpg(command.pid, signal.SIGKILL)
            command.wait()
            command = grid.start(*arguments)
        else:
            continue
        killed[victim] += 1
        print(f"killed: {dict(killed)}", flush=True)


def fetched(out: str, folder: Path) -> Path:
    """The folder with all files of the runs stored at an address."""
    if "://" not in out:
        return Path(out)
    store = Storage(out)
    for path in store.system.find(store.root):
        file = folder / str(path).removeprefix(store.root).lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(store.system.cat_file(path))
    return folder


def count(undisturbed: Path, other: Path) -> Counter[str]:
    """What became of each run of the first folder in the second."""
    counted = Counter[str]()
    for file in sorted(undisturbed.glob("kills-v1/*/*/record.json")):
        twin = other / file.relative_to(undisturbed)
        counted["runs"] += 1
        if not twin.exists():
            counted["lost"] += 1
            continue
        steps = [row["step"] for row in read_history(twin.parent / "history.jsonl")]
        log = (twin.parent / "log.txt").read_text()
        counted["other bits"] += bits(read(twin)) != bits(read(file))
        counted["steps twice in the history"] += steps != sorted(set(steps))
        counted["checkpoints left"] += len(list(twin.parent.glob("checkpoints/*")))
        counted["attempts"] += log.count(" begins on ")
        counted["resumed"] += log.count(" resumes at ")
        counted["judged more than once"] += log.count(" judging") > 1
    counted["too many"] = len(list(other.glob("kills-v1/*/*/record.json"))) - counted["runs"] + counted["lost"]
    return counted


def main() -> None:
    """Run both grids, and print the counts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--out", choices=["folder", "s3"], default="folder")
    parser.add_argument("--machines", type=int, default=3)
    parser.add_argument("--every", type=float, default=6.0, help="seconds between kills, on average")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kills-") as scratch, ExitStack() as stack:
        folder = Path(scratch)
        known = stack.enter_context(object_store(BUCKET)) if asked.out == "s3" else dict(os.environ)
        grid = Grid(folder, asked.runs, {**known, "XDG_CACHE_HOME": str(folder / "cache")})
        began = time.monotonic()
        if grid.start("--out", "undisturbed", "-q").wait():
            sys.exit((folder / "said.txt").read_text())
        print(f"undisturbed on this machine: {time.monotonic() - began:.0f} s", flush=True)
        cluster = stack.enter_context(machines(asked.machines))
        out, began = "s3://bucket/runs" if asked.out == "s3" else str(folder / "runs"), time.monotonic()
        arguments = ["--executor", "ray", "--address", cluster.address, "--out", out, "--retries", "100", "-q"]
        killed = disturbed(grid, cluster, arguments, random.Random(asked.seed), asked.every)
        print(f"on the cluster: {time.monotonic() - began:.0f} s, killed: {dict(killed)}")
        print(dict(count(folder / "undisturbed", fetched(out, folder / "fetched"))))
        print((folder / "said.txt").read_text()[-2000:])


if __name__ == "__main__":
    main()
