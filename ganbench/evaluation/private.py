"""What only this user may have written: a folder that nobody else can write to, and a key that nobody else can read."""

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
    """Whether nobody else can write to ``folder``, or it is yet to be made. If others can, a warning says so."""
    try:
        there = folder.stat()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    mine = not hasattr(os, "geteuid") or there.st_uid == os.geteuid()
    if mine and not there.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return True
    why = f"others may write to it: chmod go-w {folder}" if mine else "it belongs to another user: choose another one"
    warnings.warn(GanbenchWarning(f"the folder {folder} is not used, because {why}"), stacklevel=2)
    return False


def user_key() -> bytes | None:
    """Random bytes, made once and kept with the user's own files, or None if they cannot be kept.

    They lie away from what they seal: with a cache they are not copied.
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
    """Written whole before it has its name; of two processes, the first one's stays."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    new = file.with_name(f".key.{os.getpid()}")
    try:
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as opened:
            opened.write(secrets.token_bytes(KEY_BYTES))
        with suppress(FileExistsError):
            os.link(new, file)
    finally:
        new.unlink(missing_ok=True)
