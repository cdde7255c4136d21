"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

from ganbench.cli import completion
from ganbench.cli.numbers import whole

LARGEST_SEED = 2**31 - 1

Archs = Annotated[
    list[str] | None,
    typer.Option(
        "--arch", help="Architecture; repeat, separate by commas, or use all.", autocompletion=completion.archs
    ),
]
Losses = Annotated[
    list[str] | None,
    typer.Option("--loss", help="Loss; repeat, separate by commas, or use all.", autocompletion=completion.losses),
]
Tricks = Annotated[
    list[str] | None,
    typer.Option(
        "--trick",
        help="Trick applied to every combination, e.g. pacgan:2; repeat, or separate by commas.",
        autocompletion=completion.tricks,
    ),
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:i or mps.", autocompletion=completion.devices)]
LatentSeed = Annotated[int, typer.Option(parser=whole(0, LARGEST_SEED), metavar="SEED", help="Seed of the latents.")]
