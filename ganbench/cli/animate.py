"""``ganbench animate``: turn the pictures of a run's training into an animation."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from ganbench.cli.base import command, console
from ganbench.cli.numbers import real
from ganbench.cli.runs import run_folders
from ganbench.errors import GanbenchError, RecordError

if TYPE_CHECKING:
    from ganbench.report.pictures import Pixels

HOLD = 2.0
"""Seconds for which the last frame is held before the animation loops."""


@command("animate")
def animate(
    run: Annotated[Path, typer.Argument(help="A run's folder, e.g. runs/digits-16-v2/dcgan+wgan-gp/seed0.")],
    out: Annotated[Path, typer.Option(help="The animation to write (.gif or .webp).")] = Path("training.gif"),
    fps: Annotated[float, typer.Option(parser=real(0.1, 50), metavar="0.1..50", help="Frames per second.")] = 8,
) -> None:
    """Turn the pictures saved during a run's training into an animation that holds its last frame."""
    if out.suffix.lower() not in {".gif", ".webp"}:
        raise GanbenchError(f"cannot write '{out}': an animation is a .gif or a .webp", f"use --out {out.stem}.gif")
    folder = run_folders(run, "record.json")[0]
    from ganbench.report.pictures import save_animation

    paths = sorted((folder / "samples").glob("*-kimg.png"))
    if not paths:
        raise RecordError(f"{folder} has no pictures of training", "a run saves them in its `samples` folder")
    save_animation(_of_one_size([_read(path) for path in paths]), fps, out, HOLD)
    told = Text.assemble(f"wrote {len(paths)} pictures of {folder} to ", (str(out), "bold"))
    console().print(told, soft_wrap=True)


def _read(path: Path) -> Pixels:
    import numpy as np
    from PIL import Image

    try:
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB"))
    except (OSError, SyntaxError) as error:  # PIL raises either for a file that is not a PNG
        raise RecordError(f"{path} is not a readable picture", "delete it, or run again with --force") from error


def _of_one_size(pictures: list[Pixels]) -> list[Pixels]:
    """Pad smaller pictures with black on the right and at the bottom."""
    import numpy as np

    height, width = (max(picture.shape[axis] for picture in pictures) for axis in (0, 1))
    return [np.pad(p, ((0, height - p.shape[0]), (0, width - p.shape[1]), (0, 0))) for p in pictures]
