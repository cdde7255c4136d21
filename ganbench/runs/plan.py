"""Turn what a user typed into a list of jobs. Every name is resolved here, before anything heavy is imported."""

from __future__ import annotations

import os
import re
import tempfile
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import msgspec

from ganbench import plugins
from ganbench.contracts import protocol as protocols
from ganbench.contracts.executor import Combination, Job, TrainingJob, YardstickJob, runs_among
from ganbench.contracts.kind import Kind
from ganbench.contracts.protocol import Protocol
from ganbench.errors import GanbenchError, PluginError, ProtocolError, RecordError
from ganbench.plugins.source import Source
from ganbench.records.record import FINISHED, STATED, Record
from ganbench.records.store import read
from ganbench.runs.changes import Changes
from ganbench.runs.folders import needs_package, row_folder, yardstick_folder
from ganbench.runs.leftovers import left_by_other_rules
from ganbench.runs.stale import Now

DEFAULT_PROTOCOL = "digits-16-v2"


@dataclass(frozen=True)
class Plan:
    """The jobs to do, and those already done, whose records are kept."""

    protocol: Protocol
    todo: list[Job]
    finished: list[Job]
    changed: list[Job] = field(default_factory=list)
    """Jobs of ``todo`` that were finished with different code or another extractor."""
    changes: Counter[str] = field(default_factory=Counter)
    """What has changed since, as the end of a sentence -> number of runs repeated for that reason."""
    leftovers: list[Path] = field(default_factory=list)
    """Folders that an earlier start under other rules left, with nothing trained in them; they are replaced."""
    older: Counter[str] = field(default_factory=Counter)
    """GANBench version -> number of finished runs in an older record format. Code was hashed differently then, so
    changes cannot be detected; they are kept as results of that version."""

    @property
    def jobs(self) -> list[Job]:
        """All jobs, finished ones first."""
        return self.finished + self.todo

    @property
    def runs(self) -> list[TrainingJob]:
        """The jobs that train."""
        return runs_among(self.jobs)

    @property
    def yardsticks(self) -> list[YardstickJob]:
        """The draws of yardsticks."""
        return [job for job in self.jobs if isinstance(job, YardstickJob)]

    def tryouts(self, *, every: bool = False) -> list[TrainingJob]:
        """One for each combination of ``todo``, so that impossible ones are refused before any yardstick is scored.

        Without yardsticks there are none, because a run itself refuses just as early, unless ``every`` asks for them.
        """
        runs = runs_among(self.todo)
        if len(runs) == len(self.todo) and not every:
            return []
        firsts = dict[Combination, TrainingJob]()
        for job in runs:
            firsts.setdefault(job.combination, job)
        return [msgspec.structs.replace(job, tryout=True) for job in firsts.values()]

    def queue(self, workers: int, refused: Collection[Combination] = ()) -> list[Job]:
        """``todo`` without the refused combinations, and with yardsticks first.

        A protocol that cannot be judged thus fails before any training. If there are several workers, the first run
        also starts at once.
        """
        todo = [job for job in self.todo if isinstance(job, YardstickJob) or job.combination not in refused]
        if refused and not runs_among([*todo, *self.finished]):
            return []  # there is nothing to compare yardsticks with
        first = next(iter(runs_among(todo)), None)
        if workers == 1 or first is None:
            return todo
        return [first, *(job for job in todo if job is not first)]


class Rows(NamedTuple):
    """A block of rows: every arch with every loss, each with all the tricks and changes."""

    archs: Sequence[Source]
    losses: Sequence[Source]
    tricks: Sequence[Source] = ()
    changes: Changes = Changes()


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
    """Return the plan of a single block of rows; see ``make_grid``."""
    rows = Rows(archs, losses, tricks, changes or Changes())
    return make_grid([rows], protocol, seeds=seeds, out=out, device=device, force=force, where=where)


