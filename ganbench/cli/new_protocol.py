"""``ganbench new-protocol``: write a protocol for the user's own data, as a commented file that is ready to run."""

from __future__ import annotations

import os
import re
import shlex
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.text import Text

from ganbench import plugins
from ganbench.cli import completion
from ganbench.cli.base import command, console
from ganbench.cli.numbers import whole
from ganbench.contracts.component_ref import ComponentRef
from ganbench.contracts.protocol import LONGEST_NAME
from ganbench.contracts.protocol_file import read_toml
from ganbench.contracts.protocol_text import commented
from ganbench.errors import Doubt, GanbenchError, listed, plural
from ganbench.plugins.protocols import load_protocol
from ganbench.records.files import write_atomically
from ganbench.runs.estimate import duration

if TYPE_CHECKING:
    from ganbench.contracts.protocol import Protocol
    from ganbench.runs.proposal import Proposal, Sort, Wish

OF_CLASSES = {"intra-fid": "intra_fid", "density-coverage": "coverage", "is": "is"}
"""Metric -> its column that gets worse when classes are missing."""
SOUND_SAMPLES, SOUND_RATE = 4096, 8000
"""Half a second, short enough for training on two cores."""
JUDGE_SUFFIX = ".judge.safetensors"


def _sorts() -> Mapping[str, Sort]:
    """Option -> the plugins that suit such data. Users may put any other installed ones in the file instead."""
    from ganbench.runs.proposal import Row, Sort

    of_images = ("fid", "is", "kid", "precision-recall", "density-coverage")
    of_classes = ("intra-fid", "label-accuracy", "cas", *of_images)
    by_class = ("class gaussians", "gaussian fit", "one class", "noise")
    shown = ("is", "coverage", "kid", "recall")  # precision rewards blur, and density has no best value
    return {
        "--images": Sort(
            "images",
            "folder",
            "own",
            like="digits-16-v2",
            row=Row("dcgan", "r1", of_images, ("fid", "kid"), shown=shown),
            by_class=Row("cgan", "r1", of_classes, ("intra_fid", "fid", "kid"), by_class),
            size=32,
        ),
        "--pairs": Sort(
            "images",
            "folder-pair",
            "own",
            like="digits-edges-v2",
            row=Row("cyclegan", "lsgan", ("translation", "fid", "kid"), ("paired_error", "fid", "kid")),
            size=32,
        ),
        "--sounds": Sort(
            "sounds",
            "folder-wav",
            "own",
            like="drums-v1",
            row=Row("wavegan", "r1", ("fad", "is", "kid", "density-coverage"), ("fad", "kid"), shown=shown),
        ),
        "--points": Sort(
            "points",
            "points",
            "raw",
            like="ring-v2",
            row=Row(
                "mlp",
                "non-saturating",
                ("distance-1d", "density-coverage", "fid", "precision-recall"),
                ("w1", "coverage", "fid"),
            ),
        ),
    }


