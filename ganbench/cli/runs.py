"""``ganbench show``: print one run in detail. Also finds the folders of runs for other commands."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, NamedTuple

import msgspec
import typer
from rich.table import Column, Table
from rich.text import Text

from ganbench.cli.base import command, complain, console, echo
from ganbench.errors import RecordError, plural
from ganbench.records.collapse import collapses_of
from ganbench.records.record import Cost, External, ExternalRecord, Record, SelfChecks, TrainingRecord, YardstickRecord
from ganbench.records.store import read

EXAMPLE = "give a folder like runs/digits-16-v2/dcgan+wgan-gp/seed0"
SPREAD = "variance of the features / of the samples, as a share of the reals'"
TRUSTED_WINDOWS = 5
"""A median of fewer means little."""


class Detail(NamedTuple):
    """One fact about a run. A fact without a value is left out."""

    name: str
    value: str
    remark: str = ""


def run_folders(run: Path, file: str) -> list[Path]:
    """The run folders that a path stands for: itself, or every seed below it.

    Raises:
        RecordError: none of them holds ``file``.
    """
    folder = run.parent if run.is_file() else run
    below = (p.parent for p in folder.glob(f"*/{file}") if p.is_file())  # reading a pipe may never end
    found = [folder] if (folder / file).is_file() else sorted(below)
    if found:
        return found
    if not run.exists():
        raise RecordError(f"{run} does not exist", EXAMPLE)
    if _is_yardstick(folder / "record.json"):
        raise RecordError(f"{run} is a yardstick: nothing was trained, so there is no {file}", EXAMPLE)
    if (folder / "record.json").exists() or any(folder.glob("*/record.json")):
        raise RecordError(f"{run} has a record but no {file}", "the same `ganbench run` with --force writes it again")
    raise RecordError(f"{run} holds no run ({file} is missing)", EXAMPLE)


def _is_yardstick(file: Path) -> bool:
    try:
        return file.exists() and isinstance(read(file), YardstickRecord)
    except RecordError:
        return False


@command("show")
def show(
    run: Annotated[Path, typer.Argument(help="A run's folder or record, or the folder above its seeds.")],
    everything: Annotated[bool, typer.Option("--all", help="Print everything about each seed, not a summary.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the record as it is stored.")] = False,
) -> None:
    """Print everything about a run: scores, recipe, speed, cost, provenance. Several seeds are summed up."""
    alone = run.exists() and not run.is_dir()
    paths = [run] if alone else [folder / "record.json" for folder in run_folders(run, "record.json")]
    found, errors = {}, list[RecordError]()
    for path in paths:
        try:
            found[path] = read(path)
        except RecordError as error:
            errors.append(error)
    if as_json and found:
        texts = [msgspec.json.format(path.read_text("utf-8"), indent=1) for path in found]
        echo(texts[0] if len(paths) == 1 else f"[{','.join(texts)}]")
    elif len(found) > 1 and not everything:
        from ganbench.cli.summary import print_summary

        print_summary([*found.values()], console())
    elif not as_json:
        for path, record in found.items():
            _describe(record, path)
    for unread in errors:
        complain(unread)
    if errors:
        raise typer.Exit(2)


def _describe(record: Record, path: Path) -> None:
    terminal = console()
    title = Text.assemble((record.entry, "bold"), f", seed {record.seed}, on {record.protocol}: ")
    title.append(record.status, "green" if record.status == "ok" else "red")
    if collapses_of(record):
        title.append(", ").append("collapsed", "red")
    terminal.print(title)
    if record.reason:
        terminal.print(f"  {record.reason}")
    sections = {
        "scores": _score_rows(record),
        **(_training_sections(record) if isinstance(record, TrainingRecord) else {}),
        **({"samples": _external_rows(record.external)} if isinstance(record, ExternalRecord) else {}),
        "self-checks": _check_rows(record),
        "speed": _speed_rows(record) if isinstance(record, TrainingRecord) else [],
        "provenance": _provenance_rows(record),
    }
    for heading, rows in sections.items():
        table = Table("", "", Column(style="dim"), box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
        for row in rows:
            if row.value:
                table.add_row(f"  {row.name}", row.value, row.remark)
        if table.row_count:
            terminal.print(heading, style="bold")
            terminal.print(table)
    terminal.print(f"{path}\n", style="dim", soft_wrap=True)


def _training_sections(record: TrainingRecord) -> dict[str, list[Detail]]:
    return {
        "recipe": [Detail(name, str(value), record.recipe_from.get(name, "")) for name, value in record.recipe.items()],
        "networks": [
            Detail("parameters", ", ".join(f"{who} {n:,}" for who, n in record.parameters.items())),
            Detail("D normalisation", record.d_norm),
        ],
        "during training": _way_rows(record),
    }


def _external_rows(external: External) -> list[Detail]:
    """What is known of samples from elsewhere."""
    return [
        Detail("stated", str(external.declared), "not checked"),
        Detail("read", external.read),
        Detail("assumed", "; ".join(external.assumed)),
        Detail("found", "; ".join(external.found)),
    ]


def _score_rows(record: Record) -> list[Detail]:
    rows = []
    for name, value in record.scores.items():
        draws = [draw[name] for draw in record.draws if name in draw]
        spread = f"draws: {', '.join(f'{d:.4g}' for d in draws)}" if len(draws) > 1 else ""
        rows.append(Detail(name, f"{value:.4g}", spread))
    return rows + [Detail(name, "–", reason) for name, reason in record.absent.items()]


def _way_rows(record: TrainingRecord) -> list[Detail]:
    """The headline on the selection split during training, and the scores of the best generator."""
    if not record.curve:
        return []
    looks = ", ".join(f"{look.score:.4g} at {look.kimg:g}" for look in record.curve)
    rows = [Detail(f"{record.headline} by kimg", looks, "on the selection split")]
    if record.best:
        scores = ", ".join(f"{name} {value:.4g}" for name, value in record.best.scores.items())
        rows.append(Detail(f"best, at {record.best.kimg:g} kimg", scores, "on the reporting split"))
    return rows


def _of_reals(checks: SelfChecks) -> str:
    return f"reals: {checks.real_effective:.3g}" if checks.real_effective else ""


def _check_rows(record: Record) -> list[Detail]:
    checks = record.self_checks
    if checks is None:
        return []
    return [
        Detail("compared", f"{checks.fake:,} fakes with {checks.real:,} reals"),
        *(Detail("other reals", f"{name} {value:.4g}", "in place of fakes") for name, value in checks.floor.items()),
        *(Detail("the same reals", f"{name} {value:.4g}") for name, value in checks.identical.items()),
        Detail("effective samples", f"{checks.effective_samples:.3g}", _of_reals(checks)),
        Detail(
            "spread",
            " / ".join(f"{share:.3g}" for share in (checks.spread, checks.raw_spread) if share is not None),
            SPREAD,
        ),
        Detail("collapsed", "; ".join(way.told for way in collapses_of(record))),
        Detail("failed", "; ".join(checks.failed)),
    ]


def _speed_rows(record: TrainingRecord) -> list[Detail]:
    speed, cost = record.speed, record.cost
    if not cost.images:
        return []
    few = "" if speed.windows >= TRUSTED_WINDOWS else " (too few to trust)"
    windows = f"median of {speed.windows} windows{few}, IQR {speed.train_iqr:,.0f}"
    alone = record.environment.workers == 1  # with other runs beside it, wall-clock time depends on them
    return [
        Detail("training", f"{speed.train:,.0f} samples/s" if speed.windows and alone else "", windows),
        *_cpu_rows(record),
        Detail("sampling", f"{speed.sample:,.0f} samples/s" if speed.sample and alone else ""),
        Detail("iteration", f"{speed.step_ms:.2f} ms" if speed.windows and alone else ""),
        Detail("mode", speed.mode, "how iterations were executed"),
        *_arithmetic_rows(record),
        Detail("peak memory", f"{speed.peak_memory_mb:,.0f} MB"),
        Detail(
            "cost",
            f"{cost.images:,} samples",
            f"{cost.train_seconds:.1f} s training, {cost.judge_seconds:.1f} s judging",
        ),
        *_energy_rows(cost),
    ]


def _cpu_rows(record: TrainingRecord) -> list[Detail]:
    """The rate per second of CPU time, which other programs hardly affect, and the load on the machine."""
    speed, cost, company = record.speed, record.cost, record.company
    beside = f"{company.steal:.1%} of CPU time stolen, {company.pressure:.1%} of the time a task waited for a CPU"
    return [
        Detail(
            "by CPU time",
            f"{speed.train_cpu:,.0f} samples/CPU s" if speed.train_cpu else "",
            f"{cost.train_cpu_seconds:.1f} CPU s",
        ),
        Detail("machine load", f"{company.load:.2f}" if company.load else "", beside),
    ]


def _arithmetic_rows(record: TrainingRecord) -> list[Detail]:
    """Operations per image, and their rate compared with the device's peak."""
    speed, env = record.speed, record.environment
    if not speed.flops_per_second:
        return []
    total, d, g = (in_units(n, "FLOP") for n in (speed.d_flops + speed.g_flops, speed.d_flops, speed.g_flops))
    peak = in_units(speed.peak_flops_per_second, "FLOP/s")
    means = "" if env.cuda else f", {plural(env.threads, 'thread')}"
    beside = f"{speed.peak_share:.1%} of the {peak} that a {env.precision} matrix product reached here{means}"
    return [
        Detail("arithmetic", f"{total} per sample", f"D {d}, G {g}"),
        Detail("rate", in_units(speed.flops_per_second, "FLOP/s"), beside if speed.peak_share else ""),
    ]


