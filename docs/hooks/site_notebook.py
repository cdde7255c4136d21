"""MkDocs hook: turns the tutorial notebook into a page of the site, with the outputs that it holds.

mkdocs-jupyter would do this, too, but its pages fetch scripts from other servers.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files

NOTEBOOK = Path(__file__).parents[1] / "first-gan.ipynb"
PAGE = "first-gan.md"
DOWNLOAD = f'<p><a href="{NOTEBOOK.name}" download>Download this page as a notebook</a></p>'


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the page and its pictures."""
    from mkdocs.structure.files import File

    book = json.loads(NOTEBOOK.read_text("utf-8"))
    files.append(File.generated(config, PAGE, content=as_markdown(book)))
    for place, content in pictures(book).items():
        files.append(File.generated(config, place, content=content))
    return files


def as_markdown(book: dict[str, Any]) -> str:
    """Return the cells of a notebook and their outputs as Markdown."""
    title, *rest = (block for cell in book["cells"] for block in _blocks(cell))
    return "\n\n".join([title, DOWNLOAD, *rest]) + "\n"


def pictures(book: dict[str, Any]) -> dict[str, bytes]:
    """Return path in the site -> content of every PNG among the outputs."""
    found = ((cell["id"], output) for cell in book["cells"] for output in cell.get("outputs", ()))
    return {
        _place(name): base64.b64decode(_text(output["data"]["image/png"]))
        for name, output in found
        if "image/png" in output.get("data", {})
    }


def _blocks(cell: dict[str, Any]) -> Iterator[str]:
    if cell["cell_type"] == "markdown":
        yield _text(cell["source"])
        return
    yield f"```python\n{_text(cell['source'])}\n```"
    for output in cell["outputs"]:
        yield _shown(output, cell["id"])


def _shown(output: dict[str, Any], name: str) -> str:
    """Return the richest form of an output that a page can show. Blank lines would end a block of HTML."""
    data = output.get("data", {})
    if "image/png" in data:
        return f"![output of the cell above]({_place(name)})"
    if "text/html" in data:
        html = re.sub(r"\n\s*\n", "\n", _text(data["text/html"]))
        return f'<div class="output" tabindex="0">\n{html}\n</div>'  # it may scroll, also by keyboard
    return f"```text\n{_text(data.get('text/plain', output.get('text', ''))).rstrip()}\n```"


def _place(name: str) -> str:
    return f"pictures/first-gan-{name}.png"


def _text(lines: str | list[str]) -> str:
    return "".join(lines)
