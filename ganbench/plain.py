r"""Make untrusted text safe to display: names in package metadata, messages of plugins, fields of records, paths.

Control characters could move the cursor, ring the bell or change colours, and others reverse the order of letters. They
are shown as escapes such as ``\u001b``, which JSON reads as the same characters.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

_UNSEEN = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters except tab and line feed, bidirectional marks, line separators, and surrogates."""


STAND_INS = str.maketrans("–‡†»×·γλμσ▁▂▃▄▅▆▇█▀━╸╺─", "-#^>x.glms_.-=+*%@#=---")
"""Replacements for terminals without Unicode."""


def plain(text: str) -> str:
    """Escape the control characters in a text, except line feeds and tabs."""
    return _UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def plain_line(text: str) -> str:
    """Escape a text and join it to one line, so that no name or reason spans several lines."""
    return plain(" ".join(text.split()))


def as_html(text: str) -> str:
    """Escape a text for HTML, between tags or in an attribute."""
    return html.escape(plain_line(text))


class PlainConsole(Console):
    """A console that prints text literally.

    It does not interpret square brackets as markup or colons as emoji, and it escapes control characters. Styles come
    from ``Text`` and ``style=``. On a terminal without Unicode, it replaces GANBench's symbols by ASCII of the same
    width.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, highlight=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """Escape control characters before rich lays out the text, because escapes are wider."""
        return super().render_str(plain(text), **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Yield the segments that rich writes to the terminal."""
        poor = not self.encoding.lower().startswith("utf")
        for segment in super().render(renderable, options):
            text = segment.text.translate(STAND_INS) if poor else segment.text
            yield segment if segment.control else segment._replace(text=plain(text))