def _energy_rows(cost: Cost) -> list[Detail]:
    if cost.device_joules is None:
        return []
    each = in_units(1000 * cost.device_joules / cost.images, "J")
    return [Detail("device energy", in_units(cost.device_joules, "J"), f"{each} per 1,000 samples, training only")]


def in_units(value: float, unit: str) -> str:
    """``12.3 MFLOP``: three digits, and a prefix where the number is 1000 or more."""
    for prefix in ("", "k", "M", "G", "T"):
        if abs(value) < 999.5:
            return f"{value:.3g} {prefix}{unit}"
        value /= 1000
    return f"{value:.3g} P{unit}"


def _provenance_rows(record: Record) -> list[Detail]:
    env = record.environment
    dirty = " with uncommitted changes" if env.dirty else ""
    parts = [(kind, component) for kind, component in record.players if kind != "trick"]
    return [
        Detail("protocol", f"{record.protocol} ({record.digest})"),
        *(Detail(kind, f"{c.name} ({c.package} {c.version})", f"source {c.source}") for kind, c in parts),
        Detail("metrics", ", ".join(f"{name} {c.source}" for name, c in record.metrics.items())),
        Detail("dataset", f"{record.dataset}", record.dataset_hash),
        Detail("samples", record.origin.conversion),
        Detail("licence of the data", record.origin.licence, record.origin.homepage),
        Detail("data by", record.origin.citation),
        Detail("extractor", record.extractor),
        Detail("ganbench", f"{env.ganbench}", f"commit {env.commit}{dirty}" if env.commit else ""),
        Detail("torch", f"{env.torch}", f"{env.precision}, {plural(env.threads, 'thread')}"),
        Detail("device", f"{env.device}", f"{env.system}, Python {env.python}"),
        Detail("started", record.started, f"{plural(env.workers, 'run')} at a time"),
        Detail("nondeterministic", ", ".join(env.nondeterministic)),
        Detail(
            "weights", record.bits.weights, f"samples {' '.join(record.bits.samples)}" if record.bits.samples else ""
        ),
    ]
