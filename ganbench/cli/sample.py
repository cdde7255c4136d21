"""``ganbench sample``: draw samples from a trained generator as a picture, an array, sounds or animations."""

from __future__ import annotations

import io
from contextlib import chdir
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from ganbench.cli.base import command, console
from ganbench.cli.numbers import whole
from ganbench.cli.options import DataRoot, LatentSeed
from ganbench.cli.runs import run_folders
from ganbench.errors import GanbenchError, Unsupported

if TYPE_CHECKING:
    from ganbench.contracts.data import DataSpec, Split

PLAIN = (".png", ".npy")
SOUND, MOVING = (".wav",), (".gif", ".webp")


def refuse_unknown_format(out: Path) -> None:
    """Raise GanbenchError if no format has that suffix; called before anything is loaded."""
    if out.suffix.lower() not in {*PLAIN, *SOUND, *MOVING}:
        known = ".png or .npy, audio also as .wav, video as .gif or .webp"
        raise GanbenchError(f"cannot write '{out}': samples are stored as {known}", f"use --out {out.stem}.png")


def refuse_unfit_format(out: Path, spec: DataSpec, *, moves: bool = False) -> None:
    """Raise Unsupported if the format does not fit this kind of data; ``moves``: the samples are ordered in time."""
    fit = [*PLAIN, *(SOUND if len(spec.shape) == 2 else ()), *(MOVING if len(spec.shape) == 4 or moves else ())]
    if out.suffix.lower() not in fit:
        raise Unsupported(f"{spec} cannot be written as {out.suffix}", f"use {', '.join(fit[:-1])} or {fit[-1]}")
    if out.suffix.lower() in SOUND and not spec.rate:
        raise Unsupported("the data have no sample rate", f"use {' or '.join(PLAIN)}")


def write(fakes: Split, spec: DataSpec, out: Path, like: Split | None = None, *, columns: int = 0) -> None:
    """Write samples in the format that the suffix of ``out`` names; ``like`` holds the sources of translations."""
    import numpy as np

    from ganbench.records.files import write_atomically
    from ganbench.report import pictures

    match out.suffix.lower():
        case ".npy":
            buffer = io.BytesIO()
            np.save(buffer, fakes.x.numpy())
            write_atomically(out, buffer.getvalue())
        case ".wav":
            pictures.save_wav(fakes.x, spec.rate or 0, out)
        case ".gif" | ".webp":
            pictures.save_video(fakes.x, spec, out, columns=columns)
        case _:
            pictures.save_png(pictures.picture_of(fakes, spec, like, columns=columns), out)


@command("sample")
def sample(
    run: Annotated[Path, typer.Argument(help="A run's folder, e.g. runs/digits-16-v2/dcgan+wgan-gp/seed0.")],
    n: Annotated[int, typer.Option("-n", parser=whole(1, 100_000), metavar="1..100000", help="How many samples.")] = 64,
    out: Annotated[
        Path,
        typer.Option(help="File to write: picture (.png), raw array (.npy), sounds (.wav) or clips (.gif, .webp)."),
    ] = Path("grid.png"),
    seed: LatentSeed = 0,
    label: Annotated[
        str,
        typer.Option(help="Name of the class to generate, for a GAN that takes labels.", show_default=False),
    ] = "",
    data_root: DataRoot = None,
) -> None:
    """Draw new samples from a trained generator and write them to a file, translations beside their sources."""
    refuse_unknown_format(out)
    folder = run_folders(run, "checkpoint.pt")[0]
    import torch

    from ganbench.evaluation.sampling import sample as drawn
    from ganbench.report.latent import conditions
    from ganbench.runs.checkpoint import players_of

    with chdir("."):  # a plugin may change the working directory, but --out is relative to this one
        gan, dataset = players_of(folder / "checkpoint.pt")
        refuse_unfit_format(out, dataset.spec)
        like = conditions(gan, dataset, n, label)
        fakes = drawn(gan, like, seed, torch.device("cpu"))
    write(fakes, dataset.spec, out, like)
    console().print(Text.assemble(f"wrote {n} samples of {folder} to ", (str(out), "bold")), soft_wrap=True)
