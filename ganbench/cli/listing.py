"""``ganbench plugins`` and ``ganbench protocols``: list what is installed, from metadata alone, and check it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ganbench import plugins
from ganbench.cli import completion
from ganbench.cli.base import Invocation, app, command, console, echo, with_example
from ganbench.cli.guide import GUIDES
from ganbench.cli.numbers import real
from ganbench.cli.settings import print_settings
from ganbench.contracts.kind import Kind
from ganbench.errors import PluginError, meant, plural
from ganbench.plain import plain_line
from ganbench.plugins.hookspecs import KINDS
from ganbench.plugins.source import Source

if TYPE_CHECKING:
    from ganbench.testing.health import Health

protocols = typer.Typer(help="List or print protocols, the rules under which runs are compared.")
app.add_typer(
    protocols,
    name="protocols",
    rich_help_panel=GUIDES["protocols"].group,
    short_help=with_example(GUIDES["protocols"]),
)
LONGEST_CHECK = 86_400
"""In seconds: one day."""
FIELDS = ("kind", "name", "summary", "package", "version")


def _offers(incomplete: str) -> list[completion.Offer]:
    return [*completion.kinds(incomplete), *completion.components(incomplete)]


@command("plugins")
def list_plugins(
    ctx: typer.Context,
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="WHAT",
            help=f"One kind ({', '.join(KINDS)}), names of components, or a package.",
            autocompletion=_offers,
        ),
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Import, build and check each in its own process.")] = False,
    list_checks: Annotated[bool, typer.Option("--list-checks", help="Print what is checked, and why.")] = False,
    timeout: Annotated[
        float,
        typer.Option(
            parser=real(1, LONGEST_CHECK), metavar="SECONDS", help="Time limit for checking one component, in seconds."
        ),
    ] = 120.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the installed components. Name a kind for one line per component, or a component for its settings.

    Only the architectures and losses that you name are imported, to list their settings.

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
    elif not names:
        _print_overview(found, console())
    else:
        terminal = console()
        terminal.print(_table(found))
        for source in found:
            if source.name in wanted:
                print_settings(source, terminal)


def _split(names: Sequence[str]) -> tuple[Kind | None, Sequence[str]]:
    """Split the arguments into a kind, or None, and the rest."""
    kind = next((kind for kind in KINDS if [kind] == list(names[:1])), None)
    return kind, names[1:] if kind else names


def _print_overview(found: Sequence[Source], terminal: Console) -> None:
    """Print every kind with the names of its components, on one screen."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("kind", style="bold", no_wrap=True)
    table.add_column("", justify="right", no_wrap=True)
    table.add_column("names", overflow="fold")
    for kind in KINDS:
        names = [source.name for source in found if source.kind == kind]
        if names:
            table.add_row(kind, str(len(names)), plain_line(", ".join(dict.fromkeys(names))))
    terminal.print(table)
    versions = dict.fromkeys(f"{source.package} {source.version}" for source in found)
    terminal.print(f"\nfrom {', '.join(versions)}", soft_wrap=True)
    one = found[0]
    terminal.print(
        f"next: ganbench plugins {one.kind}, ganbench plugins {one.name}, ganbench plugins --check", style="dim"
    )


def _table(found: Sequence[Source]) -> Table:
    """A table with a row for each component; kind and package are columns only if they differ."""
    kinds, packages = ({*each} for each in ((s.kind for s in found), (s.package for s in found)))
    columns: dict[str, Callable[[Source], str | Text]] = {
        "kind": lambda s: s.kind,
        "name": lambda s: Text(plain_line(s.name), "bold"),
        "what it is": lambda s: s.summary,
        "package": lambda s: Text(plain_line(f"{s.package} {s.version}"), "dim"),
    }
    hidden = {"kind"} if len(kinds) == 1 else set()
    hidden |= {"package"} if packages == {"ganbench"} else set()
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in (heading for heading in columns if heading not in hidden):
        table.add_column(heading, no_wrap=heading in {"kind", "name"}, overflow="fold")
    last = ""
    for source in found:
        cells = {heading: cell(source) for heading, cell in columns.items() if heading not in hidden}
        if "kind" in cells and source.kind == last:
            cells["kind"] = ""
        table.add_row(*cells.values())
        last = source.kind
    return table


# -- which ones --------------------------------------------------------------------------------------------------------


def _chosen(kind: Kind | None, names: Sequence[str]) -> list[Source]:
    """Every component of the kind (of all kinds if it is None), or only those named.

    Raises:
        PluginError: nothing has that name.
    """
    known = [source for source in plugins.installed() if kind in (None, source.kind)]
    chosen = [source for name in names for source in _called(name, kind, known)]
    return list(dict.fromkeys(chosen)) if names else known


def _called(text: str, kind: Kind | None, known: Sequence[Source]) -> list[Source]:
    """All components with that name, of any kind and package, and all components of a package with that name."""
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
    """Print each result as soon as it is known, then everything there is to fix.

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
    """Print every check with its explanation, kind by kind."""
    from ganbench.testing import CHECKS

    terminal = console()
    for name, checks in CHECKS.items():
        if kind in (None, name):
            terminal.print(Text.assemble("\n", (name, "bold"), f"  ({len(checks.names)} checks)"))
            for check in checks.names:
                terminal.print(f"\n{check}\n  {checks.why(check)}")


# -- protocols ---------------------------------------------------------------------------------------------------------


@protocols.callback(invoke_without_command=True)
def protocols_without_command(ctx: typer.Context) -> None:
    """List or print protocols, the rules under which runs are compared."""
    if ctx.invoked_subcommand is None:
        list_protocols()


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
