"""Completions that the shell offers after TAB: installed names, rows, devices.

They come from package metadata and file names alone, so no record is read and neither torch nor a plugin is imported.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import typer

from ganbench import plugins
from ganbench.contracts.kind import Kind
from ganbench.data.folder import prepared_folders
from ganbench.leaderboards.published import published_files, published_folder
from ganbench.plain import plain_line
from ganbench.plugins.hookspecs import KINDS
from ganbench.runs.plan import DEFAULT_PROTOCOL

Offer = tuple[str, str]
"""A word, and the text that zsh and fish print beside it."""


def archs(incomplete: str) -> list[Offer]:
    """For ``--arch``: names, separated by commas, or all."""
    return _listed(incomplete, [*_components("arch"), ("all", "every installed one")])


def losses(incomplete: str) -> list[Offer]:
    """For ``--loss``: names, separated by commas, or all."""
    return _listed(incomplete, [*_components("loss"), ("all", "every installed one")])


def tricks(incomplete: str) -> list[Offer]:
    """For ``--trick``: names, separated by commas."""
    return _listed(incomplete, _components("trick"))


def metrics(incomplete: str) -> list[Offer]:
    """The installed metrics."""
    return _listed(incomplete, _components("metric"))


def executors(incomplete: str) -> list[Offer]:
    """For ``--executor``."""
    return _starting(incomplete, _components("executor"))


def protocols(incomplete: str) -> list[Offer]:
    """For ``--protocol`` and ``protocols show``."""
    return _starting(incomplete, _components("protocol"))


def tables(ctx: typer.Context, incomplete: str) -> list[Offer]:
    """For ``leaderboard``: installed protocols, and others that have runs."""
    known = _components("protocol")
    names = {name for name, _ in known}
    others = [(folder.name, "runs") for folder in _folders(_path(ctx, "runs")) if folder.name not in names]
    return _starting(incomplete, [*known, *others])


def rows(ctx: typer.Context, incomplete: str) -> list[Offer]:
    """For ``compare``: rows of the protocol's table, from the names of folders and records."""
    protocol = ctx.params.get("protocol") or DEFAULT_PROTOCOL
    given = {ctx.params.get("a"), ctx.params.get("b")}
    found = [*_own_rows(_path(ctx, "runs") / protocol), *_published_rows(protocol)]
    return _starting(incomplete, [(row, "") for row in dict.fromkeys(found) if row not in given])


def columns(ctx: typer.Context, incomplete: str) -> list[Offer]:
    """For ``--sort`` and ``--metric`` of ``leaderboard``: the columns of the published table."""
    protocol = ctx.params.get("protocol") or DEFAULT_PROTOCOL
    folder = published_folder(protocol)
    with (
        suppress(OSError, StopIteration),
        (folder or Path("none")).joinpath("table.csv").open(encoding="utf-8") as file,
    ):
        names = [name.removesuffix(" centre") for name in next(csv.reader(file)) if name.endswith(" centre")]
        return _listed(incomplete, [(name, "") for name in [*names, "samples/s", "rank", "arch", "loss"]])
    return []


def arrays(incomplete: str) -> list[Offer]:
    """For ``data verify`` and ``data remove``: the folders of prepared arrays."""
    return _starting(incomplete, [(folder.name, "") for place in prepared_folders() for folder in _folders(place)])


def kinds(incomplete: str) -> list[Offer]:
    """For ``plugins``: the kinds of plugins."""
    return _starting(incomplete, [(kind, "") for kind in KINDS])


def components(incomplete: str) -> list[Offer]:
    """Names of installed components, whatever their kind."""
    return _starting(incomplete, [offer for kind in KINDS for offer in _components(kind)])


def downloads(incomplete: str) -> list[Offer]:
    """For ``download``: what can be fetched."""
    from ganbench.plugins.downloads import offering

    return _starting(incomplete, [(source.name, source.summary) for source in offering()])


def devices(incomplete: str) -> list[Offer]:
    """For ``--device``. GPUs are found by their device files, because importing torch takes seconds."""
    gpus = sorted(int(node.name.removeprefix("nvidia")) for node in Path("/dev").glob("nvidia[0-9]*"))
    names = ["auto", "cpu", "cuda", *(f"cuda:{gpu}" for gpu in gpus), "mps"]
    return _starting(incomplete, [(name, "") for name in names])


def _components(kind: Kind) -> list[Offer]:
    """Every component by name and, where several share a name, also with its package."""
    sources = plugins.of_kind(kind)
    count = Counter(source.name for source in sources)
    plain = {source.name: source.summary for source in sources}
    shared = {source.reference: str(source) for source in sources if count[source.name] > 1}
    return [*plain.items(), *shared.items()]


def _listed(incomplete: str, offers: Iterable[Offer]) -> list[Offer]:
    """``dcgan,ml`` -> ``dcgan,mlp``; names already in the list are not offered again."""
    before, comma, last = incomplete.rpartition(",")
    given = {name.strip() for name in before.split(",")}
    return [(before + comma + name, text) for name, text in _starting(last, offers) if name not in given]


def _starting(incomplete: str, offers: Iterable[Offer]) -> list[Offer]:
    """The offers that start with ``incomplete`` and that the shell can print as they are."""
    return [
        (name, plain_line(text)) for name, text in offers if name.startswith(incomplete) and name == plain_line(name)
    ]


def _path(ctx: typer.Context, option: str) -> Path:
    return Path(ctx.params.get(option) or option)


def _folders(home: Path) -> list[Path]:
    return sorted(path for path in home.glob("*") if path.is_dir() and not path.name.startswith("."))


def _own_rows(home: Path) -> Iterator[str]:
    for folder in _folders(home):
        yardstick = "+" not in folder.name  # a trained row has at least an arch and a loss
        yield folder.name.replace("-", "+") if yardstick else folder.name.replace("~", ":")


def _published_rows(protocol: str) -> Iterator[str]:
    for file in published_files(protocol):
        if row := re.fullmatch(r"(.+)\+seed\d+\.json", file.name):
            yield row[1]
