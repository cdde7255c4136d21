"""References by which a protocol names a dataset or an extractor: ``folder-wav:my-sounds,16384,16000``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace


class ComponentRef(Struct, frozen=True):
    """A name, and the text after the colon split at commas. Whole numbers are parameters, anything else is a path.

    Parameters are rules, so a protocol's digest covers them. Paths only locate data on one machine, so the digest
    leaves them out. The text alone decides which is which, so a folder named ``2024`` is written ``./2024``. ``str``
    returns the original text. Plugins receive the text after the colon as their ``argument``.
    """

    name: str
    parts: tuple[str, ...] = ()

    @classmethod
    def of(cls, text: str) -> ComponentRef:
        """Parse a reference."""
        name, colon, argument = text.partition(":")
        return cls(name, tuple(argument.split(",")) if colon else ())

    @property
    def parameters(self) -> tuple[str, ...]:
        """The whole numbers as written, ``("16384", "16000")``. Digests cover them."""
        return tuple(part.strip() for part in self.parts if _is_number(part))

    @property
    def paths(self) -> tuple[str, ...]:
        """The paths, ``("my-sounds",)``. A path with commas is split at them."""
        return tuple(part for part in self.parts if part.strip() and not _is_number(part))

    @property
    def argument(self) -> str:
        """The text after the colon."""
        return ",".join(self.parts)

    def with_paths(self, moved: Callable[[str], str]) -> ComponentRef:
        """Replace each path by ``moved(path)``."""
        return replace(self, parts=tuple(part if _is_number(part) else moved(part) for part in self.parts))

    def without_paths(self) -> ComponentRef:
        """Drop the paths, so that the rest is the same on every machine. The colon stays."""
        return replace(self, parts=self.parameters or (("",) if self.parts else ()))

    def without_folders(self) -> ComponentRef:
        """Cut each path to its last name, ``folder:photos``, so that publishing does not reveal a user's folders."""
        return self.with_paths(_last_name)

    def __str__(self) -> str:
        return f"{self.name}:{self.argument}" if self.parts else self.name


def _last_name(path: str) -> str:
    name = Path(path).name or path
    return f"./{name}" if _is_number(name) else name


def _is_number(part: str) -> bool:
    return part.strip().isdecimal()