@command("new-protocol")
def new_protocol(
    file: Annotated[Path, typer.Argument(help="The file to write, e.g. mine.toml.")],
    images: Annotated[Path | None, typer.Option(help="A folder of images, or one with a sub-folder per class.")] = None,
    sounds: Annotated[
        Path | None, typer.Option(help="A folder of WAV files, or one with a sub-folder per class.")
    ] = None,
    pairs: Annotated[
        tuple[Path, Path] | None,
        typer.Option(
            help="Two folders: GANs translate images like those in the first to images like those in the second."
        ),
    ] = None,
    points: Annotated[Path | None, typer.Option(help="A .npy or .csv file with one row of numbers per sample.")] = None,
    like: Annotated[
        str | None,
        typer.Option(help="The protocol to take training settings from.", autocompletion=completion.protocols),
    ] = None,
    size: Annotated[
        int | None,
        typer.Option(
            parser=whole(4, 1_000_000),
            metavar="SIZE",
            help="Pixels per side (default: up to 32), or samples per sound (default: 4096).",
        ),
    ] = None,
    rate: Annotated[
        int | None,
        typer.Option(parser=whole(100, 1_000_000), metavar="HZ", help="Samples per second of sound; default: 8000."),
    ] = None,
    classes: Annotated[bool, typer.Option("--classes", help="Compare class-conditional GANs.")] = False,
    extractor: Annotated[
        str, typer.Option(help="Another judge, e.g. inception; default: one trained on your data.", show_default=False)
    ] = "",
    force: Annotated[bool, typer.Option("--force", help="Replace the files if they exist.")] = False,
) -> None:
    """Look at your data and write a protocol to compare GANs on them: a commented TOML file that is ready to run.

    The command also trains a judge on the training split and stores it beside that file. It chooses the budget so that
    the first row takes about three minutes on two cores.
    """
    given = {"--images": images, "--sounds": sounds, "--pairs": pairs, "--points": points}
    option, paths = _only_one(given)
    judge_file = file.with_name(f"{file.stem}{JUDGE_SUFFIX}")
    _refuse_file(file, judge_file, force)
    sorts = _sorts()
    sort = sorts[option]
    _refuse_misfits(
        option,
        {
            "--classes": (classes, [name for name, one in sorts.items() if one.by_class]),
            "--size": (size, [name for name in sorts if name != "--points"]),
            "--rate": (rate, ["--sounds"]),
        },
    )
    numbers = (str(size or SOUND_SAMPLES), str(rate or SOUND_RATE)) if option == "--sounds" else ()
    rules = load_protocol(like or sort.like)
    _doubt_settings(rules, sort)
    from ganbench.runs.proposal import Wish

    wish = Wish(
        name=file.stem,
        sort=sort,
        dataset=_named(sort.dataset, [_beside(file, path) for path in paths], numbers),
        argument=",".join([*map(str, paths), *numbers]),
        like=rules,
        judge_file=judge_file.name,
        resolution=size if sort.size else None,
        classes=classes,
        extractor=extractor,
    )
    _fulfil(wish, file, judge_file)


def _fulfil(wish: Wish, file: Path, judge_file: Path) -> None:
    from ganbench.runs.proposal import propose

    proposal = propose(wish)
    _write(file, judge_file, proposal, wish)
    _report(file, judge_file, proposal, wish, console())


# -- what is asked for -------------------------------------------------------------------------------------------------


def _only_one(given: Mapping[str, Path | tuple[Path, Path] | None]) -> tuple[str, list[Path]]:
    """The option that names the data, and its paths.

    Raises:
        GanbenchError: none is given, or several are.
    """
    named = {option: value for option, value in given.items() if value is not None}
    if len(named) != 1:
        said = f"{' and '.join(named)} are given, but a protocol has one dataset" if named else "no data are given"
        raise GanbenchError(said, f"name one of {', '.join(given)}: ganbench new-protocol mine.toml --images FOLDER")
    ((option, value),) = named.items()
    return option, [*value] if isinstance(value, tuple) else [value]


def _refuse_misfits(option: str, given: Mapping[str, tuple[object, list[str]]]) -> None:
    """Raise GanbenchError for an option that suits only other data. ``given``: option -> value and what it suits."""
    for name, (value, fitting) in given.items():
        if value and option not in fitting:
            raise GanbenchError(f"{name} does not go with {option}", f"it goes with {', '.join(fitting)}; leave it out")


def _doubt_settings(like: Protocol, sort: Sort) -> None:
    """Warn if the requested training settings are for other kinds of data: only images have a resolution."""
    if like.dataset_ref.name != sort.dataset and (like.resolution is None) != (sort.size is None):
        what = f"the training settings of {like.name} were not chosen for {sort.things}"
        warnings.warn(Doubt(f"{what}; leave out --like to use those of {sort.like}"), stacklevel=2)


