"""From what a user typed to a list of jobs. Every name is resolved here, before anything heavy is imported."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from ganbench import plugins
from ganbench.contracts import protocol as protocols
from ganbench.contracts.executor import UNPACKAGED, Job
from ganbench.contracts.protocol import Protocol
from ganbench.errors import GanbenchError, PluginError, ProtocolError, RecordError
from ganbench.plugins.source import Source
from ganbench.records.record import FINISHED, FORMAT, Record
from ganbench.records.store import read
from ganbench.runs.changes import Changes

DEFAULT_PROTOCOL = "digits-16-v1"


@dataclass(frozen=True)
class Plan:
    """The jobs to do, and those already done, whose records are kept."""

    protocol: Protocol
    todo: list[Job]
    finished: list[Job]
    changed: list[Job] = field(default_factory=list)
    """Jobs of ``todo`` that have a record, but from different code."""
    older: Counter[str] = field(default_factory=Counter)
    """GANBench version -> finished runs of an older record format. Their code was hashed differently, so changes cannot
    be detected; they are kept as results of that version."""

    @property
    def jobs(self) -> list[Job]:
        return self.finished + self.todo

    def queue(self, workers: int) -> list[Job]:
        """``todo``, with yardsticks first: if a protocol cannot be judged, that shows before any training. Several
        workers also start the first run at once."""
        first = next((job for job in self.todo if not job.yardstick), None)
        if workers == 1 or first is None:
            return self.todo
        return [first, *(job for job in self.todo if job is not first)]


def make_plan(
    archs: Sequence[Source],
    losses: Sequence[Source],
    protocol: Protocol,
    *,
    tricks: Sequence[Source] = (),
    seeds: Sequence[int] = (),
    changes: Changes | None = None,
    out: Path = Path("runs"),
    device: str = "auto",
    force: bool = False,
    where: str = "--out",
) -> Plan:
    """Every (arch, loss, seed), with all the tricks, and the yardsticks; jobs with a valid record of the same code are
    not repeated. ``where`` is the option that chose ``out``.

    Raises:
        GanbenchError: a name, a seed or a setting is wrong, or ``out`` cannot be written.
    """
    if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", device):
        raise GanbenchError(f"there is no device '{device}'", "use auto, cpu, cuda, cuda:0 or mps")
    changes = changes or Changes()
    laid_over = _lay_over(protocol, changes)
    _check_names(protocol)
    for seed in seeds:
        if not 0 <= seed < 2**31:
            raise ProtocolError(f"--seed {seed}: a seed is a whole number from 0 to 2147483647")
    check_writable(out, where)
    home, tricks = out / protocol.name, sorted(tricks, key=lambda trick: (trick.label, trick.package))
    yardsticks = _yardsticks(protocol, home, device)
    jobs = []
    for arch in archs:
        for loss in losses:
            for seed in seeds or protocol.seeds:
                job = Job(
                    protocol=laid_over,
                    digest=protocol.digest,
                    seed=seed,
                    arch=arch.reference,
                    loss=loss.reference,
                    tricks=tuple(trick.reference for trick in tricks),
                    changes=changes.raw,
                    recipe_changes=changes.recipe,
                    loss_changes=changes.loss,
                    arch_changes=changes.arch,
                    device=device,
                    fresh=force,
                    folder="",
                )
                folder = home / _folder_name(job, (arch, loss, *tricks)) / f"seed{seed}"
                jobs.append(msgspec.structs.replace(job, folder=str(folder)))
    # one draw of each yardstick comes first: if the protocol cannot be judged, that shows before any training
    once = len(protocol.evaluation.yardsticks)
    return _sort(protocol, yardsticks[:once] + jobs + yardsticks[once:], force)


def _yardsticks(protocol: Protocol, home: Path, device: str) -> list[Job]:
    return [
        Job(
            protocol=protocol,
            digest=protocol.digest,
            seed=seed,
            yardstick=name,
            device=device,
            folder=str(home / name.replace(" ", "-") / f"seed{seed}"),
        )
        for seed in protocol.seeds
        for name in protocol.evaluation.yardsticks
    ]


def check_writable(folder: Path, option: str = "--out") -> None:
    """Raise RecordError now, not after an hour of training, if nothing can be written there; ``option`` chose it."""
    probe = folder / f".ganbench-probe-{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"0" * 4096)
        probe.unlink(missing_ok=True)
    except OSError as error:
        raise RecordError(
            f"cannot write to {folder}: {error.strerror or error}", f"choose another folder with {option}"
        ) from error


def _sort(protocol: Protocol, jobs: list[Job], force: bool) -> Plan:
    plan = Plan(protocol, [], [])
    for job in jobs:
        if not job.record_file.exists() or (force and not job.yardstick):
            plan.todo.append(job)
            continue
        record = read(job.record_file)
        if record.digest != job.digest:
            raise ProtocolError(
                f"{job.record_file.parent} holds a run of '{record.protocol}' under other rules "
                f"(digest {record.digest}, now {job.digest})",
                "give the changed rules a new `name`, choose another --out, or delete that folder",
            )
        if record.status not in FINISHED:
            plan.todo.append(job)
        elif record.format < FORMAT or _same_code(record, job):
            # data from a path may have changed: the worker checks, and repeats the run only if they have
            (plan.todo if ":" in job.protocol.dataset else plan.finished).append(job)
            if record.format < FORMAT and not job.yardstick:
                plan.older[record.environment.ganbench] += 1
        else:
            plan.todo.append(job)
            plan.changed.append(job)
    return plan


def _same_code(record: Record, job: Job) -> bool:
    rules = job.protocol
    pairs = [(record.parts.get("dataset"), plugins.find_for(rules.name, "dataset", rules.dataset))]
    pairs += [
        (record.metrics.get(name), plugins.find_for(rules.name, "metric", name)) for name in rules.evaluation.metrics
    ]
    if rules.evaluation.extractor:
        extractor = plugins.find_for(rules.name, "extractor", rules.evaluation.extractor)
        pairs.append((record.parts.get("extractor"), extractor))
    if not job.yardstick:
        pairs += [(record.arch, plugins.find("arch", job.arch)), (record.loss, plugins.find("loss", job.loss))]
        pairs += zip(record.tricks, (plugins.find("trick", trick) for trick in job.tricks), strict=True)
    return all(then is not None and then.source == now.source_hash for then, now in pairs)


def _lay_over(protocol: Protocol, changes: Changes) -> Protocol:
    """The protocol with the user's budget, batch and time-out; it keeps its name, and thus its seed streams."""
    if changes.recipe:
        protocols.resolve_recipe(protocol.training, [("--set", changes.recipe)])
    if not changes.training:
        return protocol
    rules = msgspec.to_builtins(protocol)
    rules["training"] |= changes.training
    return protocols.parse(rules, "--set")


def _check_names(protocol: Protocol) -> None:
    for kind, names in (
        ("dataset", [protocol.dataset]),
        ("metric", protocol.evaluation.metrics),
        ("extractor", [protocol.evaluation.extractor] if protocol.evaluation.extractor else []),
    ):
        for name in names:
            try:
                plugins.find_for(protocol.name, kind, name)
            except PluginError as error:
                raise ProtocolError(f"protocol {protocol.name}: {error.message}", error.hint) from error


def _folder_name(job: Job, sources: Sequence[Source]) -> str:
    """``dcgan+wgan-gp+pacgan~2``; the package comes before a name that several packages provide."""
    names = []
    for source in sources:
        shared = sum(other.name == source.name for other in plugins.of_kind(source.kind)) > 1
        shared |= source.package == UNPACKAGED  # it may share the name of an installed one
        names.append((source.reference if shared else source.label).replace(":", "~").replace("/", "~"))
    tail = "".join(f"+{name}={value}" for name, value in sorted(job.changes.items()))
    return "+".join(names) + tail.replace("/", "~").replace(" ", "")
