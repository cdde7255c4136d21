"""MkDocs hook: adds files from outside ``docs/`` to the site, and rewrites the links to them.

Pages use paths in the repository, such as ``../leaderboards/ring-v2/README.md``, so that their links also work on a
forge. The site contains ``leaderboards/`` unchanged, next to the pages, and the source of the built-in plugins, which
published pages link to. The comments behind figures are removed.
"""

from __future__ import annotations

import posixpath
import re
import shutil
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
FOLDERS = ("leaderboards", "plugins/ganbench_baselines", "plugins/ganbench-example/ganbench_example")
"""Folders that are copied to the same path in the site."""
PAGES = {
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "RELEASING.md": "releasing.md",
    "SECURITY.md": "security.md",
    "plugins/ganbench-example/README.md": "plugins/example.md",
    "leaderboards/speed/README.md": "speed.md",
}
"""Document in the repository -> the page of the site that it becomes."""
INSTEAD = {
    "README.md": "index.md",
    "docs/first-gan.ipynb": "first-gan.md",
    "plugins/ganbench-example": "plugins/example.md",
}
"""Link target in the repository -> the page that the site links to instead."""

MARKDOWN = re.compile(
    r"(?P<code>^ *```.*?^ *```|`[^`\n]+`)|(?P<comment><!--.*?-->)|(?P<before>\]\(|<img src=\")(?P<target>[^()#:\s\"]+)"
    r"(?P<anchor>#[^()\s\"]*)?(?=[)\"])",
    re.DOTALL | re.MULTILINE,
)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the documents and folders from outside ``docs/``."""
    from mkdocs.structure.files import File

    for origin, place in PAGES.items():
        files.append(File.generated(config, place, abs_src_path=str(ROOT / origin)))
    for path in _copied():
        if path.suffix != ".md":
            place = path.relative_to(ROOT).as_posix()
            files.append(File.generated(config, place, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Rewrite links and remove comments."""
    return for_site(markdown, page.file.src_uri)


def on_post_build(config: MkDocsConfig) -> None:
    """Copy Markdown files as they are, and write an index page for each folder of records.

    MkDocs would turn Markdown into pages, and some servers list no folders.
    """
    site = Path(config.site_dir)
    for path in _copied():
        if path.suffix == ".md":
            shutil.copy(path, site / path.relative_to(ROOT))
    for folder in site.glob("leaderboards/*/records"):
        (folder / "index.html").write_text(listing(folder), "utf-8")


def listing(folder: Path) -> str:
    """Return an HTML page that links to the files of a folder."""
    names = sorted(path.name for path in folder.iterdir() if path.name != "index.html")
    items = "\n".join(f'<li><a href="{quote(name)}">{escape(name)}</a></li>' for name in names)
    title = escape(f"{folder.parent.name}: {folder.name}")
    head = f'<meta charset="utf-8"><meta name="color-scheme" content="light dark"><title>{title}</title>'
    return f'<!doctype html>\n<html lang="en">\n{head}\n<h1>{title}</h1>\n<ul>\n{items}\n</ul>\n'


def for_site(markdown: str, place: str) -> str:
    """Return the text of the page at path ``place`` of the site, with rewritten links and without comments."""
    origin = next((origin for origin, page in PAGES.items() if page == place), f"docs/{place}")

    def rewritten(found: re.Match[str]) -> str:
        if found["target"] is None:
            return found["code"] or ""
        there = place_of(posixpath.normpath(posixpath.join(posixpath.dirname(origin), found["target"])))
        return f"{found['before']}{posixpath.relpath(there, posixpath.dirname(place))}{found['anchor'] or ''}"

    return MARKDOWN.sub(rewritten, markdown)


def place_of(path: str) -> str:
    """Return the path in the site for a path in the repository; MkDocs warns if the site has no such file."""
    if path in PAGES or path in INSTEAD:
        return (PAGES | INSTEAD)[path]
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    folder = posixpath.dirname(path) if path.endswith("/README.md") else path
    page = f"{folder}/index.html"
    return page if folder.startswith(FOLDERS) and (ROOT / page).is_file() else path


def _copied() -> Iterator[Path]:
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                yield path
