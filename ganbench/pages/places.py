"""URLs, relative to a page, of each row's records, samples and plugin code."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, unquote

from PIL import Image

from ganbench import plugins
from ganbench.contracts.kind import Kind
from ganbench.errors import PluginError
from ganbench.leaderboards.entries import entry_of
from ganbench.leaderboards.rows import RowKey
from ganbench.leaderboards.strips import NOTHING_TO_SEE, Samples, samples_in
from ganbench.records.record import Component, Record

SOURCES = ("", "plugins", "src")
"""Folders of a checkout that hold packages."""


class RecordPlace(NamedTuple):
    """The seed of a record, and its URL."""

    seed: int
    address: str


class Appearance(NamedTuple):
    """Whether a picture is less than three times as wide as it is high, and whether it is animated."""

    tall: bool = False
    moving: bool = False


class Places(NamedTuple):
    """The URLs of one row, and the appearance of its picture."""

    records: tuple[RecordPlace, ...] = ()
    samples: Samples = NOTHING_TO_SEE
    appearance: Appearance = Appearance()


def places_in(folder: Path, records: Mapping[str, Record]) -> dict[RowKey, Places]:
    """The places of every row in a published folder; ``records`` maps file names to records."""
    samples = samples_in(folder, records)
    found: dict[RowKey, list[RecordPlace]] = {}
    for name, record in sorted(records.items(), key=lambda item: item[1].seed):
        place = RecordPlace(record.seed, quote(f"records/{name}", safe="/+="))
        found.setdefault(RowKey(entry_of(record), False), []).append(place)
    places = {}
    for key, there in found.items():
        shown = samples.get(key.entry, NOTHING_TO_SEE)
        places[key] = Places(
            tuple(there), shown, appearance_of(folder / unquote(shown.picture)) if shown.picture else Appearance()
        )
    return places


def appearance_of(picture: Path) -> Appearance:
    """The appearance of a picture, read from its header."""
    with Image.open(picture) as image:
        width, height = image.size
        return Appearance(width < 3 * height, getattr(image, "is_animated", False))


def code_of(kind: Kind, part: Component, folder: Path | None) -> str:
    """The URL of a plugin's code relative to a published folder, if both are in one checkout; else ""."""
    root = next((above for above in (folder.resolve().parents if folder else ()) if _is_checkout(above)), None)
    if folder is None or root is None:
        return ""
    try:
        module = plugins.find(kind, f"{part.package}:{part.name}").module
    except PluginError:
        return ""
    files = [Path(source, *module.split(".")).with_suffix(".py") for source in SOURCES]
    there = next((file for file in files if (root / file).is_file()), None)
    up = "../" * len(folder.resolve().relative_to(root).parts)
    return quote(up + there.as_posix()) if there else ""


def _is_checkout(folder: Path) -> bool:
    return (folder / "pyproject.toml").is_file()
