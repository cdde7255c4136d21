"""``ganbench plugins`` and ``ganbench protocols``: what is installed, from metadata alone, and whether it works."""

from __future__ import annotations

import inspect
import json
import textwrap
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from ganbench import plugins
from ganbench.cli import completion
from ganbench.cli.base import Invocation, app, console, echo
from ganbench.cli.numbers import real
from ganbench.contracts.kind import Kind
from ganbench.contracts.settings import names_of
from ganbench.errors import GanbenchError, PluginError, meant, plural
from ganbench.plugins.hookspecs import KINDS
from ganbench.plugins.source import Source

if TYPE_CHECKING:
    from ganbench.testing.health import Health

protocols = typer.Typer(no_args_is_help=True, help="The rules that runs are compared under.")
app.add_typer(protocols, name="protocols")
LONGEST_CHECK = 86_400
"""Seconds in a day."""
FIELDS = ("kind", "name", "summary", "package", "version")


def _offers(incomplete: str) -> list[completion.Offer]:
    return [*completion.kinds(incomplete), *completion.components(incomplete)]


@app.command("plugins")
def list_plugins(
    ctx: typer.Context,
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="WHAT",
            help=f"Only one kind ({', '.join(KINDS)}), some components, or those of a package.",
            autocompletion=_offers,
        ),
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Import, build and check each, in its own process.")] = False,
    list_checks: Annotated[bool, typer.Option("--list-checks", help="Print what is checked, and why.")] = False,
    timeout: Annotated[
        float,
        typer.Option(
            parser=real(1, LONGEST_CHECK), metavar="SECONDS", help="Seconds that checking one component may take."
        ),
    ] = 120.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the installed components: kind, name, summary, package and version.

    Nothing is imported, except for architectures and losses that you name: their settings are listed too.

    With `--check`, report whether each component keeps its contract, and what to fix. The exit code is 1 if there is
    anything to fix. Nothing is downloaded unless you name components.
    """
    kind, wanted = _split(names or [])
    if list_checks:
        _print_checks(kind)
        return
    found = _chosen(kind, wanted)
    if check:
        _check(found, timeout, offline=not wanted, as_json=as_json, debug=ctx.ensure_object(Invocation).debug)
    elif as_json:
        echo(json.dumps([{field: getattr(s, field) for field in FIELDS} for s in found], indent=1))
    else:
        console().print(_table(found))
        for source in found:
            if source.name in wanted:
                _print_settings(source)


def _split(names: Sequence[str]) -> tuple[Kind | None, Sequence[str]]:
    """The kind, or None, and the rest."""
    kind = next((kind for kind in KINDS if [kind] == list(names[:1])), None)
    return kind, names[1:] if kind else names


def _table(found: Sequence[Source]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading, style in (("kind", ""), ("name", "bold"), ("what it is", ""), ("package", "dim")):
        table.add_column(heading, style=style, no_wrap=heading in {"kind", "name"}, overflow="fold")
    last = ""
    for s in found:
        table.add_row(s.kind if s.kind != last else "", s.name, s.summary, f"{s.package} {s.version}")
        last = s.kind
    return table


def _print_settings(source: Source) -> None:
    """The settings of an architecture or a loss that ``--set`` changes, with their defaults and docstring."""
    settings = _settings_of(source)
    names = names_of(settings)
    if not names:
        return
    terminal = console()
    change = f" has settings; change them with --set {source.kind}.{names[0]}=VALUE:"
    terminal.print(Text.assemble("\n", (source.name, "bold"), change))
    for name in names:
        terminal.print(f"  {name} = {getattr(settings, name)}")
    told = inspect.getdoc(type(settings)) or ""
    terminal.print(textwrap.indent(told.replace("``", ""), "  "), style="dim")


def _settings_of(source: Source) -> object:
    """The settings of an architecture or a loss, which is its own settings.

    An architecture states them once it is built, for the first kind of data it takes. A component that cannot be built
    shows none; `--check` says what is wrong with it.
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


# -- which ones --------------------------------------------------------------------------------------------------------


def _chosen(kind: Kind | None, names: Sequence[str]) -> list[Source]:
    """Every component of the kind (of all kinds, if it is None), or only those named.

    Raises:
        PluginError: nothing has that name.
    """
    known = [source for source in plugins.installed() if kind in (None, source.kind)]
    chosen = [source for name in names for source in _called(name, kind, known)]
    return list(dict.fromkeys(chosen)) if names else known


