"""Takes the pictures of pages that README and docs show.

    python tests/pictures.py [--write]

lists those that are stale, or takes them anew with a Chromium of this machine. A picture holds the hash of all that it
shows: the page, what the pages share, and the samples.
"""

from __future__ import annotations

import hashlib
import io
import shutil
import sys
from pathlib import Path
from typing import NamedTuple

from PIL import Image
from PIL.PngImagePlugin import PngInfo

ROOT = Path(__file__).parents[1]
PICTURES = ROOT / "docs" / "pictures"
BOARDS = ROOT / "leaderboards"
HASH = "shows"
"""The name of the text in a picture that holds the hash."""
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")


class Sight(NamedTuple):
    """A picture: of which page, how large, and from which row of pixels on."""

    name: str
    page: str
    width: int
    height: int
    anchor: str = ""


SIGHTS = (
    Sight("leaderboard.png", "digits-16-v2/index.html", 1280, 860, "#table"),
    Sight("leaderboards.png", "index.html", 1280, 900),
)


def browser() -> str | None:
    """A Chromium of this machine."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


def hash_of(sight: Sight) -> str:
    """Of everything that the picture shows."""
    page = BOARDS / sight.page
    strips = BOARDS.glob("*/strips/*") if page.parent == BOARDS else page.parent.glob("strips/*")
    files = [page, *(BOARDS / "assets").iterdir(), *strips]
    digest = hashlib.sha256(repr(sight).encode())
    for file in sorted(file for file in files if file.is_file()):
        digest.update(file.relative_to(BOARDS).as_posix().encode() + hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def stale() -> list[Sight]:
    """Pictures that show something else than is there now."""
    return [sight for sight in SIGHTS if _held(PICTURES / sight.name) != hash_of(sight)]


def _held(path: Path) -> str:
    if not path.exists():
        return ""
    with Image.open(path) as image:
        return str(image.info.get(HASH, ""))


def take(sights: list[Sight]) -> None:
    """Take pictures, in the light."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser(), args=["--no-sandbox"])
        for sight in sights:
            page = chromium.new_page(viewport={"width": sight.width, "height": sight.height}, color_scheme="light")
            page.goto((BOARDS / sight.page).as_uri() + sight.anchor)
            content = page.screenshot(animations="disabled")
            told = PngInfo()
            told.add_text(HASH, hash_of(sight))
            with Image.open(io.BytesIO(content)) as image:
                few = image.convert("RGB").quantize(128, dither=Image.Dither.NONE)
                few.save(PICTURES / sight.name, optimize=True, pnginfo=told)
        chromium.close()


if __name__ == "__main__":
    found = stale()
    for sight in found:
        print(sight.name)
    if "--write" in sys.argv[1:]:
        take(found)
    sys.exit(bool(found) and "--write" not in sys.argv[1:])