def make_grid(
    blocks: Sequence[Rows],
    protocol: Protocol,
    *,
    seeds: Sequence[int] = (),
    out: Path = Path("runs"),
    device: str = "auto",
    force: bool = False,
    where: str = "--out",
) -> Plan:
    """Every (arch, loss, seed) of each block, with its tricks, and the yardsticks of these seeds.

    Jobs with a valid record of the same code, judged with the same extractor, are not repeated. Every row gets its
    first seed before any gets its second, so that a table of all rows is there early. ``where`` is the option that
    chose ``out``.

    Raises:
        GanbenchError: a name, a seed or a setting is wrong, or ``out`` cannot be written.
    """
    refuse_unknown_device(device)
    laid_over, seeds_in_order = [_lay_over(protocol, rows.changes) for rows in blocks], list(seeds or protocol.seeds)
    _check_names(protocol)
    _refuse_seeds(seeds)
    check_writable(out, where)
    home = out / protocol.name
    yardsticks: list[Job] = [*_yardsticks(protocol, home, device, seeds)]
    jobs = dict[str, Job]()  # by folder: the same row may be in two blocks
    for seed in seeds_in_order:
        for rows, rules in zip(blocks, laid_over, strict=True):
            for arch in rows.archs:
                for loss in rows.losses:
                    sources = (arch, loss, *sorted(rows.tricks, key=lambda trick: (trick.label, trick.package)))
                    job = _run_of(sources, rules, protocol.digest, rows.changes, home, seed)
                    jobs.setdefault(job.folder, msgspec.structs.replace(job, device=device, fresh=force))
    # one draw of each yardstick comes first, so that a protocol that cannot be judged fails before any training
    once = len(protocol.evaluation.yardsticks)
    return _sort(protocol, home, [*yardsticks[:once], *jobs.values(), *yardsticks[once:]])


def _run_of(
    sources: Sequence[Source], rules: Protocol, digest: str, changes: Changes, home: Path, seed: int
) -> TrainingJob:
    """The run of an arch, a loss and tricks with one seed."""
    arch, loss, *tricks = (source.reference for source in sources)
    folder = _folder_name(sources, changes.raw)
    return TrainingJob(
        protocol=rules,
        digest=digest,
        seed=seed,
        label=folder.replace("~", ":"),
        arch=arch,
        loss=loss,
        tricks=tuple(tricks),
        changes=changes.raw,
        recipe_changes=changes.recipe,
        loss_changes=changes.loss,
        arch_changes=changes.arch,
        folder=str(home / folder / f"seed{seed}"),
    )


def stored_at(plan: Plan, address: str, *, limit: float = 0.0, elsewhere: bool = False) -> Plan:
    """Return the plan with what an executor must know of each job: where its files are kept, and how long it may take.

    Args:
        plan: the plan, whose folders are on this machine.
        address: of the folder for runs, if it is not on this machine.
        limit: seconds after which a run stops; 0 is no limit.
        elsewhere: whether workers may be on other machines; without an address, they need to see this folder.
    """

    def told(job: Job) -> Job:
        store = ""
        if address:
            store = "/".join([address.rstrip("/"), *Path(job.folder).parts[-3:]])
        elif elsewhere:
            store = os.path.abspath(job.folder)
        return msgspec.structs.replace(job, limit=limit if isinstance(job, TrainingJob) else 0.0, store=store)

    return replace(plan, todo=[told(job) for job in plan.todo])


def tricks_of(texts: Sequence[str]) -> list[Source]:
    """The tricks that ``--trick`` names.

    Raises:
        GanbenchError: a name is unknown or given twice, or is ``all``.
    """
    if "all" in (name.strip() for text in texts for name in text.split(",")):
        raise GanbenchError(
            "--trick all: tricks are applied together, but not all are compatible", "name the ones you want"
        )
    found = plugins.find_many("trick", texts)
    names = [(trick.name, trick.package) for trick in found]
    if twice := [trick.name for trick in found if names.count((trick.name, trick.package)) > 1]:
        raise GanbenchError(f"--trick {twice[0]} is given twice, with two arguments", "a trick is applied once")
    return found


