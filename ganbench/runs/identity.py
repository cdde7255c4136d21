"""What must match for a checkpoint to belong to a run, and what has changed if it does not."""

from __future__ import annotations

import json
from collections.abc import Mapping

from ganbench.contracts.executor import TrainingJob
from ganbench.errors import listed
from ganbench.plugins.source import core_hash
from ganbench.records.provenance import environment
from ganbench.runs.basis import code_of
from ganbench.runs.setup import Bench

VALUES = ("torch", "Python", "CUDA", "cuDNN", "the device", "the number of threads", "the precision", "the extractor")
"""What messages show with its old and new value; hashes of code and data mean nothing to a reader."""


def identity_of(job: TrainingJob, bench: Bench) -> dict[str, str]:
    """What messages call each circumstance -> its value."""
    where = environment(bench.device, precision=job.protocol.training.precision)
    machine = [where.torch, where.python, where.cuda, where.cudnn, where.device, str(where.threads), where.precision]
    judge = bench.judge
    return {
        "the run": job.key,
        "the rules": job.digest,
        "the settings": json.dumps(job.changes, sort_keys=True),
        "the data": bench.dataset.fingerprint,
        "the names of the classes": json.dumps(bench.dataset.class_names),
        **dict(zip(VALUES, [*machine, judge.tag], strict=True)),
        "GANBench": core_hash(),
        **{f"the code of {plugin}": " ".join(sources) for plugin, sources in code_of(job).items()},
    }


def changes_between(then: Mapping[str, str], now: Mapping[str, str]) -> str:
    """``the data and torch (2.10.0, now 2.11.0)``; empty if nothing differs."""
    names = [name for name in {**then, **now} if then.get(name) != now.get(name)]
    return listed([_told(name, then.get(name), now.get(name)) for name in names]) if names else ""


def _told(name: str, then: str | None, now: str | None) -> str:
    if then is None or now is None:
        return f"{name} ({'new' if then is None else 'no longer used'})"
    return f"{name} ({then or 'none'}, now {now or 'none'})" if name in VALUES else name