def _called(text: str, kind: Kind | None, known: Sequence[Source]) -> list[Source]:
    """The components with that name, whatever their kind and package, and all components of a package of that name."""
    package = plugins.canonical(text)
    found = [s for s in known if s.name == text or plugins.canonical(s.package) == package]
    if found:
        return found
    errors = []
    for each in [kind] if kind else KINDS:
        try:
            found.append(plugins.find(each, text))
        except PluginError as error:
            errors.append(error)
    if found:
        return found
    if kind:
        raise errors[0]
    names = dict.fromkeys([*KINDS, *(s.name for s in known), *(s.package for s in known)])
    said = f"no kind, component or package called '{text}'{meant(text, names, 0.5)}"
    raise PluginError(said, "`ganbench plugins` lists them")


# -- whether they work -------------------------------------------------------------------------------------------------


def _check(sources: Sequence[Source], timeout: float, *, offline: bool, as_json: bool, debug: bool) -> None:
    """Print each result as soon as it is known, and then everything there is to fix.

    Raises:
        Exit: 1, if there is something to fix.
    """
    from ganbench.testing.health import Health, examine

    looked_at, line = list[Health](), _liner(sources)
    for health in examine(sources, "check", timeout, offline=offline):
        looked_at.append(health)
        if not as_json:
            line(health)
    if as_json:
        echo(json.dumps([_plain(health) for health in looked_at], indent=1))
    else:
        _print_findings(looked_at, debug)
    if not all(health.good for health in looked_at):
        raise typer.Exit(1)


def _plain(health: Health) -> dict[str, Any]:
    about = {field: getattr(health.source, field) for field in FIELDS if field != "summary"}
    return about | {
        "argument": health.source.argument,
        "status": health.status,
        "message": health.message,
        "hint": health.hint,
        "traceback": health.traceback,
        "findings": [asdict(finding) for finding in health.findings],
        "notes": list(health.notes),
        "seconds": round(health.seconds, 2),
    }


def _word(health: Health) -> Text:
    count = len(health.findings)
    return {
        "ok": Text("ok", "green"),
        "found": Text(plural(count, "finding"), "yellow"),
        "declined": Text("not checked", "dim"),
        "unusable": Text("cannot be used", "bold red"),
    }[health.status]


def _liner(sources: Sequence[Source]) -> Any:
    """A function that prints one row, aligned with the others."""
    terminal = console()
    kinds, labels, packages = (
        max(map(len, texts), default=0)
        for texts in (
            [s.kind for s in sources],
            [s.label for s in sources],
            [f"{s.package} {s.version}" for s in sources],
        )
    )

    def line(health: Health) -> None:
        s = health.source
        said = " ".join(filter(None, [health.message.removeprefix(f"{s} cannot be used: "), *health.notes]))
        head = f"{s.kind:<{kinds}}  {s.label:<{labels}}  {f'{s.package} {s.version}':<{packages}}"
        terminal.print(Text.assemble(f"{head}  ", _word(health), "  ", (said, "dim")), soft_wrap=True)

    return line


def _print_findings(looked_at: Sequence[Health], debug: bool) -> None:
    terminal = console()
    for health in looked_at:
        if health.good:
            continue
        terminal.print(f"\nthe {health.source.kind} {health.source}", style="bold", soft_wrap=True)
        if health.status == "unusable":
            place = health.traceback if debug else ""
            terminal.print("\n".join(filter(None, [health.message, health.hint, place])), soft_wrap=True)
        for number, finding in enumerate(health.findings, 1):
            terminal.print(f"{number}. {finding}", soft_wrap=True)
    count = Counter(health.status for health in looked_at)
    words = {"ok": "ok", "found": "with findings", "unusable": "unusable", "declined": "not checked"}
    parts = [f"{number} {words[status]}" for status, number in count.items()]
    total = plural(len(looked_at), "component")
    terminal.print(f"\n{': '.join(filter(None, [total, ', '.join(parts)]))}", soft_wrap=True)


def _print_checks(kind: Kind | None) -> None:
    """Every check with its paragraph, kind by kind."""
    from ganbench.testing import CHECKS

    terminal = console()
    for name, checks in CHECKS.items():
        if kind in (None, name):
            terminal.print(Text.assemble("\n", (name, "bold"), f"  ({len(checks.names)} checks)"))
            for check in checks.names:
                terminal.print(f"\n{check}\n  {checks.why(check)}")


# -- protocols ---------------------------------------------------------------------------------------------------------


@protocols.command("list")
def list_protocols() -> None:
    """List the installed protocols."""
    console().print(_table(plugins.of_kind("protocol")))


@protocols.command("show")
def show_protocol(
    name: Annotated[
        str, typer.Argument(help="A protocol's name, or a TOML file.", autocompletion=completion.protocols)
    ],
) -> None:
    """Print a protocol's rules in full, as a TOML file that --protocol accepts."""
    from ganbench.contracts.protocol_file import to_toml
    from ganbench.plugins.protocols import load_protocol

    protocol = load_protocol(name)
    echo(f"# digest {protocol.digest}\n{to_toml(protocol)}", end="")
