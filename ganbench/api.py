"""The Python interface: ``run``, ``evaluate``, ``leaderboard``, ``load_run``."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import tomlkit
from torch import Tensor, nn

from ganbench.contracts.allowed import shortened
from ganbench.contracts.executor import UNPACKAGED, TrainingJob
from ganbench.contracts.protocol import Protocol
from ganbench.contracts.score_name import short_names
from ganbench.contracts.scores import Scores
from ganbench.device.determinism import configured
from ganbench.errors import Doubt, GanbenchError, GanbenchWarning, ProtocolError, RecordError, plural
from ganbench.evaluation.given import split_of
from ganbench.evaluation.judge import Verdict
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
from ganbench.runs.changes import parse_changes
from ganbench.runs.estimate import estimate_of
from ganbench.runs.executors.inline import InlineExecutor
from ganbench.runs.executors.local import LocalExecutor
from ganbench.runs.live import make_display
from ganbench.runs.plan import DEFAULT_PROTOCOL, Plan, make_plan
from ganbench.runs.session import carry_out
from ganbench.runs.setup import prepare

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ganbench.contracts.arch import GAN

SAME_WEIGHTS = "modules keep their weights, so every seed starts from the same ones; pass a function that builds them"


@dataclass(frozen=True, repr=False)
class Run:
    """One run: its record, and the other files in its ``folder``."""

    folder: Path
    record: Record

    def __repr__(self) -> str:
        told = f"{self.record.entry}, seed {self.record.seed}: {self.record.status}, in {self.folder}"
        return f"<Run of {plain_line(told)}>"

    def _repr_html_(self) -> str:
        return card_of(self.record, self.pictures)

    @property
    def scores(self) -> Scores:
        """Column -> score, as ``scores["fid"]`` or by the name in full; empty unless the run succeeded."""
        record = self.record
        ended = f"the run is {record.status}" + (f": {record.reason}" if record.reason else "")
        return Scores(record.scores, record.absent, "" if record.scores else ended)

    @cached_property
    def history(self) -> pd.DataFrame:
        """One row per window of training, oldest first; without columns if the run has no history yet.

        The columns:

        * ``step``: iterations so far, each with one G update;
        * ``kimg``: thousand real images shown to D so far;
        * ``seconds``, ``cpu_seconds``: of training so far, without evaluation;
        * ``images_per_second``, ``images_per_cpu_second``: real images shown to D, in this window;
        * ``load``: the machine's load average of a minute;
        * ``bits``: a hash of weights and losses, equal in two runs with the same bits;
        * ``d_loss``, ``g_loss``, and any further term by its name: means over the window;
        * the headline, such as ``fid``, and what its metric scores besides: on the selection split, NaN in windows at
          whose end it was not scored. Names are in full where two scores share the short one;
        * ``not scored``, in some runs: why the headline has no score.

        Raises:
            RecordError: the file cannot be read, was changed since it was written, or is of another run.
        """
        file, record = self.folder / "history.jsonl", self.record
        rows = read_history(file)
        trace = " ".join(str(row.get("bits", "")) for row in rows)
        if file.exists() and record.status in FINISHED and record.bits.trace and trace != record.bits.trace:
            raise RecordError(f"{file} is not the history of the run in record.json", "run again with --force")
        frame = pd.DataFrame(rows)
        return frame.rename(columns=short_names(frame.columns))

    def plot(self) -> Figure:
        """Losses and headline over kimg, as a matplotlib figure of its own.

        A notebook shows it; elsewhere, call its ``savefig``. ``matplotlib.pyplot`` does not know it.

        Raises:
            RecordError: there is no history, or it cannot be read.
            GanbenchError: matplotlib is not installed.
        """
        if self.history.empty:
            raise RecordError(f"{self.folder} has no history to draw", "runs have one as soon as they train")
        try:
            from ganbench.report.curves import draw
        except ModuleNotFoundError as error:
            if error.name is None or error.name.partition(".")[0] != "matplotlib":
                raise
            raise GanbenchError("plots need matplotlib", 'pip install "ganbench[plot]"') from error
        return draw(self.history, self.record)

    @property
    def pictures(self) -> list[Path]:
        """Samples during training, oldest first."""
        return sorted((self.folder / "samples").glob("*.png"))

    def sample(self, n: int = 64, seed: int = 0) -> Tensor:
        """``n`` new samples ``x[n, *shape]`` as stored (uint8 images, float32 points), from the averaged generator.

        Raises:
            RecordError: there is no checkpoint, or it cannot be read.
        """
        return checkpoint.samples_of(self.folder / "checkpoint.pt", n, seed)

    def gan(self) -> GAN:
        """The players, with the averaged generator; in eval mode, on the CPU.

        Raises:
            RecordError: there is no checkpoint, or it cannot be read.
        """
        return checkpoint.players_of(self.folder / "checkpoint.pt")[0]


class Runs(Sequence[Run]):
    """The runs that a call of ``run`` trained or found, one per seed and combination.

    ``declined`` holds a sentence for each combination that does not fit and each plugin that is broken.
    """

    def __init__(self, runs: Iterable[Run], table: Table, declined: Sequence[str]) -> None:
        self._runs, self._table, self.declined = list(runs), table, list(declined)

    def __getitem__(self, index: Any) -> Any:
        return self._runs[index]

    def __len__(self) -> int:
        return len(self._runs)

    def leaderboard(self, *, full: bool = False) -> pd.DataFrame:
        """The table of these runs with the yardsticks, one row for each entry.

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
    """What there is to see of a row: samples of its lowest seed that has any, and every seed's curve."""
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
    """Train every architecture with every loss, and with all the tricks, under a protocol.

    Runs that have a record are not repeated.

    Args:
        arch: a name, or an object: a ``GAN``, a pair (generator, discriminator), or a function that builds them from
            any of ``data``, ``d_norm``, ``width``, ``z_dim``; or a list of these. Modules keep the weights they come
            with for every seed; a function draws new ones.
        loss: a name, an object with ``d_loss(D, real, fake)`` and ``g_loss(D, real, fake)``, a pair of such functions;
            or a list of these. Rows with anything that is not from an installed package are *custom*.
        protocol: a name, a TOML file, or the rules themselves.
        tricks: names (``"pacgan:2"``) or ``Trick`` objects.
        seeds: only these; default: the protocol's.
        settings: what ``--set`` takes, e.g. ``{"lr": 1e-4, "loss.weight": 1}``; the rows are then custom.
        out: where runs are kept.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:i`` or ``mps``.
        jobs: runs at a time. If more than one, each runs in its own process, which knows installed plugins only.
        force: repeat runs that have a record.
        progress: whether to show it.

    Raises:
        GanbenchError: an argument is wrong, or does not fit the others; the message says why.
        KeyboardInterrupt: the runs have saved checkpoints; the same call resumes them.
    """
    archs = [source_of("arch", one) for one in _listed(arch)]
    losses = [source_of("loss", one) for one in _listed(loss)]
    chosen = [source_of("trick", one) for one in tricks]
    rules = _rules(protocol)
    if len(seeds or rules.seeds) > 1 and any(map(_has_weights, _listed(arch))):
        warnings.warn(SAME_WEIGHTS, stacklevel=2)
    if jobs > 1 and any(source.package == UNPACKAGED for source in (*archs, *losses, *chosen)):
        raise GanbenchError(
            "objects from Python cannot be sent to other processes", "leave out `jobs`, or put them in a package"
        )
    plan = make_plan(
        archs,
        losses,
        rules,
        tricks=chosen,
        seeds=seeds,
        changes=parse_changes([_written(name, value) for name, value in (settings or {}).items()]),
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
    samples: Tensor | np.ndarray,
    protocol: str | Path | Protocol = DEFAULT_PROTOCOL,
    *,
    labels: Tensor | np.ndarray | None = None,
    range: tuple[float, float] | None = None,
    seed: int = 0,
    device: str = "auto",
) -> Scores:
    """Score any samples with a protocol's judge: ``evaluate(samples)["fid"]``, or by the name in full.

    Args:
        samples: ``x[N, *shape]`` in the shape of the protocol's data, channels first, with the protocol's N. Images
            and video are uint8 0..255 or floats in [-1, 1], sounds are floats in [-1, 1], points any finite numbers.
            Floats of any precision are rounded once, to uint8 or float32. Colours come in the order of the data's,
            red, green, blue; another order, such as OpenCV's BGR, cannot be noticed.
        protocol: a name, a TOML file, or the rules themselves.
        labels: ``[N]``, names of the data's classes or their numbers, integers from 0: what the samples were generated
            for. Metrics for conditional models use them.
        range: the numbers in ``samples`` that stand for the least and the greatest value (black and white), where they
            are others: ``(0, 1)`` for ``to_tensor``, a sigmoid or a mask. It also confirms the usual range of samples
            that are refused because they all lie in 0..1: ``(-1, 1)`` for floats, ``(0, 255)`` for uint8.
        seed: of the metrics' random draws.
        device: where features are computed.

    Raises:
        DataError: the samples have the wrong shape, number, type or range, or the labels the wrong number, type or
            range. The message says what was found.
        GanbenchError: the protocol's data, metrics or extractor cannot be loaded here.

    Warns:
        Doubt: the samples may be on another scale, labels are missing or not needed, the headline has no score, or
            scores may not mean what they seem to. ``absent`` of the result holds every column without a score.
    """
    rules = _rules(protocol)
    bench = prepare(rules, device)
    fake, doubts = split_of(samples, labels, bench.judge, rules.name, range)
    with configured(1):
        verdict = bench.judge.score(fake, seed)
    for doubt in (*doubts, *verdict.doubts, *_without_headline(verdict, rules.evaluation.headline)):
        warnings.warn(Doubt(doubt), stacklevel=2)
    return Scores(verdict.scores, verdict.absent)


