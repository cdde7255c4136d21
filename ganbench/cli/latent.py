"""``ganbench latent``: interpolation in the latent space of a run's G, and what activates units of G and D."""

from __future__ import annotations

from contextlib import chdir
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from ganbench.cli.base import app, console, with_example
from ganbench.cli.guide import GUIDES
from ganbench.cli.numbers import digits, whole
from ganbench.cli.options import LARGEST_SEED, DataRoot, LatentSeed
from ganbench.cli.runs import run_folders
from ganbench.cli.sample import refuse_unfit_format, refuse_unknown_format, write
from ganbench.errors import GanbenchError, plural

if TYPE_CHECKING:
    from ganbench.contracts.arch import GAN
    from ganbench.contracts.data import Dataset

latent = typer.Typer(
    no_args_is_help=True, help="Interpolate in a trained G's latent space; maximise a unit's activation."
)
app.add_typer(latent, name="latent", rich_help_panel=GUIDES["latent"].group, short_help=with_example(GUIDES["latent"]))

UNITS = 16
"""The number of units of a layer that are shown by default."""
STEPS_A_SECOND = 8

RunFolder = Annotated[Path, typer.Argument(help="A run's folder, e.g. runs/digits-16-v2/dcgan+wgan-gp/seed0.")]
Label = Annotated[
    str, typer.Option(help="Name of the class to generate, for a GAN that takes labels.", show_default=False)
]


class Way(StrEnum):
    """The path from one latent to another."""

    slerp = "slerp"
    linear = "linear"


class PlayerName(StrEnum):
    """The player whose layers are examined."""

    G = "G"
    D = "D"


@latent.command()
def interpolate(
    run: RunFolder,
    mode: Annotated[Way, typer.Option(help="Along the sphere (slerp) or along a straight line (linear).")] = Way.slerp,
    pairs: Annotated[int, typer.Option(parser=whole(1, 1000), metavar="1..1000", help="Number of paths.")] = 8,
    steps: Annotated[int, typer.Option(parser=whole(2, 1000), metavar="2..1000", help="Samples along each path.")] = 10,
    seed: LatentSeed = 0,
    label: Label = "",
    out: Annotated[
        Path,
        typer.Option(help="File to write: .png (a row per path), .npy, .gif or .webp (images, clips), .wav (sounds)."),
    ] = Path("interpolation.png"),
    data_root: DataRoot = None,
) -> None:
    """Draw samples along paths from one latent to another. If the GAN takes labels, each path keeps one label."""
    refuse_unknown_format(out)
    folder, gan, dataset = _players(run)
    from ganbench.contracts.data import Split
    from ganbench.report import pictures
    from ganbench.report.latent import conditions, interpolate

    images = len(dataset.spec.shape) == 3
    refuse_unfit_format(out, dataset.spec, moves=images)
    with chdir("."):  # a plugin may change the working directory, but --out is relative to this one
        x = interpolate(gan, conditions(gan, dataset, pairs, label), steps, mode.value, seed)
    if images and out.suffix.lower() in {".gif", ".webp"}:
        shown = [pictures.picture(x[:, i], dataset.spec) for i in (*range(steps), *range(steps - 2, 0, -1))]
        pictures.save_animation(shown, STEPS_A_SECOND, out)
    else:
        write(Split(x.flatten(0, 1)), dataset.spec, out, columns=steps)
    what = f"{plural(pairs, 'path')} of {steps} samples, {mode.value},"
    console().print(Text.assemble(f"wrote {what} of {folder} to ", (str(out), "bold")), soft_wrap=True)


@latent.command()
def layers(run: RunFolder, data_root: DataRoot = None) -> None:
    """List the layers of G and D: their names, kinds, and output shapes for one sample (units first)."""
    _, gan, dataset = _players(run)
    from ganbench.report.activation import Probe

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("player", "layer", "kind", "shape"):
        table.add_column(heading)
    for who in PlayerName:
        for layer in Probe(gan, who.value, dataset).layers.values():
            table.add_row(who.value, layer.name, layer.kind, "x".join(map(str, layer.shape)) or "1")
    console().print(table)


@latent.command()
def maximise(
    run: RunFolder,
    layer: Annotated[str, typer.Option(help="Name of the layer; `ganbench latent layers` lists them.")],
    player: Annotated[PlayerName, typer.Option(help="The player that the layer belongs to.")] = PlayerName.G,
    unit: Annotated[
        str, typer.Option(help=f"Units, separated by commas; default: the first {UNITS}.", show_default=False)
    ] = "",
    steps: Annotated[
        int, typer.Option(parser=whole(1, 100_000), metavar="1..100000", help="Steps of the gradient ascent.")
    ] = 200,
    seed: Annotated[
        int,
        typer.Option(parser=whole(0, LARGEST_SEED), metavar="SEED", help="Seed of the random inputs to start from."),
    ] = 0,
    label: Label = "",
    out: Annotated[
        Path, typer.Option(help="File to write, one sample per unit: .png, .npy, .wav (sounds), .gif or .webp (clips).")
    ] = Path("maximised.png"),
    data_root: DataRoot = None,
) -> None:
    """Find the samples that activate units of a layer most, by gradient ascent.

    For G, the search covers the latents on the prior's shell; for D, all samples in the data's range.
    """
    refuse_unknown_format(out)
    wanted = _numbers(unit)
    folder, gan, dataset = _players(run)
    from ganbench.contracts.data import Split
    from ganbench.report.activation import Probe

    refuse_unfit_format(out, dataset.spec)
    with chdir("."):  # a plugin may change the working directory, but --out is relative to this one
        probe = Probe(gan, player.value, dataset, label)
        if not wanted and layer in probe.layers:
            wanted = list(range(min(UNITS, probe.layers[layer].units)))
        found = probe.maximise(layer, wanted, steps=steps, seed=seed)
    write(Split(found.x), dataset.spec, out)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("unit", "random", "maximised"):
        table.add_column(heading, justify="right")
    for row in zip(wanted, found.random.tolist(), found.activation.tolist(), strict=True):
        table.add_row(str(row[0]), f"{row[1]:.4g}", f"{row[2]:.4g}")
    console().print(table)
    what = f"{plural(len(wanted), 'unit')} of {player.value}'s layer {layer}"
    console().print(Text.assemble(f"wrote {what} of {folder} to ", (str(out), "bold")), soft_wrap=True)


def _players(run: Path) -> tuple[Path, GAN, Dataset]:
    folder = run_folders(run, "checkpoint.pt")[0]
    from ganbench.runs.checkpoint import players_of

    with chdir("."):
        return folder, *players_of(folder / "checkpoint.pt")


def _numbers(text: str) -> list[int]:
    """``0,3,5`` -> [0, 3, 5]; an empty text -> []."""
    numbers = [digits(part) for part in text.split(",")] if text else []
    if None in numbers:
        raise GanbenchError(f"--unit {text}: units are whole numbers", "write --unit 0,1,2")
    return [number for number in numbers if number is not None]
