"""Protection from other users: a folder that nobody else can write to, and a key that nobody else can read."""

from __future__ import annotations

import os
import secrets
import stat
import warnings
from contextlib import suppress
from pathlib import Path

from platformdirs import user_state_path

from ganbench.errors import GanbenchWarning

KEY_BYTES = 32


def is_private(folder: Path) -> bool:
    """Whether nobody else can write to ``folder``, or it does not exist yet; warns if others can."""
    try:
        there = folder.stat()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    mine = not hasattr(os, "geteuid") or there.st_uid == os.geteuid()
    if mine and not there.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return True
    why = f"others can write to it: run chmod go-w {folder}" if mine else "it belongs to another user: choose another"
    warnings.warn(GanbenchWarning(f"the folder {folder} is not used, because {why}"), stacklevel=2)
    return False


def user_key() -> bytes | None:
    """Random bytes, created once and kept with the user's own files; None if they cannot be stored safely.

    They are stored apart from the files that they seal, so copying a cache does not copy the key.
    """
    file = user_state_path("ganbench", appauthor=False) / "key"
    if not file.is_absolute():  # it begins with "~" for a user that the system does not know
        return None
    with suppress(OSError):
        if not file.exists():
            _make(file)
        there, key = file.stat(), file.read_bytes()
        alone = not there.st_mode & (stat.S_IRWXG | stat.S_IRWXO) and is_private(file.parent)
        return key if alone and len(key) == KEY_BYTES else None
    return None


def _make(file: Path) -> None:
    """Write the key under a temporary name, then link it; if two processes do this, the first one's key stays."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    new = file.with_name(f".key.{os.getpid()}")
    try:
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as opened:
            opened.write(secrets.token_bytes(KEY_BYTES))
        with suppress(FileExistsError):
            os.link(new, file)
    finally:
        new.unlink(missing_ok=True)