def _refuse_file(file: Path, judge_file: Path, force: bool) -> None:
    """Raise GanbenchError, before anything is read, if the files cannot be written under these names."""
    if file.suffix != ".toml":
        raise GanbenchError(
            f"a protocol is a TOML file, and {file} does not end with .toml", f"call it {file.stem}.toml"
        )
    if not re.fullmatch(rf"[A-Za-z0-9][A-Za-z0-9._-]{{0,{LONGEST_NAME - 1}}}", file.stem):
        raise GanbenchError(
            f"'{file.stem}' is not a valid name for a protocol",
            f"use at most {LONGEST_NAME} letters, digits, '.', '_' and '-', beginning with a letter or digit",
        )
    if file.stem in {source.name for source in plugins.of_kind("protocol")}:
        raise GanbenchError(f"an installed protocol is called {file.stem}", "give yours another name")
    for path in (file, judge_file):
        if os.path.lexists(path) and not (force and path.is_file()):
            how = "choose another name" + ("" if os.path.isdir(path) else ", or replace it with --force")
            raise GanbenchError(f"{path} already exists", how)
    if not file.parent.is_dir():
        raise GanbenchError(f"the folder {file.parent} does not exist", "create it, or choose another folder")


def _beside(file: Path, path: Path) -> str:
    """A path as the file should name it: relative to the file if given as relative, and never readable as a number."""
    if path.is_absolute() or str(path).startswith("~"):
        return str(path)
    relative = os.path.relpath(path, file.parent)
    return f".{os.sep}{relative}" if relative.strip().isdecimal() else relative


def _named(dataset: str, paths: list[str], numbers: tuple[str, ...]) -> str:
    """``folder-wav:my-sounds,4096,8000``.

    Raises:
        GanbenchError: a path holds a number between commas, which would be read as a parameter.
    """
    text = f"{dataset}:{','.join([*paths, *numbers])}"
    if ComponentRef.of(text).parameters != numbers:
        raise GanbenchError(f"{', '.join(paths)} would be read as a path and numbers", "rename it, without the comma")
    return text


# -- what is written ---------------------------------------------------------------------------------------------------


def _write(file: Path, judge_file: Path, proposal: Proposal, wish: Wish) -> None:
    """Write the judge and then the rules, after reading the rules back from a draft in the same folder.

    Raises:
        GanbenchError: a file cannot be written, or the draft cannot be read back; nothing is written in that case.
    """
    text = _text(file, proposal, wish).encode()
    draft = file.with_name(f".{file.stem}.draft.toml")
    try:
        write_atomically(draft, text)
        read_toml(draft)
    finally:
        draft.unlink(missing_ok=True)
    if proposal.judge is not None:
        write_atomically(judge_file, proposal.judge)
    write_atomically(file, text)


def _text(file: Path, proposal: Proposal, wish: Wish) -> str:
    found = "\n".join(_found(proposal, wish))
    preamble = f"Written by `ganbench new-protocol`; change what you like.\n\n{found}\n\nNext:\n" + "\n".join(
        f"  {line}" for line in _next(file, proposal)
    )
    evaluation, cost = proposal.protocol.evaluation, proposal.cost
    at_once = (
        "the held-out pairs" if evaluation.reference == "test" else "half of all, to compare reals with as many reals"
    )
    beside = {
        "budget_kimg": f"{_row(proposal)}: {duration(cost.training)} of training per run, "
        f"{duration(cost.row)} for all seeds on two cores, measured here",
        "samples": f"{at_once}; scores are comparable only at equal numbers",
        "extractor": f"{plural(proposal.features, 'feature')}; its hash is in the name of every score",
        "headline": _floor(proposal),
    }
    if "one class" in proposal.protocol.evaluation.yardsticks and not proposal.dataset.spec.classes:
        beside["yardsticks"] = "one class: there are no classes, so this repeats a single sample"
    if unmeasured := "\n".join(_unmeasured(proposal)):
        beside["metrics"] = unmeasured
    return commented(proposal.protocol, preamble, beside)


