"""The Python interface: ``run``, ``evaluate``, ``leaderboard``, ``load_run``."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from torch import Tensor, nn

from ganbench.contracts.executor import UNPACKAGED, TrainingJob
from ganbench.contracts.protocol import Protocol
from ganbench.contracts.score_name import short_names
from ganbench.contracts.scores import Scores
from ganbench.device.determinism import configured
from ganbench.errors import Doubt, GanbenchError, GanbenchWarning, RecordError, plural
from ganbench.evaluation.given import split_of
from ganbench.leaderboards.brief import to_brief_frame
from ganbench.leaderboards.entries import Entry, entry_of
from ganbench.leaderboards.export import to_frame
from ganbench.leaderboards.gathering import gather
from ganbench.leaderboards.html import Sight, to_html
from ganbench.leaderboards.table import Table, build
from ganbench.plain import PlainConsole, plain_line
from ganbench.plugins.protocols import checked, load_protocol
from ganbench.plugins.unpackaged import source_of
from ganbench.records.history import read_history
from ganbench.records.record import FINISHED, Record
from ganbench.records.store import read
from ganbench.report.card import card_of, headline_curves, strip_address
from ganbench.report.inline import picture_file
from ganbench.runs import checkpoint
from ganbench.runs.changes import parse_changes, written
from ganbench.runs.estimate import estimate_of
from ganbench.runs.executors.inline import InlineExecutor
from ganbench.runs.executors.local import LocalExecutor
from ganbench.runs.external import judge_samples, samples_of
from ganbench.runs.live import make_display
from ganbench.runs.plan import DEFAULT_PROTOCOL, Plan, make_plan
from ganbench.runs.session import carry_out
from ganbench.runs.setup import prepare
from ganbench.samples.asked import Asked
from ganbench.samples.faults import faults_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ganbench.contracts.arch import GAN

SAME_WEIGHTS = "every seed starts from the weights of these modules; pass a function that builds new ones instead"


@dataclass(frozen=True, repr=False)
class Run:
    """One run: its ``record``, and the ``folder`` with its other files."""

    folder: Path
    record: Record

    def __repr__(self) -> str:
        told = f"{self.record.entry}, seed {self.record.seed}: {self.record.status}, in {self.folder}"
        return f"<Run of {plain_line(told)}>"

    def _repr_html_(self) -> str:
        return card_of(self.record, self.pictures)

    @property
    def scores(self) -> Scores:
        """Column -> score, by short name (``scores["fid"]``) or full name. Empty unless the run succeeded."""
        record = self.record
        ended = f"the run is {record.status}" + (f": {record.reason}" if record.reason else "")
        return Scores(record.scores, record.absent, "" if record.scores else ended)

    @cached_property
    def history(self) -> pd.DataFrame:
        """One row per window of training, oldest first. It has no columns if the run has no history yet.

        The columns:

        * ``step``: iterations so far, each with one G update;
        * ``kimg``: thousands of real images shown to D so far;
        * ``seconds``, ``cpu_seconds``: wall-clock and CPU time of training so far, without evaluation;
        * ``images_per_second``, ``images_per_cpu_second``: real images shown to D, per second, in this window;
        * ``load``: the machine's one-minute load average;
        * ``bits``: a hash of weights and losses, equal in two bit-identical runs;
        * ``d_loss``, ``g_loss``, and any other term by name: means over the window;
        * the headline, such as ``fid``, and the other columns of its metric, on the selection split. They are NaN in
          windows that did not end with an evaluation. Names are full where two scores share the short name;
        * ``not scored``, in some runs: why the headline has no score.

        Raises:
            RecordError: the file cannot be read, has changed since it was written, or belongs to another run.
        """
        file, record = self.folder / "history.jsonl", self.record
        rows = read_history(file)
        trace = " ".join(str(row.get("bits", "")) for row in rows)
        if file.exists() and record.status in FINISHED and record.bits.trace and trace != record.bits.trace:
            raise RecordError(f"{file} is not the history of the run in record.json", "run again with --force")
        frame = pd.DataFrame(rows)
        return frame.rename(columns=short_names(frame.columns))

    def plot(self) -> Figure:
        """Plot losses and headline against kimg.

        Returns:
            A matplotlib figure. A notebook shows it; elsewhere, call its ``savefig``. It is independent of
            ``matplotlib.pyplot``.

        Raises:
            RecordError: there is no history, or it cannot be read.
            GanbenchError: matplotlib is not installed.
        """
        if self.history.empty:
            raise RecordError(f"{self.folder} has no history to plot", "a run writes its history once training starts")
        try:
            from ganbench.report.curves import draw
        except ModuleNotFoundError as error:
            if error.name is None or error.name.partition(".")[0] != "matplotlib":
                raise
            raise GanbenchError("plots need matplotlib", 'pip install "ganbench[plot]"') from error
        return draw(self.history, self.record)

    @property
    def pictures(self) -> list[Path]:
        """Picture files of samples drawn during training, oldest first."""
        return sorted((self.folder / "samples").glob("*.png"))

    def sample(self, n: int = 64, seed: int = 0) -> Tensor:
        """Draw ``n`` new samples from the averaged generator.

        Returns:
            ``x[n, *shape]`` in storage format: uint8 images or float32 points.

        Raises:
            RecordError: there is no checkpoint, or it cannot be read.
        """
        return checkpoint.samples_of(self.folder / "checkpoint.pt", n, seed)

    def gan(self) -> GAN:
        """Load G (the averaged generator) and D from the checkpoint, in eval mode on the CPU.

        Raises:
            RecordError: there is no checkpoint, or it cannot be read.
        """
        return checkpoint.players_of(self.folder / "checkpoint.pt")[0]


class Runs(Sequence[Run]):
    """The runs that a call of ``run`` trained or found, one per seed and combination.

    ``declined`` holds a sentence for each combination that does not fit together, and for each broken plugin.
    """

    def __init__(self, runs: Iterable[Run], table: Table, declined: Sequence[str]) -> None:
        self._runs, self._table, self.declined = list(runs), table, list(declined)

    def __getitem__(self, index: Any) -> Any:
        return self._runs[index]

    def __len__(self) -> int:
        return len(self._runs)

    def leaderboard(self, *, full: bool = False) -> pd.DataFrame:
        """Return the table of these runs and the yardsticks, one row per entry.

        The columns are those of ``ganbench.leaderboard``.
        """
        return to_frame(self._table) if full else to_brief_frame(self._table)

    def __repr__(self) -> str:
        told = [f"{run.record.entry}, seed {run.record.seed}: {run.record.status}" for run in self]
        return f"<{plural(len(told), 'run')} of {plain_line(self._table.name)}: {plain_line('; '.join(told))}>"

    def _repr_html_(self) -> str:
        rows: dict[Entry, list[Run]] = {}
        for one in sorted(self, key=lambda run: run.record.seed):
            rows.setdefault(entry_of(one.record), []).append(one)
        return to_html(self._table, {entry: _sight_of(runs) for entry, runs in rows.items()})


def _sight_of(runs: Sequence[Run]) -> Sight:
    """Return the samples of a row, from the lowest seed that has any, and the headline curve of every seed."""
    strips = (strip_address(run.record, run.folder) for run in runs)
    latest = (picture_file(run.pictures[-1]) for run in runs if run.pictures)
    picture = next(filter(None, (*strips, *latest)), "")
    return Sight(picture, headline_curves(run.record for run in runs))


def run(
    arch: Any,
    loss: Any,
    protocol: str | Path | Protocol = DEFAULT_PROTOCOL,
    *,
    tricks: Sequence[Any] = (),
    seeds: Sequence[int] = (),
    settings: Mapping[str, Any] | None = None,
    out: str | Path = "runs",
    device: str = "auto",
    jobs: int = 1,
    force: bool = False,
    progress: bool = True,
) -> Runs:
    """Train every architecture with every loss, each with all the tricks, under a protocol.

    Runs that already have a record are not repeated.

    Args:
        arch: a name, a ``GAN``, a pair (generator, discriminator), a function that builds either from any of ``data``,
            ``d_norm``, ``width`` and ``z_dim``, or a list of these. Modules start from their present weights for every
            seed; a function draws new weights.
        loss: a name, an object with ``d_loss(D, real, fake)`` and ``g_loss(D, real, fake)``, a pair of such functions,
            or a list of these. Rows with any part that is not from an installed package are *custom*.
        protocol: a name, a TOML file, or a ``Protocol``.
        tricks: names (``"pacgan:2"``) or ``Trick`` objects.
        seeds: the seeds to run; by default, those of the protocol.
        settings: what ``--set`` takes, e.g. ``{"lr": 1e-4, "loss.weight": 1}``. The rows are then custom.
        out: the folder for runs.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:i`` or ``mps``.
        jobs: the number of runs at a time. If more than one, each runs in its own process, which can use only
            installed plugins.
        force: whether to repeat runs that have a record.
        progress: whether to show progress.

    Raises:
        GanbenchError: an argument is invalid, or does not fit the others; the message says why.
        KeyboardInterrupt: the user interrupted the runs. They have saved checkpoints, and the same call resumes them.
    """
    archs = [source_of("arch", one) for one in _listed(arch)]
    losses = [source_of("loss", one) for one in _listed(loss)]
    chosen = [source_of("trick", one) for one in tricks]
    rules = _rules(protocol)
    if len(seeds or rules.seeds) > 1 and any(map(_has_weights, _listed(arch))):
        warnings.warn(SAME_WEIGHTS, stacklevel=2)
    if jobs > 1 and any(source.package == UNPACKAGED for source in (*archs, *losses, *chosen)):
        raise GanbenchError(
            "objects from Python cannot be sent to other processes", "omit `jobs`, or put the objects in a package"
        )
    plan = make_plan(
        archs,
        losses,
        rules,
        tricks=chosen,
        seeds=seeds,
        changes=parse_changes([written(name, value) for name, value in (settings or {}).items()]),
        out=Path(out),
        device=device,
        force=force,
    )
    return _carried_out(plan, jobs, progress)


def _carried_out(plan: Plan, jobs: int, progress: bool) -> Runs:
    display = make_display(PlainConsole(), plan, quiet=not progress)
    estimate = estimate_of(plan) if progress else None
    if jobs > 1:
        with LocalExecutor(max(1, min(jobs, len(plan.todo)))) as executor, display:
            outcome = carry_out(plan, executor, display, estimate=estimate)
    else:
        with display:
            outcome = carry_out(plan, InlineExecutor(), display, estimate=estimate)
    if outcome.fatal:
        raise outcome.fatal
    if outcome.interrupted:
        raise KeyboardInterrupt
    done = [(job, read(job.record_file)) for job in plan.jobs if job.record_file.exists()]
    trained = [Run(Path(job.folder), record) for job, record in done if isinstance(job, TrainingJob)]
    left_out = outcome.declined | outcome.broken
    if left_out and not trained:
        raise next(iter(left_out.values()))
    return Runs(trained, build((record for _, record in done), plan.protocol), list(left_out))


def evaluate(
    samples: Any,
    protocol: str | Path | Protocol = DEFAULT_PROTOCOL,
    *,
    labels: Tensor | np.ndarray | None = None,
    range: tuple[float, float] | None = None,
    seed: int = 0,
    device: str = "auto",
    trust: bool = False,
    z_dim: int = 0,
) -> Scores:
    """Score samples from any source under a protocol.

    Args:
        samples: an array ``x[N, *shape]`` with the protocol's N and the shape of its data, channels first. Images and
            video are uint8 0..255 or floats in [-1, 1], sounds are floats in [-1, 1], points are any finite numbers.
            Floats of any precision are rounded once, to uint8 or float32. Or else a path, as ``ganbench evaluate``
            takes it; a loader or an iterator of batches ``x`` or ``(x, labels)``; a function with the arguments ``n``,
            ``seed`` and ``labels`` or some of them, which returns or yields such batches; or a ``GAN``, whose averaged
            generator makes them. From these, as many samples are taken as the protocol compares.
        protocol: a name, a TOML file, or a ``Protocol``.
        labels: ``[N]``, the classes that the samples were generated for: class names, or integers from 0. Metrics for
            conditional models use them.
        range: the values in ``samples`` that stand for the minimum and the maximum (black and white), if they are not
            the usual ones: ``(0, 1)`` for ``to_tensor``, a sigmoid or a mask. If samples are refused because they all
            lie in 0..1, pass the usual values to confirm them: ``(-1, 1)`` for floats, ``(0, 255)`` for uint8.
        seed: the seed of the metrics' random numbers, of latents, and of the choice among too many samples.
        device: the device that computes features.
        trust: whether a path may name a program, which is then run.
        z_dim: the number of latents of a generator in a file that does not state it.

    Returns:
        Column -> score, as in ``evaluate(samples)["fid"]``, or by full name. Its ``absent`` holds every column without
        a score, and ``assumed`` says how the samples were understood.

    Raises:
        DataError: the samples have the wrong shape, number, type or range, or the labels have the wrong number, type or
            range. The message says what was found.
        GanbenchError: the protocol's data, metrics or extractor cannot be loaded.

    Warns:
        Doubt: the samples may be on another scale, or look damaged or copied; labels are missing or not needed; the
            headline has no score; or scores may be misleading.
    """
    rules = _rules(protocol)
    bench = prepare(rules, device)
    if not isinstance(samples, Tensor | np.ndarray | list | tuple):
        found = samples_of(samples, bench, Asked(1, seed=seed, trusted=trust, z_dim=z_dim), labels)
        record = judge_samples(found, bench, "samples", span=range, seed=seed)
        _warn([*record.external.found, *record.doubts, *_without(record.absent, rules.evaluation.headline)])
        return Scores(record.scores, record.absent, assumed=(record.external.read, *record.external.assumed))
    fake, doubts = split_of(samples, labels, bench.judge, rules.name, range)
    with configured(1):
        verdict = bench.judge.score(fake, seed)
        faults = faults_of(fake, bench.dataset, bench.judge.classes_of(fake))
    _warn([*doubts, *faults, *verdict.doubts, *_without(verdict.absent, rules.evaluation.headline)])
    return Scores(verdict.scores, verdict.absent)


def _warn(doubts: Iterable[str]) -> None:
    for doubt in doubts:
        warnings.warn(Doubt(doubt), stacklevel=3)


def _without(absent: Mapping[str, str], headline: str) -> list[str]:
    return [f"there is no {headline}: {absent[headline]}"] if headline in absent else []


def leaderboard(
    protocol: str | Path = DEFAULT_PROTOCOL,
    *,
    runs: str | Path = "runs",
    published: bool = True,
    sort: str = "",
    full: bool = False,
) -> pd.DataFrame:
    """Return the table of a protocol, one row per entry, custom run and yardstick.

    The columns are those that the command line prints, with numbers as numbers: ``rank`` (a range as text, or
    ``custom``), ``arch``, ``loss``, the headline with its interval (``fid``, ``fid low``, ``fid high``), the scores
    beside it (``is``, ``coverage``), ``samples/s`` and ``ok``. The columns ``tricks`` and ``settings`` appear if a row
    has tricks or changed settings, and ``here`` if the table mixes your rows with published ones. A yardstick has its
    name under ``arch`` and ``yardstick`` under ``loss``.

    Args:
        protocol: a name, or a TOML file.
        runs: the folder of your runs.
        published: whether to include published rows.
        sort: the column to sort by, e.g. ``"coverage"``.
        full: whether to return the columns of ``table.csv`` instead: mean, standard deviation and interval of every
            score, costs and provenance.

    Raises:
        GanbenchError: the protocol or column does not exist, or no record can be read.

    Warns:
        GanbenchWarning: a record cannot be read and is skipped.
    """
    table, errors = gather(str(protocol), Path(runs), published=published, sort=sort)
    if table is None and errors:
        raise errors[0]
    if table is None:
        raise RecordError(f"there are no records of {protocol} in {runs} or published ones", "run something first")
    for error in errors:
        warnings.warn(GanbenchWarning(f"left out: {error.message}"), stacklevel=2)
    return to_frame(table) if full else to_brief_frame(table)


def load_run(path: str | Path) -> Run:
    """Load a run from its folder or its record file.

    Raises:
        RecordError: there is no record, or it cannot be read.
    """
    path = Path(path)
    file = path if path.is_file() else path / "record.json"
    if not file.exists():
        below = sorted(path.glob("*/record.json"))
        hint = f"choose a seed, for example {below[0].parent}" if below else "pass a folder like runs/.../seed0"
        raise RecordError(f"{path} does not contain a run", hint)
    return Run(file.parent, read(file))


def _rules(protocol: str | Path | Protocol) -> Protocol:
    return checked(protocol, "protocol") if isinstance(protocol, Protocol) else load_protocol(str(protocol))


def _listed(thing: Any) -> list[Any]:
    """Return a list as it is, and wrap anything else, including a tuple (a pair), in a list."""
    return list(thing) if isinstance(thing, list) else [thing]


def _has_weights(arch: Any) -> bool:
    return isinstance(arch, (nn.Module, tuple))
