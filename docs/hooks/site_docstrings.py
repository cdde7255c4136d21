"""An extension of griffe: docstrings written for ``help()`` as Markdown."""

from __future__ import annotations

import re
from typing import Any

import griffe


class Docstrings(griffe.Extension):
    """Knows the two ways of reStructuredText that docstrings have."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """``Example::`` announces a block of code, and :class:`ganbench.Loss` is a link."""
        if obj.docstring:
            text = re.sub(r"::$", ":", obj.docstring.value, flags=re.MULTILINE)
            obj.docstring.value = re.sub(r":(?:class|func|meth):`([\w.]+)`", r"[`\1`][\1]", text)
