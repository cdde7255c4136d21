"""``ganbench evaluate``: score anybody's samples under a protocol, or one set of samples against another."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from ganbench.cli import completion
from ganbench.cli.base import command, console, echo
from ganbench.cli.numbers import whole
from ganbench.cli.options import LARGEST_SEED, DataRoot, Device
from ganbench.cli.progress import progress_on
from ganbench.cli.words import errors_in_options
from ganbench.contracts.score_name import short_names
from ganbench.errors import GanbenchError, listed, plural
from ganbench.plain import plain_line
from ganbench.runs.folders import external_folder, plain_name

if TYPE_CHECKING:
    from ganbench.evaluation.scale import Span
    from ganbench.records.record import Declared, ExternalRecord
    from ganbench.samples.asked import Asked

SAMPLES_HELP = "A folder, .zip or .tar of images, a folder of WAVs, .npy, .npz, .pt, .onnx, or file.py:function."
USAGE = "ganbench evaluate SAMPLES --protocol digits-16-v2, or ganbench evaluate A --against B"


Protocol = Annotated[str, typer.Option(help="Name of a protocol, or a TOML file.", autocompletion=completion.protocols)]
LabelsFile = Annotated[
    Path | None, typer.Option(help="The classes that the samples were made for: a number or a name per line, or .npy.")
]
Range = Annotated[
    str, typer.Option("--range", metavar="LOW,HIGH", help="What stands for black and white, such as 0,1.")
]
Metrics = Annotated[
    list[str] | None,
    typer.Option(
        help="Further metrics (repeat, or separate by commas); with --against, the only ones.",
        autocompletion=completion.metrics,
    ),
]
Parameters = Annotated[int, typer.Option(parser=whole(0, 10**15), metavar="N", help="Parameters of the generator.")]
Latents = Annotated[
    int, typer.Option(parser=whole(0, 16_384), metavar="N", help="Latents of a generator that does not say.")
]
Seed = Annotated[
    int, typer.Option(parser=whole(0, LARGEST_SEED), metavar="SEED", help="Of latents, choices and metrics.")
]
Workers = Annotated[
    int,
    typer.Option(parser=whole(0, 1024), metavar="N", help="Processes that compute features on a CPU; 0: one a core."),
]


class Request(NamedTuple):
    """The samples to score, the metrics beyond the usual ones, and how to read and score them."""

    samples: str
    asked: Asked
    labels: Path | None
    metrics: tuple[str, ...]
    span: Span | None
    device: str


def _span(text: str) -> tuple[float, float]:
    """``0,1`` -> (0.0, 1.0)."""
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError:
        raise typer.BadParameter(f"'{text}' is not two numbers, such as 0,1") from None
    return low, high


def _name_of(samples: str) -> str:
    """A name for samples that were given none: that of the file, and of the function in it."""
    path, _, function = samples.rpartition(":") if ".py:" in samples else (samples, "", "")
    return plain_name("-".join(filter(None, [Path(path).stem.removesuffix(".tar"), function])))


def _refuse_unused(options: Mapping[str, object], why: str) -> None:
    """Raise GanbenchError if one of the options was given a value, because nothing would use it."""
    if given := [option for option, value in options.items() if value]:
        raise GanbenchError(f"{listed(given)} cannot be used here: {why}", f"leave out {listed(given)}")


def _checked_link(link: str) -> None:
    if link and not re.fullmatch(r"https?://[^\s/]+\S*", link):
        raise GanbenchError(f"'{link}' is no address of a page", "give --link https://...")


@command("evaluate")
def evaluate(
    samples: Annotated[str, typer.Argument(help=SAMPLES_HELP)],
    protocol: Protocol = "",
    against: Annotated[str, typer.Option(help="Another set, to compare with instead of a protocol's data.")] = "",
    labels: LabelsFile = None,
    range_: Range = "",
    metric: Metrics = None,
    extractor: Annotated[str, typer.Option(help="With --against: the network whose features are compared.")] = "",
    name: Annotated[str, typer.Option(help="Name of the model that made them.", show_default="the file's")] = "",
    by: Annotated[str, typer.Option(help="Who states --link, --parameters and --cost. Recorded, not checked.")] = "",
    link: Annotated[str, typer.Option(help="Where the model is described.")] = "",
    parameters: Parameters = 0,
    cost: Annotated[str, typer.Option(help="What its training took, in words.")] = "",
    trust: Annotated[bool, typer.Option("--trust", help="Run the program that makes the samples.")] = False,
    z_dim: Latents = 0,
    seed: Seed = 0,
    device: Device = "auto",
    workers: Workers = 0,
    out: Annotated[Path, typer.Option(help="Folder of runs, for the record.")] = Path("runs"),
    force: Annotated[bool, typer.Option("--force", help="Replace the result of other samples of that name.")] = False,
    data_root: DataRoot = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the record, or the scores, as JSON.")] = False,
) -> None:
    """Score anybody's samples under a protocol, or one set against another.

    GANBench says how it understood the samples, and what may be wrong with them. The result is a record: `ganbench
    leaderboard` shows it below the trained rows, without a rank.
    """
    if bool(protocol) == bool(against):
        raise GanbenchError("name either a protocol or another set of samples", USAGE)
    if protocol:
        _refuse_unused({"--extractor": extractor}, "a protocol has an extractor of its own")
    else:
        stated = {"--name": name, "--by": by, "--link": link, "--parameters": parameters, "--cost": cost}
        _refuse_unused(stated | {"--labels": labels, "--force": force}, "comparing two sets leaves no record")
    _checked_link(link)
    span = _span(range_) if range_ else None

    from ganbench.device.cores import usable_cores  # all of these import torch, which takes long
    from ganbench.records.record import Declared
    from ganbench.runs.extraction import by_processes
    from ganbench.runs.setup import pick_device
    from ganbench.samples.asked import Asked

    asked = Asked(1, seed=seed, trusted=trust, z_dim=z_dim)
    metrics = tuple(name.strip() for text in metric or [] for name in text.split(",") if name.strip())
    request = Request(samples, asked, labels, metrics, span, device)
    working = by_processes(workers or usable_cores(), pick_device(device))
    with errors_in_options(), progress_on(console(stderr=True)), working:
        if against:
            _against(request, against, extractor, as_json=as_json)
            return
        declared = Declared(by=by, link=link, parameters=parameters, cost=cost)
        record, folder = _judged(request, protocol, name or _name_of(samples), declared, out, replacing=force)
    if as_json:
        echo((folder / "record.json").read_text("utf-8"), end="")
    else:
        _show(record, folder, protocol, out)


def _judged(
    request: Request, protocol: str, name: str, declared: Declared, out: Path, *, replacing: bool
) -> tuple[ExternalRecord, Path]:
    """Read and score the samples; returns their record and its folder."""
    from ganbench.plugins.protocols import load_protocol
    from ganbench.runs.external import judge_samples, samples_of, with_metrics
    from ganbench.runs.setup import prepare
    from ganbench.samples.labels import read_labels

    rules = load_protocol(protocol)
    folder = out / rules.name / external_folder(name) / "seed0"
    labels = None if request.labels is None else read_labels(request.labels)
    bench = prepare(with_metrics(rules, request.metrics), request.device)
    found = samples_of(request.samples, bench, request.asked, labels)
    record = judge_samples(
        found,
        bench,
        name,
        rules=rules,
        declared=declared,
        span=request.span,
        seed=request.asked.seed,
        out=folder.absolute(),
        replacing=replacing,
    )
    return record, folder


def _against(request: Request, other: str, extractor: str, *, as_json: bool) -> None:
    """Score one set against another, and print the result."""
    from ganbench.runs.against import METRICS, compare_sets
    from ganbench.samples.reading import read_samples

    one, reals = (read_samples(source, None, request.asked) for source in (request.samples, other))
    found = compare_sets(
        one,
        reals,
        metrics=request.metrics or METRICS,
        extractor=extractor,
        span=request.span,
        seed=request.asked.seed,
        device=request.device,
    )
    sentences = [*found.found, *found.verdict.doubts]
    if as_json:
        scores = {"scores": found.verdict.scores, "absent": found.verdict.absent}
        echo(json.dumps({**scores, "assumed": found.assumed, "found": sentences}, indent=1))
        return
    terminal = console()
    for title, what in (("", one), ("against ", reals)):
        terminal.print(Text.assemble(title, (plain_line(what.read), "bold"), f" ({what.format})"), soft_wrap=True)
    _sentences(terminal, found.assumed, sentences)
    terminal.print(_scores(found.verdict.scores, found.verdict.absent))


def _sentences(terminal: Console, assumed: Sequence[str], found: Sequence[str]) -> None:
    for sentence in assumed:
        terminal.print(Text.assemble(("assumed: ", "dim"), plain_line(sentence)), soft_wrap=True)
    for sentence in found:
        terminal.print(Text.assemble(("found: ", "yellow"), plain_line(sentence)), soft_wrap=True)


def _scores(scores: Mapping[str, float], absent: Mapping[str, str]) -> Table:
    table = Table("", Column(justify="right"), Column(style="dim"), box=None, show_header=False, pad_edge=False)
    titles = short_names(scores)
    for column, value in scores.items():
        table.add_row(plain_line(titles[column]), f"{value:.4g}", plain_line(column.partition("@")[2]))
    for column, reason in absent.items():
        table.add_row(plain_line(column), "–", plain_line(reason))
    return table


def _show(record: ExternalRecord, folder: Path, protocol: str, runs: Path) -> None:
    """Print what was understood and found, the scores, and where they stand among the trained rows."""
    terminal, it = console(), record.external
    title = Text.assemble((plain_line(it.name), "bold"), f": {plain_line(it.read)}, under {record.protocol}")
    terminal.print(title, soft_wrap=True)
    _sentences(terminal, it.assumed, [*it.found, *record.doubts])
    terminal.print(_scores(record.scores, record.absent))
    if stands := _standing(record, runs):
        terminal.print(plain_line(stands), soft_wrap=True)
    elsewhere = [] if runs == Path("runs") else ["--runs", str(runs)]
    table = shlex.join(["ganbench", "leaderboard", protocol, *elsewhere])
    terminal.print(
        f"written to {folder}; `{table}` shows it below the trained rows",
        style="dim",
        soft_wrap=True,
    )


def _standing(record: ExternalRecord, runs: Path) -> str:
    """A sentence on the trained rows that score better; empty without such a table."""
    from ganbench.contracts.score_name import is_called
    from ganbench.leaderboards.gathering import gather
    from ganbench.leaderboards.ranking import centre_of, sign_of
    from ganbench.samples.faults import copying

    table, _ = gather(record.protocol, runs)
    name = next((name for name in record.scores if is_called(name, record.headline)), "")
    if table is None or name not in table.columns or table.goal == "info":
        return ""
    sign = sign_of(table.columns[name])
    trained = [row for row in table.rows if row.kind == "entry" and name in row.scores]
    ahead = [row for row in trained if sign * centre_of(row, row.scores[name]) < sign * record.scores[name]]
    if not trained:
        return ""
    stands = f"{len(ahead) or 'none'} of {plural(len(trained), 'trained row')} scored better by {record.headline}"
    copied = copying(record.external.found)
    return f"{stands}, but this means nothing: {copied}" if copied else stands
