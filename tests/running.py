"""Runs of a few seconds, planned and carried out in this process, on a CPU."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
import toy
from torch import Tensor

from ganbench import plugins
from ganbench.contracts.executor import Job, Message, TrainingJob
from ganbench.contracts.protocol import Protocol, parse
from ganbench.plugins.protocols import load_protocol
from ganbench.records.record import Record
from ganbench.runs.plan import Plan, make_plan
from ganbench.runs.runner import execute

QUICK = parse(tomllib.loads(toy.QUICK), "quick")


def plan_of(
    out: Path,
    arch: str = "mlp",
    loss: str = "hinge",
    rules: Protocol | str = "smoke-v1",
    tricks: Sequence[str] = (),
    **options: Any,
) -> Plan:
    """Names, several separated by commas, under these rules; ``options`` are those of ``make_plan``."""
    return make_plan(
        plugins.find_many("arch", [arch]),
        plugins.find_many("loss", [loss]),
        load_protocol(rules) if isinstance(rules, str) else rules,
        tricks=plugins.find_many("trick", tricks),
        out=out,
        device="cpu",
        **options,
    )


def job_in(out: Path, *names: str, **options: Any) -> TrainingJob:
    """The only run of such a plan."""
    (job,) = plan_of(out, *names, **options).runs
    return job


def unheard(event: Message) -> None:
    """Nobody listens to a run's events."""


def never() -> bool:
    """Nobody stops a run."""
    return False


def carry_out(job: Job, emit: Callable[[Any], None] = unheard, should_stop: Callable[[], bool] = never) -> Record:
    return execute(job, emit, should_stop)


def bits(record: Record) -> tuple[Any, ...]:
    """Everything that two undisturbed runs have in common, without times."""
    looks = [(look.kimg, look.score) for look in record.curve]
    return record.status, record.bits, record.draws, record.best, looks, record.self_checks, record.cost.images


def weights_in(folder: Path) -> list[Tensor]:
    """Every weight and buffer in the checkpoint of a finished run."""
    state = torch.load(folder / "checkpoint.pt", weights_only=True)
    return [*state["gan"].values(), *(value for module in state["averaged"] for value in module.values())]
