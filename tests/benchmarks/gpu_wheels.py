"""Gathers what a machine without a network needs for ``gpu.sh``: our wheel, and those of what we and our tests need.

    python tests/benchmarks/gpu_wheels.py [--there scipy pandas ...] [--python 3.12] [--out build/gpu]

For Linux on x86-64. ``--there`` names what that machine has besides torch and torchvision; their own requirements are
left out as well. The versions are those installed here, where the extra ``test`` must be.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from importlib.metadata import requires, version
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
TESTS = ("pytest", "pytest-benchmark", "pytest-timeout")
THERE = ("torch", "torchvision")
PLATFORMS = ("manylinux2014_x86_64", *(f"manylinux_2_{minor}_x86_64" for minor in range(5, 40)))
"""Pip takes no older one for granted."""


def closure(names: Iterable[str], python: str, without: Iterable[str] = ()) -> set[str]:
    """Some installed packages and everything that they require, under their normalised names.

    Args:
        names: of the packages.
        python: the version for which requirements are read.
        without: packages that are not looked at, nor what they require.
    """
    found, left = set(without), [canonicalize_name(name) for name in names]
    surroundings = {"extra": "", "python_version": python, "python_full_version": f"{python}.0"}
    while left:
        if (name := left.pop()) in found:
            continue
        found.add(name)
        needed = [Requirement(text) for text in requires(name) or ()]
        left += [canonicalize_name(one.name) for one in needed if not one.marker or one.marker.evaluate(surroundings)]
    return found - set(without)


def missing(there: Iterable[str], python: str) -> set[str]:
    """What a machine lacks that has torch, torchvision and ``there``."""
    rules = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    ours = [Requirement(text).name for text in rules["project"]["dependencies"]]
    return closure([*ours, *TESTS], python, closure([*THERE, *there], python))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--there", nargs="+", default=[], metavar="PACKAGE")
    parser.add_argument("--python", default="3.12")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "gpu")
    given = parser.parse_args()
    for old in given.out.glob("*.whl"):
        old.unlink()
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    ours = ["wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(given.out), str(ROOT)]
    subprocess.run([*pip, *ours], check=True)
    pinned = [f"{name}=={version(name)}" for name in sorted(missing(given.there, given.python))]
    place = ["--only-binary=:all:", "--implementation=cp", f"--python-version={given.python}"]
    place += [f"--platform={platform}" for platform in PLATFORMS]
    subprocess.run([*pip, "download", "--no-deps", *place, "--dest", str(given.out), *pinned], check=True)
    wheels = list(given.out.glob("*.whl"))
    print(f"{len(wheels)} wheels, {sum(wheel.stat().st_size for wheel in wheels) / 1e6:.0f} MB, in {given.out}")


if __name__ == "__main__":
    main()
