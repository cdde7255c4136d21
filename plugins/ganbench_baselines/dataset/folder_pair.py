"""Your own images of two domains: `folder-pair:A,B` translates images like those in folder A to images like those in B.

Files are listed, decoded, cropped and resized as by `folder`; classes are ignored. Files with the same name in both
folders are pairs. Some of them are held out, so that translations can be checked, and some more are for selection. All
other images are drawn from each domain independently, as are all images of folders that share no names. If one domain
is in colour, both are.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from ganbench import DataError, Dataset, DataSpec, Split, hookimpl, stratified_split
from ganbench_baselines.dataset.folder import find_images, read_images
from ganbench_baselines.dataset.two_domains import yardsticks

TEST_SHARE, SELECTION_SHARE = 1 / 5, 1 / 8  # of all, and of the rest
TEST_SEED, SELECTION_SEED = 0, 1
FEWEST = 2  # images in a split


class Domain(NamedTuple):
    """The images of a folder, ``[N, C, R, R]`` in uint8, and their names, in the same order on every file system."""

    folder: Path
    names: list[str]
    images: Tensor

    def of(self, names: Sequence[str]) -> Tensor:
        """The images with these names, in this order."""
        place = {name: index for index, name in enumerate(self.names)}
        return self.images[[place[name] for name in names]]


@hookimpl
def ganbench_dataset(argument: str, resolution: int | None) -> Dataset:
    """The images of ``folder-pair:A,B``: A's are ``source``, B's are ``x``.

    Raises:
        DataError: these are not two folders of images, or sizes differ and no resolution is given.
    """
    one, other = _alike(*(_read(folder, resolution) for folder in _folders(argument)))
    train, selection, test = _paired_splits(one, other) or _unpaired_splits(one, other)
    shape = tuple(train.x.shape[1:])
    return Dataset(
        name=f"folder-pair:{one.folder.resolve().name},{other.folder.resolve().name}",
        spec=DataSpec(shape, source=shape),
        train=train,
        test=test,
        selection=selection,
        yardsticks=yardsticks(train),
    )


def _folders(argument: str) -> list[Path]:
    folders = [Path(part.strip()).expanduser() for part in argument.split(",") if part.strip()]
    if len(folders) != 2:
        raise DataError(
            f"the dataset 'folder-pair' needs two folders, but '{argument}' names {len(folders)}",
            "write folder-pair:A,B (the paths cannot contain a comma)",
        )
    for folder in folders:
        if not folder.is_dir():
            what = "is not a folder" if folder.exists() else "does not exist"
            raise DataError(f"the image folder '{folder}' {what}", "check the paths after 'folder-pair:'")
    return folders


def _read(folder: Path, resolution: int | None) -> Domain:
    files = find_images(folder).files
    return Domain(folder, [str(file.relative_to(folder)) for file in files], read_images(folder, files, resolution))


def _alike(one: Domain, other: Domain) -> tuple[Domain, Domain]:
    """Both in colour if one is. A DataError if their sizes differ."""
    sides = [domain.images.shape[-1] for domain in (one, other)]
    if sides[0] != sides[1]:
        raise DataError(
            f"the images in '{one.folder}' have {sides[0]} pixels a side, those in '{other.folder}' {sides[1]}",
            "name the resolution to resize them to",
        )
    if one.images.shape[1] == other.images.shape[1]:
        return one, other
    one, other = (domain._replace(images=domain.images.expand(-1, 3, -1, -1).clone()) for domain in (one, other))
    return one, other


def _paired_splits(one: Domain, other: Domain) -> tuple[Split, Split | None, Split] | None:
    """(train, selection, test), the last two of pairs; None where there are too few of them."""
    common = set(one.names) & set(other.names)
    left, test = _parted([name for name in one.names if name in common], TEST_SHARE, TEST_SEED)
    left, selection = _parted(left, SELECTION_SHARE, SELECTION_SEED)
    if len(test) < FEWEST:
        return None
    if len(selection) < FEWEST:
        selection = []
    held = {*test, *selection}
    drawn = [domain.of([name for name in domain.names if name not in held]) for domain in (one, other)]
    pairs = [Split(other.of(names), source=one.of(names), paired=True) for names in (selection, test)]
    return Split(drawn[1], source=drawn[0]), pairs[0] if selection else None, pairs[1]


def _unpaired_splits(one: Domain, other: Domain) -> tuple[Split, None, Split]:
    """(train, None, test), each domain split on its own."""
    parts = [_parted(domain.names, TEST_SHARE, TEST_SEED) for domain in (one, other)]
    for domain, (_, test) in zip((one, other), parts, strict=True):
        if len(test) < FEWEST:
            raise DataError(
                f"too few of the {len(domain.names)} images in '{domain.folder}' can be held out",
                "put at least 8 images into each folder",
            )
    (source, source_test), (x, x_test) = parts
    return Split(other.of(x), source=one.of(source)), None, Split(other.of(x_test), source=one.of(source_test))


def _parted(names: Sequence[str], share: float, seed: int) -> tuple[list[str], list[str]]:
    """(the others, a seeded random share)"""
    if not names:
        return [], []
    others, chosen = stratified_split(torch.zeros(len(names), dtype=torch.int64), share, seed)
    return [names[i] for i in others.tolist()], [names[i] for i in chosen.tolist()]
