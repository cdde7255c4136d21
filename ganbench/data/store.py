"""The prepared arrays of this machine: list them, check them, remove them."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from ganbench.data.about import ARRAY, PROGRESS, About, about, finished_rows
from ganbench.data.folder import prepared_folders
from ganbench.errors import DataError, meant
from ganbench.records.files import reason_of


class Stored(NamedTuple):
    """A folder with a prepared array; ``about`` is None if the array is not complete."""

    folder: Path
    about: About | None

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return sum(file.stat().st_size for file in self.folder.iterdir() if file.is_file())

    @property
    def rows(self) -> int:
        """The number of rows that are there."""
        return self.about.rows if self.about else finished_rows(self.folder)


def stored() -> list[Stored]:
    """Return every prepared array, complete or begun, by name."""
    folders = [
        folder
        for place in prepared_folders()
        if place.is_dir()
        for folder in place.iterdir()
        if (folder / ARRAY).is_file() or (folder / PROGRESS).is_file()
    ]
    return [Stored(folder, about(folder)) for folder in sorted(folders, key=lambda folder: folder.name)]


def chosen(names: Sequence[str]) -> list[Stored]:
    """Return the arrays of these names: those of folders, or of data sets, which may have several.

    Raises:
        DataError: there is none of a name.
    """
    everything, found = stored(), dict[Path, Stored]()
    for name in names:
        same = [one for one in everything if name in (one.folder.name, one.about.name if one.about else None)]
        if not same:
            known = [one.folder.name for one in everything]
            raise DataError(
                f"no prepared array is called '{name}'{meant(name, known)}", "`ganbench data list` prints the names"
            )
        found |= {one.folder: one for one in same}
    return list(found.values())


def remove(one: Stored) -> None:
    """Delete a prepared array. The data that it was made from stay where they are.

    Raises:
        DataError: it cannot be deleted.
    """
    try:
        shutil.rmtree(one.folder)
        one.folder.with_name(f".{one.folder.name}.lock").unlink(missing_ok=True)
    except OSError as error:
        raise DataError(f"cannot remove {one.folder}: {reason_of(error)}", "check its permissions") from error
