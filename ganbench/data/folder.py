"""Where data lie: the folder of downloads and of existing copies, and the places of prepared arrays."""

from __future__ import annotations

import os
from pathlib import Path

from platformdirs import user_cache_path, user_data_path

VARIABLE = "GANBENCH_DATA"
"""Environment variable that names the data folder."""
PREPARED = "prepared"


def data_folder() -> Path:
    """Return the folder that GANBENCH_DATA names, or else that of the system for a user's application data."""
    named = os.environ.get(VARIABLE)
    return Path(named).expanduser() if named else user_data_path("ganbench", appauthor=False)


def prepared_folders() -> tuple[Path, ...]:
    """Return where prepared arrays may lie: in the data folder, or in the user's cache if that cannot be written."""
    return data_folder() / PREPARED, user_cache_path("ganbench", appauthor=False) / PREPARED


def writable(folder: Path) -> bool:
    """Whether files can be made in a folder, which need not exist yet."""
    there = next(above for above in (folder, *folder.parents) if above.exists())
    return there.is_dir() and os.access(there, os.W_OK | os.X_OK)
