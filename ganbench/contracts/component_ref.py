"""How a protocol names a dataset or an extractor: ``folder-wav:my-sounds,16384,16000``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace


class ComponentRef(Struct, frozen=True):
    """A name and what follows its colon, cut at commas: whole numbers are parameters, anything else is a path.

    Parameters are rules, so the digest of a protocol covers them. Paths only say where data lie on one machine, so it
    does not. The text alone decides which is which: a folder ``2024`` is written ``./2024``. ``str`` gives the text
    back, and plugins receive what follows the colon as their ``argument``.
    """

    name: str
    parts: tuple[str, ...] = ()

    @classmethod
    def of(cls, text: str) -> ComponentRef:
        """Read what ``str`` wrote."""
        name, colon, argument = text.partition(":")
        return cls(name, tuple(argument.split(",")) if colon else ())

    @property
    def parameters(self) -> tuple[str, ...]:
        """``("16384", "16000")``: the digits as they are written, which digests cover."""
        return tuple(part.strip() for part in self.parts if _is_number(part))

    @property
    def paths(self) -> tuple[str, ...]:
        """``("my-sounds",)``; a path that holds commas is in pieces."""
        return tuple(part for part in self.parts if part.strip() and not _is_number(part))

    @property
    def argument(self) -> str:
        """What follows the colon."""
        return ",".join(self.parts)

    def with_paths(self, moved: Callable[[str], str]) -> ComponentRef:
        """The same with ``moved(path)`` for each path."""
        return replace(self, parts=tuple(part if _is_number(part) else moved(part) for part in self.parts))

    def without_paths(self) -> ComponentRef:
        """What is the same on every machine; the colon stays."""
        return replace(self, parts=self.parameters or (("",) if self.parts else ()))

    def without_folders(self) -> ComponentRef:
        """What may be published, ``folder:photos``: where it lies on a user's machine is nobody's business."""
        return self.with_paths(_last_name)

    def __str__(self) -> str:
        return f"{self.name}:{self.argument}" if self.parts else self.name


def _last_name(path: str) -> str:
    name = Path(path).name or path
    return f"./{name}" if _is_number(name) else name


def _is_number(part: str) -> bool:
    return part.strip().isdecimal()