def _found(proposal: Proposal, wish: Wish) -> Iterator[str]:
    """Sentences about the data."""
    from ganbench.runs.proposal import count

    data, things = proposal.dataset, wish.sort.things
    selection = "" if data.selection is None else f", {len(data.selection)} for choosing the best generator"
    yield (
        f"{data.name} has {count(data)} {things}, used as {data.spec}: "
        f"{len(data.train)} for training, {len(data.test)} held out{selection}."
    )
    if data.spec.classes and data.train.labels is not None:
        sizes = data.train.labels.bincount(minlength=data.spec.classes).tolist()
        names = data.class_names or tuple(map(str, range(data.spec.classes)))
        few = ", ".join(f"{name} ({size})" for name, size in list(zip(names, sizes, strict=True))[:8])
        more = f" and {len(sizes) - 8} more" if len(sizes) > 8 else ""
        yield f"It has {len(sizes)} classes; training {things} per class: {few}{more}."
    for note in data.notes:
        named = "." in note.partition(" ")[0]  # a file's name begins the sentence
        yield f"{note}." if named else f"{note[:1].upper()}{note[1:]}."


def _unmeasured(proposal: Proposal) -> Iterator[str]:
    """Sentences on the metrics left out: why, and what else shows missing classes if modes are not known."""
    for metric, why in proposal.left_out.items():
        yield f"without '{metric}': {why}"
    data, kept = proposal.dataset, proposal.protocol.evaluation
    if data.spec.classes and data.oracle is None and "modes" not in kept.metrics:
        tells = [column for metric, column in OF_CLASSES.items() if metric in kept.metrics]
        tells += ["the yardstick 'one class'"] if "one class" in kept.yardsticks else []
        instead = f"; missing classes show in {listed(tells)}" if tells else ""
        yield f"without 'modes': the class of a fake is not known for certain{instead}"


def _floor(proposal: Proposal) -> str:
    """The score of real data. For pairs, these are images that belong to other sources, so it is not a goal."""
    paired = proposal.protocol.evaluation.reference == "test"
    what = "real images of other sources" if paired else "real data"
    return f"{what} score {proposal.floor:.4g}" + ("" if paired else "; do not expect a generator to do better")


def _row(proposal: Proposal) -> str:
    return f"{proposal.row.arch} with {proposal.row.loss}"


def _next(file: Path, proposal: Proposal) -> list[str]:
    run = ["ganbench", "run", "--protocol", str(file), "--arch", proposal.row.arch, "--loss", proposal.row.loss]
    return [shlex.join(run), shlex.join(["ganbench", "leaderboard", str(file)])]


def _report(file: Path, judge_file: Path, proposal: Proposal, wish: Wish, terminal: Console) -> None:
    """Print what was found, what was written, and the next commands."""
    rules, cost = proposal.protocol, proposal.cost
    for sentence in _found(proposal, wish):
        terminal.print(sentence, soft_wrap=True)
    for metric, why in proposal.left_out.items():
        terminal.print(Text.assemble(("left out:", "yellow"), f" the metric '{metric}': {why}"), soft_wrap=True)
    if proposal.judge is not None:
        told = " tells the classes apart," if proposal.classifies else ""
        told = told or (" does not tell the classes apart," if proposal.dataset.spec.classes else "")
        terminal.print(
            Text.assemble(
                "judge: ",
                (str(judge_file), "bold"),
                f", {plural(proposal.features, 'feature')},{told} trained in {proposal.judge_seconds:.1f} s",
            ),
            soft_wrap=True,
        )
    terminal.print(
        f"headline: {rules.evaluation.headline} of {rules.evaluation.samples} fakes; {_floor(proposal)}",
        soft_wrap=True,
    )
    terminal.print(
        f"budget: {rules.training.budget_kimg:g} kimg; {_row(proposal)} takes {duration(cost.row)} for "
        f"{plural(len(rules.seeds), 'seed')} on two cores",
        soft_wrap=True,
    )
    terminal.print(Text.assemble("wrote ", (str(file), "bold"), ". Next:\n"), soft_wrap=True)
    for line in _next(file, proposal):
        terminal.print(f"  {line}", soft_wrap=True)
