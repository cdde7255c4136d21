"""Executes the tutorial, docs/first-gan.ipynb, and keeps its outputs in it.

    python tests/tutorial.py

Readers see them on a forge and on the site. The notebook holds the hash of the code that gave them, so that a test
notices outputs of other code.
"""

from __future__ import annotations

import hashlib
import sys
import tempfile
from pathlib import Path
from typing import Any

NOTEBOOK = Path(__file__).parents[1] / "docs" / "first-gan.ipynb"
HASH = "outputs_of"
"""The metadata that hold the hash of the executed code."""


def code_of(book: Any) -> list[Any]:
    """The cells that hold code."""
    return [cell for cell in book["cells"] if cell["cell_type"] == "code"]


def hash_of(book: Any) -> str:
    """Of all the code of a notebook."""
    sources = ["".join(cell["source"]) for cell in code_of(book)]
    return hashlib.sha256("\0".join(sources).encode()).hexdigest()[:16]


def read_book() -> Any:
    """The notebook as it is committed."""
    import nbformat

    return nbformat.read(NOTEBOOK, as_version=4)


def executed(book: Any, folder: Path) -> Any:
    """The same notebook with a kernel's outputs in this folder, without times, and with one form of each picture."""
    from nbclient import NotebookClient

    place = {"metadata": {"path": str(folder)}}
    NotebookClient(book, timeout=1800, kernel_name="python3", resources=place, record_timing=False).execute()
    for cell in code_of(book):
        for output in cell.outputs:
            output.get("data", {}).pop("image/jpeg", None)
    return book


def main() -> int:
    """Execute it and write it anew; the exit code."""
    import nbformat

    with tempfile.TemporaryDirectory() as folder:
        book = executed(read_book(), Path(folder))
    book.metadata[HASH] = hash_of(book)
    book.metadata.language_info = {"name": "python"}
    NOTEBOOK.write_text(nbformat.writes(book) + "\n", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