def _without_headline(verdict: Verdict, headline: str) -> list[str]:
    return [f"there is no {headline}: {verdict.absent[headline]}"] if headline in verdict.absent else []


def leaderboard(
    protocol: str | Path = DEFAULT_PROTOCOL,
    *,
    runs: str | Path = "runs",
    published: bool = True,
    sort: str = "",
    full: bool = False,
) -> pd.DataFrame:
    """The table of a protocol, one row for each entry, custom run and yardstick.

    The columns are those that are printed, with numbers as numbers: ``rank`` (a range, as text, or ``custom``),
    ``arch``, ``loss``, the headline with its interval (``fid``, ``fid low``, ``fid high``), the scores beside it
    (``is``, ``coverage``), ``samples/s``, ``ok``. Rows with tricks or changed settings add ``tricks`` and ``settings``,
    rows of yours beside published ones add ``here``. Yardsticks stand under ``arch``, with ``yardstick`` as their loss.

    Args:
        protocol: a name, or a TOML file.
        runs: where runs are kept.
        published: whether to show published rows beside them.
        sort: a column to sort by, e.g. ``"coverage"``.
        full: the columns of ``table.csv`` instead: all scores as mean, sd and interval, costs and provenance.

    Raises:
        GanbenchError: there is no such protocol or column, or no record that can be read.

    Warns:
        GanbenchWarning: a record cannot be read; it is left out.
    """
    table, errors = gather(str(protocol), Path(runs), published=published, sort=sort)
    if table is None and errors:
        raise errors[0]
    if table is None:
        raise RecordError(f"there are no records of {protocol} in {runs} and none published", "run something first")
    for error in errors:
        warnings.warn(GanbenchWarning(f"left out: {error.message}"), stacklevel=2)
    return to_frame(table) if full else to_brief_frame(table)


