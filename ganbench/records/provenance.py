"""Where a run takes place: machine, versions, precision, commit. Every score is stored with it."""

from __future__ import annotations

import platform
import subprocess
import sys
from contextlib import suppress
from functools import cache
from pathlib import Path

import torch

from ganbench._version import __version__
from ganbench.contracts.protocol import Precision
from ganbench.records.record import Environment

HERE = Path(__file__).parents[1]


def environment(
    device: torch.device,
    nondeterministic: tuple[str, ...] = (),
    workers: int = 1,
    precision: Precision = "float32",
    core: str = "",
) -> Environment:
    """The machine and the software of this process.

    Args:
        device: where networks compute.
        nondeterministic: the nondeterministic operations that were used.
        workers: the number of runs at a time.
        precision: the precision that the protocol sets for networks.
        core: the hash of the core's code (``plugins.source.core_hash``).
    """
    commit, dirty = _commit()
    cuda = device.type == "cuda"
    return Environment(
        ganbench=__version__,
        commit=commit,
        dirty=dirty,
        python=platform.python_version(),
        torch=str(torch.__version__),
        cuda=(torch.version.cuda or "") if cuda else "",
        cudnn=str(torch.backends.cudnn.version() or "") if cuda else "",
        device=torch.cuda.get_device_name(device) if cuda else _cpu_name(),
        threads=torch.get_num_threads(),
        precision=precision,
        system=f"{platform.system()} {platform.machine()}",
        core=core,
        nondeterministic=nondeterministic,
        workers=workers,
    )


@cache
def _cpu_name() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine() or sys.platform


@cache
def _commit() -> tuple[str, bool]:
    """Commit and dirty flag of the checkout that ganbench is imported from; ("", False) for an installed wheel."""
    try:
        _git("ls-files", "--error-unmatch", __file__)  # an environment inside another repository is not ours
        commit = _git("rev-parse", "--short=12", "HEAD")
        changed = _git("status", "--porcelain", "--untracked-files=no", "--", str(HERE), f"{HERE}/../plugins")
    except (OSError, subprocess.CalledProcessError):
        return "", False
    return commit, bool(changed)


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(HERE), *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()
