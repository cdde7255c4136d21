"""``ganbench new-plugin``: create a plugin package that works right away."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from ganbench.cli.base import command, console
from ganbench.plugins import scaffold


@command("new-plugin")
def new_plugin(
    name: Annotated[str, typer.Argument(help="Name of the package and of its components, e.g. my-gan.")],
    arch: Annotated[bool, typer.Option("--arch", help="Include an architecture.")] = False,
    loss: Annotated[bool, typer.Option("--loss", help="Include a loss.")] = False,
    trick: Annotated[bool, typer.Option("--trick", help="Include a trick.")] = False,
    metric: Annotated[bool, typer.Option("--metric", help="Include a metric, and a protocol that uses it.")] = False,
    dataset: Annotated[bool, typer.Option("--dataset", help="Include a dataset, and a protocol that uses it.")] = False,
    protocol: Annotated[bool, typer.Option("--protocol", help="Include a protocol.")] = False,
    extractor: Annotated[
        bool, typer.Option("--extractor", help="Include a feature extractor, and a protocol that uses it.")
    ] = False,
    executor: Annotated[bool, typer.Option("--executor", help="Include an executor, which carries out runs.")] = False,
    out: Annotated[Path, typer.Option(help="The folder to create the package in.")] = Path(),
) -> None:
    """Create a plugin package: working components for you to change, their tests, and a CI file.

    Without options, it has one component of every kind.
    """
    asked = {
        "arch": arch,
        "loss": loss,
        "trick": trick,
        "metric": metric,
        "dataset": dataset,
        "protocol": protocol,
        "extractor": extractor,
        "executor": executor,
    }
    chosen = scaffold.names(name)
    kinds = scaffold.with_company(kind for kind, wanted in asked.items() if wanted)
    scaffold.check_free(chosen, kinds)
    folder = scaffold.write(chosen, kinds, out)
    terminal = console()
    told = Text.assemble("wrote ", (str(folder), "bold"), f": {', '.join(kinds)}. Next:\n")
    terminal.print(told, soft_wrap=True)
    for line in _next(folder, chosen.distribution):
        terminal.print(f"  {line}", soft_wrap=True)


def _next(folder: Path, distribution: str) -> list[str]:
    return [
        f'pip install -e "{folder}[test]"',
        f'pytest "{folder}"' if " " in str(folder) else f"pytest {folder}",
        f"ganbench plugins --check {distribution}",
        *scaffold.run_commands((folder / "README.md").read_text("utf-8")),
    ]
