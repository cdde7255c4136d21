"""Write a new plugin package from the example's own files, renamed, so that no separate template can go stale."""

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
"""Kinds that a run takes only from its protocol. A new package with one of them also gets a protocol."""


class Names(NamedTuple):
    """The names for pip, Python and GANBench: ``ganbench-tiny-gan``, ``ganbench_tiny_gan``, ``tiny-gan``."""

    distribution: str
    package: str
    component: str


EXAMPLE = Names("ganbench-example", "ganbench_example", "example")


def names(text: str) -> Names:
    """Derive the names from what the user typed: ``My_GAN`` gives ``my-gan`` with the package ``my_gan``.

    Components get the distribution's name without the prefix ``ganbench-``.

    Raises:
        PluginError: it is not a valid package name.
    """
    distribution = plugins.canonical(text)
    component = distribution.removeprefix(NAME_PREFIX)
    package = distribution.replace("-", "_")
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", distribution):
        raise PluginError(
            f"'{text}' is not a valid package name",
            "start with a letter, then use letters, digits and hyphens: ganbench new-plugin my-gan",
        )
    if keyword.iskeyword(package) or package in sys.stdlib_module_names or package == "tests" or component == "all":
        raise PluginError(f"'{text}' is a reserved name in Python, pytest or GANBench", _another(component))
    return Names(distribution, package, component)


def with_company(kinds: Iterable[str]) -> tuple[Kind, ...]:
    """Return the requested kinds and those they need, in the order of ``KINDS``, or all kinds if none is requested."""
    asked = set(kinds) or set(KINDS)
    if asked & THROUGH_A_PROTOCOL:
        asked.add("protocol")
    return tuple(kind for kind in KINDS if kind in asked)


def check_free(chosen: Names, kinds: Collection[Kind]) -> None:
    """Check that none of the names is taken by something installed.

    Raises:
        PluginError: a name is taken; the message says by what.
    """
    for dist in distributions():
        if plugins.canonical(dist.name or "") == chosen.distribution:
            said = f"{dist.name} {dist.version} is already installed"
            raise PluginError(said, f"{_another(chosen.component)}, or run: pip uninstall {dist.name}")
    here = Path.cwd()
    elsewhere = [place for place in sys.path if place and Path(place) != here]
    if PathFinder.find_spec(chosen.package, elsewhere):
        raise PluginError(f"a module called '{chosen.package}' is already installed", _another(chosen.component))
    mine = {(kind, component_name(kind, chosen)) for kind in kinds}
    for source in plugins.announced():
        if (source.kind, source.name) in mine:
            article = "an" if source.kind in {"arch", "extractor", "executor"} else "a"
            said = f"{article} {source.kind} called '{source.name}' is already installed, from {source.package}"
            raise PluginError(said, "choose another name")


def component_name(kind: Kind, chosen: Names) -> str:
    """Return the name of the component of a kind. A protocol's name has a version."""
    return f"{chosen.component}-v1" if kind == "protocol" else chosen.component


def write(chosen: Names, kinds: Collection[str], parent: Path) -> Path:
    """Write the whole package to ``parent/<distribution>``, or nothing, and return that folder.

    Raises:
        GanbenchError: the folder exists already, or cannot be written.
    """
    folder = parent / chosen.distribution
    texts = files(chosen, kinds)
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise GanbenchError(f"{folder} already exists", "move it away, or choose another folder with --out")
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
        raise GanbenchError(said, "choose another folder with --out") from error
    return folder


def files(chosen: Names, kinds: Collection[str]) -> dict[str, str]:
    """Return path within the package -> text, from the example, reduced to the chosen kinds and renamed."""
    home = example()
    paths = [*COMMON, *(path.format(kind=kind) for kind in KINDS if kind in kinds for path in OF_KIND)]
    texts = {path: cut_down((home / path).read_text("utf-8"), kinds) for path in paths}
    return {renamed(path, chosen): renamed(text, chosen) for path, text in texts.items()}


def example() -> Path:
    """Return the example's folder, which is inside a built package, or next to the package in a source tree.

    Raises:
        GanbenchError: it is in neither place.
    """
    here = Path(__file__).parents[1]
    for place in (here / "_example", here.parent / "plugins" / EXAMPLE.distribution):
        if (place / "pyproject.toml").is_file():
            return place
    raise GanbenchError("this installation of ganbench has no example plugin", "reinstall it: pip install ganbench")


def cut_down(text: str, kinds: Collection[str]) -> str:
    """Return the text without the parts about other kinds."""
    entry_points = re.compile(r'^\[project\.entry-points\."ganbench\.(\w+)"\]\n(?:.+\n)+\n', re.MULTILINE)
    text = entry_points.sub(lambda section: section[0] if section[1] in kinds else "", text)
    return "".join(_fitting(text.splitlines(keepends=True), kinds))


def run_commands(readme: str) -> list[str]:
    """Return the ``ganbench run`` lines of a package's README, without their comments."""
    return [line.split("#")[0].rstrip() for line in readme.splitlines() if line.startswith("ganbench run ")]


def renamed(text: str, chosen: Names) -> str:
    """Replace the example's names in a text by the chosen ones."""
    new = dict(zip(EXAMPLE, chosen, strict=True))
    return re.sub(rf"{EXAMPLE.distribution}|{EXAMPLE.package}|\b{EXAMPLE.component}\b", lambda old: new[old[0]], text)


def _fitting(lines: Iterable[str], kinds: Collection[str]) -> Iterator[str]:
    """Keep the table rows and commands that name one of these kinds.

    Settings for other kinds fall back to a built-in component.
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
