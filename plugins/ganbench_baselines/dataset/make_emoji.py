"""Makes the pictures of `emoji`: ``python -m ganbench_baselines.dataset.make_emoji FOLDER``.

FOLDER holds the unpacked npm package ``@iconify-json/noto``, the SVGs of Noto Emoji with Unicode's names and groups.
The script writes ``emoji.png`` and ``emoji.json`` into the working directory. It needs ``pip install resvg-py`` and
takes about a minute. The shipped files come from version 1.2.9 of the package, resvg-py 0.5.0 and Pillow 13.0.0;
these give the same bytes each time.

Flags and skin tones are left out. A name with one of the words man, woman, men, women, boy and girl is left out if the
same name exists without the word, or with person, people or child in its place, and so is a name with "-facing-right"
if it exists without. Of equal pictures, only the first is kept.

An SVG is drawn on white at 256x256. Each pixel of the 32x32 picture is the mean of 8x8 of these: Lanczos would leave
rings on the white around edges, and lets the file grow by a third.
"""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np
from PIL import Image

from ganbench_baselines.dataset.emoji import COLUMNS, NATIVE

GROUPS = (
    "Smileys & Emotion",
    "People & Body",
    "Animals & Nature",
    "Food & Drink",
    "Travel & Places",
    "Activities",
    "Objects",
    "Symbols",
)
DRAWN = 256  # pixels
GENDERED = {"man", "woman", "men", "women", "boy", "girl"}
NEUTRAL = ("person", "people", "child")
DIRECTION = "-facing-right"
Draw = Callable[[str], np.ndarray]
"""The content of an SVG -> its picture, ``[256, 256, 3]`` as uint8."""


def counterparts(name: str) -> set[str]:
    """The names of which ``name`` would be a gendered or mirrored variant."""
    words = name.split("-")
    neutral = {name, "-".join(word for word in words if word not in GENDERED)}
    neutral |= {"-".join(other if word in GENDERED else word for word in words) for other in NEUTRAL}
    return (neutral | {one.removesuffix(DIRECTION) for one in neutral}) - {name}


def chosen(names: Collection[str]) -> list[str]:
    """The names of a group without variants, in their order."""
    known = set(names)
    return [name for name in names if "skin-tone" not in name and not counterparts(name) & known]


def draw(body: str) -> np.ndarray:
    """Draw an icon with resvg."""
    from resvg_py import svg_to_bytes

    svg = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 128 128" width="128" height="128">{body}</svg>'
    png = svg_to_bytes(svg_string=svg, width=DRAWN, height=DRAWN, background="white", skip_system_fonts=True)
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


def pictures(folder: Path, draw: Draw) -> dict[str, dict[str, np.ndarray]]:
    """Group -> name -> picture ``[32, 32, 3]`` as uint8, without equal pictures."""
    groups: Mapping[str, Sequence[str]] = json.loads((folder / "metadata.json").read_text())["categories"]
    icons = json.loads((folder / "icons.json").read_text())["icons"]
    seen = set[bytes]()

    def new(names: Collection[str]) -> Iterator[tuple[str, np.ndarray]]:
        for name in chosen(names):
            image = Image.fromarray(draw(icons[name]["body"]))
            small = np.asarray(image.resize((NATIVE, NATIVE), Image.Resampling.BOX))
            if small.tobytes() not in seen:
                seen.add(small.tobytes())
                yield name, small

    return {group: dict(new(groups[group])) for group in GROUPS}


def sheet(images: Sequence[np.ndarray]) -> Image.Image:
    """All pictures in rows of 40, the last row filled up with white."""
    rows = -(-len(images) // COLUMNS)
    cells = np.full((rows * COLUMNS, NATIVE, NATIVE, 3), 255, dtype=np.uint8)
    cells[: len(images)] = images
    cells = cells.reshape(rows, COLUMNS, NATIVE, NATIVE, 3).swapaxes(1, 2)
    return Image.fromarray(cells.reshape(rows * NATIVE, COLUMNS * NATIVE, 3))


def write(folder: Path, draw: Draw = draw) -> None:
    """Write ``emoji.png`` and ``emoji.json`` into the working directory, from the package in ``folder``."""
    found = pictures(folder, draw)
    sheet([image for group in found.values() for image in group.values()]).save("emoji.png", optimize=True)
    names = {group: list(images) for group, images in found.items()}
    Path("emoji.json").write_text(json.dumps(names, indent=1) + "\n")
    print(*(f"{group}: {len(images)}" for group, images in names.items()), sep="\n")


def main() -> None:
    """Make both files, and print what they were made with."""
    if len(sys.argv) != 2:
        sys.exit("usage: python -m ganbench_baselines.dataset.make_emoji FOLDER")
    folder = Path(sys.argv[1])
    package = json.loads((folder / "package.json").read_text())
    print(f"{package['name']} {package['version']}, resvg-py {version('resvg-py')}, Pillow {version('pillow')}")
    write(folder)


if __name__ == "__main__":
    main()
