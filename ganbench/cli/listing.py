"""``ganbench plugins`` and ``ganbench protocols``: what is installed, from metadata alone."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.table import Table

from ganbench import plugins
from ganbench.cli.base import app, console
from ganbench.errors import PluginError
from ganbench.hookspecs import KINDS

protocols = typer.Typer(no_args_is_help=True, help="The rules that runs are compared under.")
app.add_typer(protocols, name="protocols")


@app.command("plugins")
def list_plugins(
    kind: Annotated[str, typer.Argument(help=f"Only one kind: {', '.join(KINDS)}.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the installed components: kind, name, one line, package and version. Imports none of them."""
    if kind and kind not in KINDS:
        raise PluginError(f"no kind called '{kind}'", f"kinds: {', '.join(KINDS)}")
    found = [s for s in plugins.installed() if kind in ("", s.kind)]
    if as_json:
        fields = ("kind", "name", "summary", "package", "version")
        typer.echo(json.dumps([{f: getattr(s, f) for f in fields} for s in found], indent=1))
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("kind", "name", "what it is", "package"):
        table.add_column(heading, no_wrap=heading in {"kind", "name"}, overflow="fold")
    last = ""
    for s in found:
        table.add_row(
            s.kind if s.kind != last else "", f"[bold]{s.name}[/]", s.summary, f"[dim]{s.package} {s.version}[/]"
        )
        last = s.kind
    console().print(table)


@protocols.command("list")
def list_protocols() -> None:
    """List the installed protocols."""
    list_plugins("protocol")


@protocols.command("show")
def show_protocol(name: Annotated[str, typer.Argument(help="A protocol's name, or a TOML file.")]) -> None:
    """Print a protocol's rules in full, as a TOML file that --protocol accepts."""
    from ganbench.plan import load_protocol
    from ganbench.protocol import to_toml

    protocol = load_protocol(name)
    typer.echo(f"# digest {protocol.digest}\n{to_toml(protocol)}", nl=False)
