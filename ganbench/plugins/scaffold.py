"""A new plugin package: the example's own files, renamed. There is no separate template to fall out of date."""

from __future__ import annotations

import keyword
import re
import sys
from collections.abc import Collection, Iterable, Iterator
from importlib.machinery import PathFinder
from importlib.metadata import distributions
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from ganbench import plugins
from ganbench.contracts.kind import Kind
from ganbench.errors import GanbenchError, PluginError
from ganbench.plugins.hookspecs import KINDS

COMMON = ("pyproject.toml", "README.md", ".gitignore", ".github/workflows/test.yml", "ganbench_example/__init__.py")
OF_KIND = ("ganbench_example/{kind}.py", "tests/test_{kind}.py")
NAME_PREFIX = "ganbench-"
THROUGH_A_PROTOCOL = frozenset({"metric", "dataset", "extractor"})
"""Kinds that a run takes only from its protocol; they come with one, or nothing could be run."""


class Names(NamedTuple):
    """What pip, Python and GANBench call it: ``ganbench-tiny-gan``, ``ganbench_tiny_gan``, ``tiny-gan``."""

    distribution: str
    package: str
    component: str


EXAMPLE = Names("ganbench-example", "ganbench_example", "example")


def names(text: str) -> Names:
    """The names derived from what a user typed: ``My_GAN`` is ``my-gan``, its package ``my_gan``.

    Components share the distribution's name, without ``ganbench-`` in front.

    Raises:
        PluginError: it is not a valid package name.
    """
    distribution = plugins.canonical(text)
    component = distribution.removeprefix(NAME_PREFIX)
    package = distribution.replace("-", "_")
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", distribution):
        raise PluginError(
            f"'{text}' is not a valid package name",
            "use a letter, then letters, digits and hyphens: ganbench new-plugin my-gan",
        )
    if keyword.iskeyword(package) or package in sys.stdlib_module_names or package == "tests" or component == "all":
        raise PluginError(f"'{text}' means something else to Python, pytest or GANBench", _another(component))
    return Names(distribution, package, component)


def with_company(kinds: Iterable[str]) -> tuple[Kind, ...]:
    """The kinds asked for and what they need, in the order of ``KINDS``; all of them if none is asked for."""
    asked = set(kinds) or set(KINDS)
    if asked & THROUGH_A_PROTOCOL:
        asked.add("protocol")
    return tuple(kind for kind in KINDS if kind in asked)


def check_free(chosen: Names, kinds: Collection[Kind]) -> None:
    """Check that nothing installed has one of the names.

    Raises:
        PluginError: something has; the message names it.
    """
    for dist in distributions():
        if plugins.canonical(dist.name or "") == chosen.distribution:
            said = f"{dist.name} {dist.version} is installed already"
            raise PluginError(said, f"{_another(chosen.component)}, or run: pip uninstall {dist.name}")
    here = Path.cwd()
    elsewhere = [place for place in sys.path if place and Path(place) != here]
    if PathFinder.find_spec(chosen.package, elsewhere):
        raise PluginError(f"a module called '{chosen.package}' is installed already", _another(chosen.component))
    mine = {(kind, component_name(kind, chosen)) for kind in kinds}
    for source in plugins.announced():
        if (source.kind, source.name) in mine:
            article = "an" if source.kind in {"arch", "extractor"} else "a"
            said = f"{article} {source.kind} called '{source.name}' is installed already, from {source.package}"
            raise PluginError(said, "choose another name")


def component_name(kind: Kind, chosen: Names) -> str:
    """The name of the component of a kind; that of a protocol carries a version."""
    return f"{chosen.component}-v1" if kind == "protocol" else chosen.component


def write(chosen: Names, kinds: Collection[str], parent: Path) -> Path:
    """Write the package to ``parent/<distribution>``, whole or not at all, and return that folder.

    Raises:
        GanbenchError: the folder exists already, or cannot be written.
    """
    folder = parent / chosen.distribution
    texts = files(chosen, kinds)
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise GanbenchError(f"{folder} exists already", "move it away, or choose another place with --out")
        parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=".new-plugin-", dir=parent) as unfinished:
            made = Path(unfinished, chosen.distribution)
            for path, text in texts.items():
                (made / path).parent.mkdir(parents=True, exist_ok=True)
                (made / path).write_text(text, "utf-8", newline="\n")
            if folder.exists():
                folder.rmdir()  # it is empty
            made.rename(folder)
    except OSError as error:
        said = f"cannot write {folder}: {error.strerror}"
        raise GanbenchError(said, "choose another place with --out") from error
    return folder


def files(chosen: Names, kinds: Collection[str]) -> dict[str, str]:
    """Path within the package -> text: the example, cut down to the chosen kinds and renamed."""
    home = example()
    paths = [*COMMON, *(path.format(kind=kind) for kind in KINDS if kind in kinds for path in OF_KIND)]
    texts = {path: cut_down((home / path).read_text("utf-8"), kinds) for path in paths}
    return {renamed(path, chosen): renamed(text, chosen) for path, text in texts.items()}


def example() -> Path:
    """The example's folder: within the package where it was built, beside it in a source tree.

    Raises:
        GanbenchError: it is in neither place.
    """
    here = Path(__file__).parents[1]
    for place in (here / "_example", here.parent / "plugins" / EXAMPLE.distribution):
        if (place / "pyproject.toml").is_file():
            return place
    raise GanbenchError("this installation of ganbench lacks its example", "reinstall it: pip install ganbench")


def cut_down(text: str, kinds: Collection[str]) -> str:
    """The text without the parts about other kinds."""
    entry_points = re.compile(r'^\[project\.entry-points\."ganbench\.(\w+)"\]\n(?:.+\n)+\n', re.MULTILINE)
    text = entry_points.sub(lambda section: section[0] if section[1] in kinds else "", text)
    return "".join(_fitting(text.splitlines(keepends=True), kinds))


def run_commands(readme: str) -> list[str]:
    """The ``ganbench run`` lines of a package's README, without their comments."""
    return [line.split("#")[0].rstrip() for line in readme.splitlines() if line.startswith("ganbench run ")]


def renamed(text: str, chosen: Names) -> str:
    """The text with the example's names replaced by the chosen ones."""
    new = dict(zip(EXAMPLE, chosen, strict=True))
    return re.sub(rf"{EXAMPLE.distribution}|{EXAMPLE.package}|\b{EXAMPLE.component}\b", lambda old: new[old[0]], text)


def _fitting(lines: Iterable[str], kinds: Collection[str]) -> Iterator[str]:
    """Keep the table rows and commands that name one of these kinds.

    Settings of other kinds name something built in instead.
    """
    for line in lines:
        row = re.match(r"\| (\w+) \|", line)
        command = re.fullmatch(r"(ganbench run .*  # )(.*)\n", line)
        setting = re.fullmatch(r"( *(\w+?)s?=).*,  # built in: (.*)\n", line)
        if command:
            meant = [kind for kind in command[2].split(", ") if kind in kinds]
            if meant:
                yield f"{command[1]}{', '.join(meant)}\n"
        elif setting and setting[2] not in kinds:
            yield f"{setting[1]}{setting[3]},\n"
        elif not row or row[1] not in KINDS or row[1] in kinds:
            yield line


def _another(component: str) -> str:
    return f"choose another name, for example {NAME_PREFIX}{component} or my-{component}"
