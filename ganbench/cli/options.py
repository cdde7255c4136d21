"""Options that several commands share."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from ganbench.cli import completion
from ganbench.cli.numbers import whole
from ganbench.data.folder import VARIABLE
from ganbench.runs.storage import runs_folder

LARGEST_SEED = 2**31 - 1


def _use(folder: Path | None) -> Path | None:
    """Name the data folder in the environment, which the processes that a command starts inherit."""
    if folder is not None:
        os.environ[VARIABLE] = str(folder.absolute())
    return folder


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
Runs = Annotated[
    Path,
    typer.Option(
        "--runs",
        parser=runs_folder,
        metavar="PATH",
        help="The folder given to `ganbench run --out`, or the address.",
    ),
]
DataRoot = Annotated[
    Path | None,
    typer.Option(
        "--data-root",
        callback=_use,
        help="The folder of data sets; default: GANBENCH_DATA, or the system's folder for application data.",
        show_default=False,
    ),
]
"""Takes effect by itself: the command needs only to declare it."""
