"""The findings of conformance checks. This module does not import torch, which showing findings does not need."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One breach of a contract: what was ``seen``, what was ``expected``, and how to ``mend`` it.

    ``check`` names the check that found it, ``why`` is the reason for that check, ``where`` is the case in which it was
    seen. Checks fill in the first three and, if they try several cases, ``where``.
    """

    seen: str
    expected: str
    mend: str
    where: str = ""
    check: str = ""
    why: str = ""

    def __str__(self) -> str:
        where = f"  ({self.where})" if self.where else ""
        parts = (("seen", self.seen), ("expected", self.expected), ("mend", self.mend), ("why", self.why))
        lines = [_paragraph(f"{name + ':':<10}", text) for name, text in parts if text]
        return "\n".join([self.check + where, *lines])


@dataclass(frozen=True)
class Declined(Finding):
    """The finding that the plugin raised Unsupported for everything that it was tried on."""


def _paragraph(head: str, text: str) -> str:
    return textwrap.fill(f"{head}{text}", 100, initial_indent="   ", subsequent_indent=" " * (3 + len(head)))
