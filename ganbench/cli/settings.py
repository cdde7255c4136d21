"""The settings of an architecture or a loss that ``--set`` changes, with their defaults and meanings."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable
from contextlib import suppress

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ganbench import plugins
from ganbench.contracts.settings import names_of
from ganbench.errors import GanbenchError
from ganbench.plugins.source import Source


def print_settings(source: Source, terminal: Console) -> None:
    """Print a table of the settings, if there are any."""
    settings = _settings_of(source)
    names = names_of(settings)
    if not names:
        return
    meanings = meanings_of(settings)
    first = f"--set {source.kind}.{names[0]}=..."
    terminal.print(Text.assemble("\n", (source.name, "bold"), " has settings, changed with ", (first, "bold")))
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("setting", no_wrap=True)
    table.add_column("default", no_wrap=True)
    table.add_column("meaning", overflow="fold")
    for name in names:
        table.add_row(name, str(getattr(settings, name)), meanings.get(name, ""))
    terminal.print(table)


def meanings_of(settings: object) -> dict[str, str]:
    """Setting -> its meaning, including inherited settings."""
    texts = [inspect.cleandoc(each.__doc__ or "") for each in reversed(type(settings).__mro__[:-1])]
    return meanings_in("\n\n".join(texts), names_of(settings))


def meanings_in(docstring: str, names: Iterable[str]) -> dict[str, str]:
    """Setting -> its meaning, from lines like ``cycle: λ, 0 for none.`` and the lines that continue them."""
    known, found, current = {*names}, dict[str, list[str]](), list[str]()
    for line in docstring.replace("``", "").splitlines():
        said = re.fullmatch(r"\s*(\w+(?:, \w+)*): +(.*)", line)
        told = [name for name in said[1].split(", ") if name in known] if said else []
        if said and told:
            current = [said[2]]
            found |= dict.fromkeys(told, current)
        elif not line.strip():
            current = []
        else:
            current.append(line.strip())
    return {name: " ".join(text) for name, text in found.items()}


def _settings_of(source: Source) -> object:
    """The object that holds the settings of an architecture or a loss; a loss holds its own.

    An architecture has settings only once built, so it is built for the first kind of data that it accepts. A component
    that cannot be built shows none; ``ganbench plugins --check`` says what is wrong with it.
    """
    if source.kind == "loss":
        with suppress(GanbenchError):
            return plugins.build(source)
    elif source.kind == "arch":
        from ganbench.testing.arch import EXAMPLES

        for data in (spec for specs in EXAMPLES.values() for spec in specs):
            with suppress(GanbenchError):
                return plugins.build(source, data=data, d_norm=None, width=8, z_dim=16, settings={}).settings
    return None
