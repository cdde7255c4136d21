"""A grid: the blocks of rows that a TOML file lists, under one protocol."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from ganbench import plugins
from ganbench.contracts.protocol import Protocol
from ganbench.errors import ProtocolError, told
from ganbench.plugins.protocols import load_protocol
from ganbench.runs.changes import parse_changes, written
from ganbench.runs.plan import DEFAULT_PROTOCOL, Rows, tricks_of

EXAMPLE = """arch = ["dcgan", "mlp"], loss = ["r1", "wgan-gp"], or such lines below [[rows]]"""


@dataclass(frozen=True)
class Grid:
    """What to run: blocks of rows under a protocol, ``protocol_text`` as the user named it, with seeds or its own."""

    protocol: Protocol
    protocol_text: str
    rows: Sequence[Rows]
    seeds: Sequence[int] = ()


class _Block(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One block of a file; each name may be a list."""

    arch: list[str] | str = ""
    loss: list[str] | str = ""
    trick: list[str] | str = ""
    set: dict[str, Any] = msgspec.field(default_factory=dict)


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The content of a file. Its own lines are a block, and those under ``[[rows]]`` are further blocks."""

    protocol: str = DEFAULT_PROTOCOL
    seeds: list[int] = msgspec.field(default_factory=list)
    arch: list[str] | str = ""
    loss: list[str] | str = ""
    trick: list[str] | str = ""
    set: dict[str, Any] = msgspec.field(default_factory=dict)
    rows: list[_Block] = msgspec.field(default_factory=list)


def read_grid(file: Path) -> Grid:
    """Read a grid. A protocol's file is found from the grid's folder.

    Raises:
        GanbenchError: the file cannot be read, lists nothing, or names something unknown.
    """
    try:
        content = msgspec.toml.decode(file.read_bytes(), type=_File)
        if "\0" in content.protocol:
            raise ValueError("its protocol has a name that no file can have")
    except OSError as error:
        raise ProtocolError(
            f"cannot read {file}: {error.strerror or error}", f"write, for example, {EXAMPLE}"
        ) from error
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise ProtocolError(f"{file} is not a grid: {told(error)}", f"write, for example, {EXAMPLE}") from error
    own = _Block(content.arch, content.loss, content.trick, content.set)
    blocks = [own, *content.rows] if own != _Block() or not content.rows else content.rows
    rows = [_rows_of(block, file) for block in blocks]
    near = file.parent / content.protocol
    text = str(near) if content.protocol.endswith(".toml") and not Path(content.protocol).is_absolute() else None
    named = text or content.protocol
    return Grid(load_protocol(named), named, rows, tuple(dict.fromkeys(content.seeds)))


def _rows_of(block: _Block, file: Path) -> Rows:
    archs, losses, tricks = map(_names, (block.arch, block.loss, block.trick))
    if not archs or not losses:
        raise ProtocolError(
            f"{file}: a block of rows has no {'loss' if archs else 'arch'}", f"write, for example, {EXAMPLE}"
        )
    return Rows(
        plugins.find_many("arch", archs),
        plugins.find_many("loss", losses),
        tricks_of(tricks),
        parse_changes([written(name, value) for name, value in block.set.items()]),
    )


def _names(written: list[str] | str) -> list[str]:
    return [*filter(None, [written] if isinstance(written, str) else written)]
