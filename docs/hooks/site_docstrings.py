"""griffe extension: converts docstrings, which are written for ``help()``, to Markdown."""

from __future__ import annotations

import re
from typing import Any

import griffe


class Docstrings(griffe.Extension):
    """Converts the two reStructuredText constructs that our docstrings use."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Turn ``Example::`` into ``Example:`` before a code block, and :class:`ganbench.Loss` into a link."""
        if obj.docstring:
            text = re.sub(r"::$", ":", obj.docstring.value, flags=re.MULTILINE)
            obj.docstring.value = re.sub(r":(?:class|func|meth):`([\w.]+)`", r"[`\1`][\1]", text)
