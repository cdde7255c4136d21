"""Jobs of a few seconds for the checks of executors, and what an executor says of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from msgspec.structs import replace

from ganbench import plugins
from ganbench.contracts.executor import Done, Ending, Executor, Job, Message, TrainingJob
from ganbench.contracts.kind import Kind
from ganbench.contracts.protocol import Protocol
from ganbench.errors import RecordError
from ganbench.plugins.protocols import load_protocol
from ganbench.plugins.source import Source
from ganbench.records.record import Record
from ganbench.records.store import read

ARCH, LOSS, PROTOCOL = "mlp", "hinge", "ring-v1"
"""What jobs consist of, where it is installed; small, and its data need no download."""
SHORT, LONG = 0.32, 32.0
"""Budgets in kimg: ten iterations, and more than a check waits for."""


class Heard(NamedTuple):
    """Everything that an executor said about some jobs, in order."""

    jobs: Sequence[Job]
    messages: Sequence[Message]

    def of(self, job: Job) -> list[Message]:
        """The events of one job."""
        return [said for said in self.messages if key_of(said) == job.key]

    def ending(self, job: Job) -> Ending | None:
        """How the job ended, if it did."""
        return next((said for said in self.of(job) if isinstance(said, Ending)), None)

    def begun(self) -> list[Job]:
        """The jobs of which anything was heard."""
        return [job for job in self.jobs if self.of(job)]


def key_of(message: Message) -> str:
    """The key of the job that a message is about; empty if it is about none."""
    return str(getattr(message, "key", ""))


def hear(executor: Executor, jobs: Sequence[Job], heed: Callable[[Message], object] = lambda said: None) -> Heard:
    """Let an executor run jobs; ``heed`` is called with each message as it arrives."""
    heard = list[Message]()
    for said in executor.run(jobs):
        heard.append(said)
        heed(said)
    return Heard(jobs, heard)


def small_job(folder: Path, seed: int, kimg: float = SHORT, *, elsewhere: bool = False) -> TrainingJob:
    """A run of a tiny network on a CPU, with files below ``folder``.

    Raises:
        PluginError: nothing is installed that it could consist of.
    """
    arch, loss = installed("arch", ARCH), installed("loss", LOSS)
    rules = _small(load_protocol(installed("protocol", PROTOCOL).name), kimg)
    home = os.path.abspath(folder / rules.name / "small" / f"seed{seed}")
    folder.mkdir(parents=True, exist_ok=True)  # as a command does, so that workers elsewhere see that they share it
    return TrainingJob(
        protocol=rules,
        digest=rules.digest,
        seed=seed,
        folder=home,
        store=home if elsewhere else "",
        device="cpu",
        arch=arch.reference,
        loss=loss.reference,
        label="small",
    )


def installed(kind: Kind, name: str) -> Source:
    """The component of this name, or the first that there is if nothing installed has that name."""
    known = plugins.of_kind(kind)
    named = [source for source in known if source.name == name]
    return (named or known or [plugins.find(kind, name)])[0]


def record_of(job: Job) -> Record | None:
    """The job's record, or None if there is none that can be read."""
    try:
        return read(job.record_file)
    except RecordError:
        return None


def contents(folder: Path) -> dict[str, bytes]:
    """Relative path -> content, of every file below a folder except logs, which tell of every attempt."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".txt" and path.name != ".lock")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def is_lost(event: Ending | None) -> bool:
    """Whether a job ended because its worker died."""
    return isinstance(event, Done) and event.lost


def _small(rules: Protocol, kimg: float) -> Protocol:
    training = replace(rules.training, budget_kimg=kimg, batch=32, width=8)
    evaluation = replace(rules.evaluation, samples=100, draws=1, checks=1, yardsticks=(), target=None)
    return replace(rules, seeds=(0,), training=training, evaluation=evaluation)
