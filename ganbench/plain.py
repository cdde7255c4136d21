r"""Text from outside, made fit to be shown: names from package metadata, messages of plugins, fields of records, paths.

Control characters would move the cursor, ring the bell or recolour what follows; others reverse the order of letters.
They are shown as escapes, ``\u001b``, which JSON reads as the same characters.
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
"""Control characters but for tab and line feed, marks of writing direction, separators of lines, halves of pairs."""


STAND_INS = str.maketrans("–‡†»×·γλμσ▁▂▃▄▅▆▇█▀━╸╺─", "-#^>x.glms_.-=+*%@#=---")
"""For terminals without Unicode."""


def plain(text: str) -> str:
    """The text with its control characters as escapes; lines and tabs stay."""
    return _UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def plain_line(text: str) -> str:
    """The same on one line, so that no name or reason looks like several lines."""
    return plain(" ".join(text.split()))


def as_html(text: str) -> str:
    """The same as HTML, between tags or in an attribute."""
    return html.escape(plain_line(text))


class PlainConsole(Console):
    """A console that prints text as it is.

    Square brackets and colons are no markup and no emoji, and control characters are escapes. Styles come from ``Text``
    and ``style=``. Where the terminal has no Unicode, signs of ours have stand-ins of the same width.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, highlight=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """Escape control characters before rich lays the text out, as escapes are wider."""
        return super().render_str(plain(text), **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """What rich writes to the terminal."""
        poor = not self.encoding.lower().startswith("utf")
        for segment in super().render(renderable, options):
            text = segment.text.translate(STAND_INS) if poor else segment.text
            yield segment if segment.control else segment._replace(text=plain(text))
