"""Compares two sets of 50,000 images by 2,048 features, and prints the memory that it took beside torch:

    python tests/benchmarks/many_images.py FOLDER [IMAGES] [METRICS]

The features are those of a random network that takes no time, so that metrics and the files around them are measured.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from larger_than_memory import watched

sys.path.insert(0, str(Path(__file__).parents[1]))

from installing import add_package, surroundings

EXTRACTOR = """
    import torch
    from ganbench import Extractor, hookimpl

    class Thin(Extractor):
        name, version = "thin", "1"

        def __init__(self):
            super().__init__()
            self.weights = torch.nn.Parameter(torch.randn(768, 2048, generator=torch.Generator().manual_seed(0)))

        def forward(self, x):
            features = x[:, :, ::2, ::2].flatten(1).float() @ self.weights
            return features, features[:, :1008]

    @hookimpl
    def ganbench_extractor():
        return Thin()
"""
METRICS = "fid,is,kid,precision-recall,density-coverage"


def main(folder: Path, images: int, metrics: str) -> None:
    """Make both sets, compare them twice (the second time from kept features), and print."""
    site, work = folder / "site", folder / "work"
    for place in (site, work):
        place.mkdir(parents=True, exist_ok=True)
    add_package(site, "thin", "extractor", "thin", EXTRACTOR)
    for number, name in enumerate(("one", "other")):
        file = work / f"{name}.npy"
        if not file.exists():
            np.save(file, np.random.default_rng(number).integers(0, 256, (images, 3, 32, 32), np.uint8))
    environment = surroundings(site, GANBENCH_CACHE=str(folder / "cache"), OMP_NUM_THREADS="1")
    bare = [sys.executable, "-c", "import time, torch, ganbench.evaluation.judge; time.sleep(2)"]
    _, base = watched(bare, environment, folder)
    words = [
        "evaluate",
        "one.npy",
        "--against",
        "other.npy",
        "--extractor",
        "thin",
        "--metric",
        metrics,
        "--workers",
        "1",
    ]
    for what in ("computed", "from kept features"):
        seconds, most = watched([sys.executable, "-m", "ganbench", *words], environment, work)
        print(f"{what}: {seconds:.0f} s, {(most - base) / 1e9:.2f} GB beside torch ({base / 1e9:.2f} GB)", flush=True)


if __name__ == "__main__":
    if not 2 <= len(sys.argv) <= 4:
        raise SystemExit(__doc__)
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 50_000
    main(Path(sys.argv[1]).absolute(), count, sys.argv[3] if len(sys.argv) > 3 else METRICS)
