"""Your own images of two domains: `folder-pair:A,B` translates images like those in folder A to images like those in B.

Files are listed, decoded, cropped and resized as in `folder`; classes are ignored. Files with the same name in both
folders are pairs, regardless of suffix and Unicode normalisation. Some pairs are held out, so that translations can be
checked, and some are used for selection. All other images are drawn from each domain independently, as are all images
if the folders share no names. If one domain is in colour, both are.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePath
from typing import NamedTuple

import torch

from ganbench import DataError, Dataset, DataSpec, Split, hookimpl, stratified_split
from ganbench_baselines.dataset.image_files import find_images, left_out
from ganbench_baselines.dataset.image_pixels import ImageSet, Pictures, in_folder, read_images
from ganbench_baselines.dataset.listing import counted, first, path_of, require_folder, shown
from ganbench_baselines.dataset.two_domains import yardsticks

TEST_SHARE, SELECTION_SHARE = 1 / 5, 1 / 8  # of all pairs, and of the rest
TEST_SEED, SELECTION_SEED = 0, 1
FEWEST = 2  # images in a split


class Domain(NamedTuple):
    """The image files of a folder, and their names, in the same order on every file system.

    ``notes`` are sentences about what was left out.
    """

    folder: Path
    files: Sequence[Path]
    names: list[str]
    notes: tuple[str, ...] = ()

    def images(self, parts: Sequence[Sequence[str]]) -> ImageSet:
        """The images with the names of each part."""
        place = {name: index for index, name in enumerate(self.names)}
        return in_folder(self.folder, self.files, [[place[name] for name in part] for part in parts])


class Parts(NamedTuple):
    """The names of each split's images in both domains, in the order training, test, selection.

    The last two consist of pairs if ``paired``, and only then there is a selection.
    """

    source: list[list[str]]
    x: list[list[str]]
    paired: bool


@hookimpl
def ganbench_dataset(argument: str, resolution: int | None) -> Dataset:
    """The images of ``folder-pair:A,B``: those of A are ``source``, those of B are ``x``.

    Raises:
        DataError: the argument does not name two folders of images, sizes differ and no resolution is given, or a name
            has several partners.
    """
    one, other = (_listed(folder) for folder in _folders(argument))
    pairs = partners(one, other)
    parts = _paired_splits(one, other, pairs) or _unpaired_splits(one, other)
    sources, targets = _alike(one.images(parts.source), other.images(parts.x), resolution)
    train, test, *selection = (
        Split(x, source=source, paired=parts.paired and number > 0)
        for number, (x, source) in enumerate(zip(targets.arrays, sources.arrays, strict=True))
    )
    shape = tuple(train.x.shape[1:])
    return Dataset(
        name=f"folder-pair:{_name(one)},{_name(other)}",
        spec=DataSpec(shape, source=shape),
        train=train,
        test=test,
        selection=selection[0] if selection else None,
        yardsticks=yardsticks(train),
        notes=(
            _how_paired(one, other, pairs, held_out=parts.paired),
            *(*one.notes, *sources.notes),
            *(*other.notes, *targets.notes),
        ),
    )


def _name(domain: Domain) -> str:
    return shown(domain.folder.resolve().name)


def _folders(argument: str) -> list[Path]:
    """Split at the comma. If there are several, exactly one way of splitting must give two existing folders."""
    texts = argument.split(",")
    readings = [(",".join(texts[:i]).strip(), ",".join(texts[i:]).strip()) for i in range(1, len(texts))]
    folders = [[path_of(part) for part in reading] for reading in readings if all(reading)]
    there = [pair for pair in folders if all(folder.is_dir() for folder in pair)]
    if len(there) > 1:
        ways = " or ".join(f"'{shown(a)}' and '{shown(b)}'" for a, b in there)
        raise DataError(f"'{shown(argument)}' may mean {ways}", "rename a folder, so that one reading is left")
    if len(there) != 1 and len(folders) != 1:
        number = len([text for text in texts if text.strip()])
        raise DataError(
            f"the dataset 'folder-pair' needs two folders, but '{shown(argument)}' names {number}",
            "write folder-pair:A,B; paths may hold commas only if both folders are there",
        )
    pair = (there or folders)[0]
    if pair[0].resolve() == pair[1].resolve():
        raise DataError(f"both folders of '{shown(argument)}' are the same", "write folder-pair:A,B with two folders")
    for folder in pair:
        require_folder(folder, "image folder", "check the paths after 'folder-pair:'")
    return pair


def _listed(folder: Path) -> Domain:
    listing = find_images(folder)
    names = [str(file.relative_to(folder)) for file in listing.files]
    return Domain(folder, listing.files, names, left_out(listing))


def partners(one: Domain, other: Domain) -> dict[str, str]:
    """Name in ``one`` -> name in ``other``, in the order of ``one``; names match in full, or else without the suffix.

    Raises:
        DataError: a name has several partners.
    """
    exact = set(one.names) & set(other.names)
    free = [[name for name in domain.names if name not in exact] for domain in (one, other)]
    keys = [Counter(map(_key, names)) for names in free]
    found = {_key(name): name for name in free[1]}
    for domain, names, here, there in zip((one, other), free, keys, reversed(keys), strict=True):
        several = [name for name in names if here[_key(name)] > 1 and there[_key(name)]]
        if several:
            raise DataError(
                f"the pairs of '{shown(one.folder)}' and '{shown(other.folder)}' are unclear, as files in "
                f"'{shown(domain.folder)}' differ in their suffixes only: {first(several)}",
                "keep one of them, or rename the others",
            )
    pairs = {name: name if name in exact else found.get(_key(name), "") for name in one.names}
    return {name: partner for name, partner in pairs.items() if partner}


def _key(name: str) -> str:
    """A path without its suffix, in one Unicode form, because macOS stores decomposed letters."""
    return unicodedata.normalize("NFC", str(PurePath(name).with_suffix("")))


def _how_paired(one: Domain, other: Domain, partner: dict[str, str], held_out: bool) -> str:
    """A sentence on how many images are paired, given even if all are, because nothing else reports the number."""
    taken = set(partner.values())
    alone = [name for name in one.names if name not in partner] + [name for name in other.names if name not in taken]
    pairs = counted(len(partner), "pair") if partner else "no pairs"
    without = f"{counted(len(alone), 'name')} without a partner (the first is {shown(alone[0])})" if alone else ""
    few = "; that is too few to hold any out, so no pairs are used" if partner and not held_out else ""
    said = without or "no name without a partner"
    return f"the folders {_name(one)} and {_name(other)} have {pairs}, {said}{few}"


def _alike(one: ImageSet, other: ImageSet, resolution: int | None) -> tuple[Pictures, Pictures]:
    """The pixels of both domains, both in colour if one is.

    Raises:
        DataError: their sizes differ.
    """
    sources, targets = read_images(one, resolution), read_images(other, resolution)
    (channels, side, _), (other_channels, other_side, _) = (found.arrays[0].shape[1:] for found in (sources, targets))
    if side != other_side:
        raise DataError(
            f"the images in '{shown(one.path)}' have {side} pixels a side, those in '{shown(other.path)}' {other_side}",
            "name the resolution to resize them to",
        )
    if channels < other_channels:
        sources = read_images(replace(one, always_colour=True), resolution)
    if other_channels < channels:
        targets = read_images(replace(other, always_colour=True), resolution)
    return sources, targets


def _paired_splits(one: Domain, other: Domain, partner: dict[str, str]) -> Parts | None:
    """Splits of which the last two consist of pairs; None if there are too few pairs."""
    left, test = _parted(list(partner), TEST_SHARE, TEST_SEED)
    left, selection = _parted(left, SELECTION_SHARE, SELECTION_SEED)
    if len(test) < FEWEST:
        return None
    pairs = [test, selection] if len(selection) >= FEWEST else [test]
    held = {name for part in pairs for name in part}
    taken = {partner[name] for name in held}
    return Parts(
        [[name for name in one.names if name not in held], *pairs],
        [[name for name in other.names if name not in taken], *([partner[name] for name in part] for part in pairs)],
        paired=True,
    )


def _unpaired_splits(one: Domain, other: Domain) -> Parts:
    """Splits in which each domain is split independently."""
    parts = [_parted(domain.names, TEST_SHARE, TEST_SEED) for domain in (one, other)]
    for domain, (_, test) in zip((one, other), parts, strict=True):
        if len(test) < FEWEST:
            raise DataError(
                f"too few of the {len(domain.names)} images in '{shown(domain.folder)}' can be held out",
                "put at least 8 images into each folder",
            )
    sources, targets = ([*part] for part in parts)
    return Parts(sources, targets, paired=False)


def _parted(names: Sequence[str], share: float, seed: int) -> tuple[list[str], list[str]]:
    """Two parts of the names: the rest, and a seeded random share."""
    if not names:
        return [], []
    others, chosen = stratified_split(torch.zeros(len(names), dtype=torch.int64), share, seed)
    return [names[i] for i in others.tolist()], [names[i] for i in chosen.tolist()]
