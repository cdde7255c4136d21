"""Prepares a set of images that is larger than memory, trains and judges on it, and prints the memory that it took:

    python tests/benchmarks/larger_than_memory.py FOLDER [GIGABYTES]

The images are distinct blocks of random bytes, 3x64x64, in FOLDER. Anonymous memory is what the system cannot drop. It
is measured every 50 ms in every process of the command, against that of a process that has only imported ganbench
and torch. The part of the file that is in the page cache does not count.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from installing import add_package, surroundings

DATASET = """
    import os
    import numpy as np
    import torch
    from ganbench import Dataset, DataSpec, Oracle, Split, hookimpl, prepared

    SHAPE = (3, 64, 64)

    def read(number):
        return np.frombuffer(np.random.default_rng(number).bytes(3 * 64 * 64), np.uint8).reshape(SHAPE)

    @hookimpl
    def ganbench_dataset():
        n = int(os.environ["BLOCKS"])
        train, test = prepared("blocks", ["v1"], (range(n - 5000), range(n - 5000, n)), read, SHAPE).arrays
        labels = [torch.arange(len(x)) % 10 for x in (train, test)]
        return Dataset("blocks", DataSpec(SHAPE, 10), Split(train, labels[0]), Split(test, labels[1]))
"""
PROTOCOL = """
name = "blocks"
dataset = "blocks"
seeds = [0]
resolution = 64

[training]
budget_kimg = 6
batch = 64
width = 16

[evaluation]
samples = 2000
metrics = ["fid", "kid", "precision-recall", "density-coverage"]
headline = "fid"
extractor = "digits-cnn"
reference = "{reference}"
checks = 2
yardsticks = ["real data", "training data", "class gaussians", "gaussian fit", "one class", "noise"]
"""


def anonymous(pid: int) -> int:
    """Bytes of anonymous memory of a process; 0 if it has ended."""
    with suppress(OSError):
        if found := re.search(r"RssAnon:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text()):
            return 1024 * int(found[1])
    return 0


def below(pid: int) -> list[int]:
    """A process and all that it has started."""
    found = [pid]
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += [one for child in (task / "children").read_text().split() for one in below(int(child))]
    return found


def watched(command: list[str], environment: dict[str, str], folder: Path) -> tuple[float, int]:
    """Seconds that a command took, and the most anonymous memory that one of its processes had."""
    began, most = time.monotonic(), 0
    process = subprocess.Popen(command, env=environment, cwd=folder)
    while process.poll() is None:
        most = max(most, *(anonymous(pid) for pid in below(process.pid)))
        time.sleep(0.05)
    if process.returncode:
        raise SystemExit(f"{command} ended with {process.returncode}")
    return time.monotonic() - began, most


def main(folder: Path, gigabytes: float) -> None:
    """Prepare, train, judge, and print."""
    site = folder / "site"
    site.mkdir(parents=True, exist_ok=True)
    if not list(site.iterdir()):
        add_package(site, "blocks", "dataset", "blocks", DATASET)
    blocks = int(gigabytes * 1e9) // (3 * 64 * 64)
    environment = surroundings(site, BLOCKS=str(blocks), GANBENCH_DATA=str(folder), OMP_NUM_THREADS="1")
    bare = [sys.executable, "-c", "import time, torch, ganbench.runs.run, ganbench.evaluation.judge; time.sleep(2)"]
    _, base = watched(bare, environment, folder)
    print(f"{blocks:,} images, {blocks * 3 * 64 * 64 / 1e9:.1f} GB; torch alone {base / 1e9:.2f} GB", flush=True)
    for name, reference in (("prepared, trained and judged", "train"), ("trained and judged on all", "all")):
        (folder / "blocks.toml").write_text(PROTOCOL.format(reference=reference))
        runs = folder / f"runs-{reference}"
        words = ["run", "--protocol", "blocks.toml", "--arch", "dcgan", "--loss", "r1", "--out", str(runs)]
        seconds, most = watched([sys.executable, "-m", "ganbench", *words], environment, folder)
        print(f"{name}: {seconds:.0f} s, {(most - base) / 1e9:.2f} GB beside torch", flush=True)


if __name__ == "__main__":
    if not 2 <= len(sys.argv) <= 3 or not os.path.isdir("/proc/self/task"):
        raise SystemExit(__doc__)
    main(Path(sys.argv[1]).absolute(), float(sys.argv[2]) if len(sys.argv) == 3 else 20.0)