def load_run(path: str | Path) -> Run:
    """A run by its folder, or by its record.

    Raises:
        RecordError: there is none, or it cannot be read.
    """
    path = Path(path)
    file = path if path.is_file() else path / "record.json"
    if not file.exists():
        below = sorted(path.glob("*/record.json"))
        hint = f"choose a seed, for example {below[0].parent}" if below else "give a folder like runs/.../seed0"
        raise RecordError(f"{path} holds no run", hint)
    return Run(file.parent, read(file))


def _rules(protocol: str | Path | Protocol) -> Protocol:
    return checked(protocol, "protocol") if isinstance(protocol, Protocol) else load_protocol(str(protocol))


def _listed(thing: Any) -> list[Any]:
    """A list holds several; anything else is one, a tuple (a pair) included."""
    return list(thing) if isinstance(thing, list) else [thing]


def _has_weights(arch: Any) -> bool:
    return isinstance(arch, (nn.Module, tuple))


def _written(name: str, value: Any) -> str:
    """A setting as ``--set`` takes it: the value is TOML."""
    if not _holds_mapping(value):  # tables of TOML take several lines
        with suppress(ValueError):
            return f"{name}={tomlkit.item(value).as_string()}"
    hint = "a setting is a number, text, true or false, or a list of these"
    raise ProtocolError(f"settings: {name} cannot be {shortened(value)}", hint)


def _holds_mapping(value: Any) -> bool:
    return isinstance(value, Mapping) or (isinstance(value, list | tuple) and any(map(_holds_mapping, value)))