def _yardsticks(protocol: Protocol, home: Path, device: str, seeds: Sequence[int]) -> list[YardstickJob]:
    """One draw of each yardstick for each of the protocol's seeds, or for those among ``seeds``; at least one."""
    drawn = [seed for seed in protocol.seeds if seed in (seeds or protocol.seeds)] or protocol.seeds[:1]
    return [
        YardstickJob(
            protocol=protocol,
            digest=protocol.digest,
            seed=seed,
            yardstick=name,
            device=device,
            folder=str(home / yardstick_folder(name) / f"seed{seed}"),
        )
        for seed in drawn
        for name in protocol.evaluation.yardsticks
    ]


def refuse_unknown_device(device: str) -> None:
    """Raise GanbenchError if no machine has a device of that name. Whether this one has it is checked with torch."""
    if not re.fullmatch(r"auto|cpu|mps|cuda(:[0-9]{1,4})?", device):
        raise GanbenchError(f"there is no device '{device}'", "use auto, cpu, cuda, cuda:0 or mps")


def _refuse_seeds(seeds: Sequence[int]) -> None:
    for seed in seeds:
        if not 0 <= seed < 2**31:
            said = f"--seed {seed}: a seed is a whole number from 0 to 2147483647"
            raise ProtocolError(said, "for example: --seed 0,1")


def check_writable(folder: Path, option: str = "--out") -> None:
    """Raise RecordError now, not after an hour of training, if ``folder``, which ``option`` chose, is not writable."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as probe:  # unnamed if the system can, so that nothing stays behind
            probe.write(b"0" * 4096)
    except OSError as error:
        raise RecordError(
            f"cannot write to {folder}: {error.strerror or error}", f"choose another folder with {option}"
        ) from error


def _sort(protocol: Protocol, home: Path, jobs: list[Job]) -> Plan:
    plan, now = Plan(protocol, [], []), Now(protocol)
    for job in jobs:
        record = _present(job)
        if record is not None and record.digest != job.digest:
            plan.leftovers[:] = plan.leftovers or left_by_other_rules(home, job.digest)
            record = None
        if record is None or job.fresh or record.status not in FINISHED:
            plan.todo.append(job)
        elif changes := now.changes_since(record, job):
            plan.todo.append(job)
            plan.changed.append(job)
            plan.changes[changes] += isinstance(job, TrainingJob)
        else:
            # data from a path may have changed: the worker checks, and repeats the run only if so
            (plan.todo if job.protocol.dataset_ref.paths else plan.finished).append(job)
            if record.format < STATED and isinstance(job, TrainingJob):
                plan.older[record.environment.ganbench] += 1
    return plan


def _present(job: Job) -> Record | None:
    """A job's record. An unreadable one is an error unless it will be replaced anyway."""
    try:
        return read(job.record_file) if job.record_file.exists() else None
    except RecordError:
        if job.fresh:
            return None
        raise


def _lay_over(protocol: Protocol, changes: Changes) -> Protocol:
    """The protocol with the user's budget, batch and time-out; it keeps its name, and thus its seed streams."""
    if changes.recipe:
        protocols.resolve_recipe(protocol.training, [protocols.RecipeLayer("--set", changes.recipe)])
    if not changes.training:
        return protocol
    rules = msgspec.to_builtins(protocol)
    rules["training"] |= changes.training
    return protocols.parse(rules, "--set")


def _check_names(protocol: Protocol) -> None:
    rules = protocol.evaluation
    named: dict[Kind, Sequence[str]] = {
        "dataset": [protocol.dataset],
        "metric": rules.metrics,
        "extractor": [rules.extractor] if rules.extractor else [],
    }
    for kind, names in named.items():
        for name in names:
            try:
                plugins.find_for(protocol.name, kind, name)
            except PluginError as error:
                raise ProtocolError(f"protocol {protocol.name}: {error.message}", error.hint) from error


def _folder_name(sources: Sequence[Source], changes: Mapping[str, str]) -> str:
    """The name of a row's folder. A name that several packages provide is prefixed with its package."""
    shared = [needs_package(source.kind, source.name, source.package) for source in sources]
    names = [source.reference if needed else source.label for source, needed in zip(sources, shared, strict=True)]
    return row_folder(names, changes)
