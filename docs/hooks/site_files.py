"""A hook of the site: what it takes from outside of ``docs/``, and the links that lead there.

Pages link by paths in the repository, so that their links work on a forge too: ``../leaderboards/ring-v2/README.md``.
In the site, ``leaderboards/`` lies beside the pages, as it is, and so does the source of the built-in plugins, to which
published pages link. Comments behind figures are left out.
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
"""Copied to the same place in the site."""
PAGES = {
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "RELEASING.md": "releasing.md",
    "SECURITY.md": "security.md",
    "plugins/ganbench-example/README.md": "plugins/example.md",
    "leaderboards/speed/README.md": "speed.md",
}
"""Other documents of the repository that become pages of the site, and where."""
INSTEAD = {"README.md": "index.md", "plugins/ganbench-example": "plugins/example.md"}
"""What a link leads to in the site instead."""

MARKDOWN = re.compile(
    r"(?P<code>^ *```.*?^ *```|`[^`\n]+`)|(?P<comment><!--.*?-->)|\]\((?P<target>[^()#:\s]+)(?P<anchor>#[^()\s]*)?\)",
    re.DOTALL | re.MULTILINE,
)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the documents and folders from outside of ``docs/``."""
    from mkdocs.structure.files import File

    for origin, place in PAGES.items():
        files.append(File.generated(config, place, abs_src_path=str(ROOT / origin)))
    for path in _copied():
        if path.suffix != ".md":
            place = path.relative_to(ROOT).as_posix()
            files.append(File.generated(config, place, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Rewrite links, and leave out comments."""
    return for_site(markdown, page.file.src_uri)


def on_post_build(config: MkDocsConfig) -> None:
    """Copy Markdown too, which MkDocs would have made into pages, and list the records for servers that do not."""
    site = Path(config.site_dir)
    for path in _copied():
        if path.suffix == ".md":
            shutil.copy(path, site / path.relative_to(ROOT))
    for folder in site.glob("leaderboards/*/records"):
        (folder / "index.html").write_text(listing(folder), "utf-8")


def listing(folder: Path) -> str:
    """A page that links to the files of a folder."""
    names = sorted(path.name for path in folder.iterdir() if path.name != "index.html")
    items = "\n".join(f'<li><a href="{quote(name)}">{escape(name)}</a></li>' for name in names)
    title = escape(f"{folder.parent.name}: {folder.name}")
    head = f'<meta charset="utf-8"><meta name="color-scheme" content="light dark"><title>{title}</title>'
    return f'<!doctype html>\n<html lang="en">\n{head}\n<h1>{title}</h1>\n<ul>\n{items}\n</ul>\n'


def for_site(markdown: str, place: str) -> str:
    """The text of the page at this place in the site, with the links of the site and without comments."""
    origin = next((origin for origin, page in PAGES.items() if page == place), f"docs/{place}")

    def rewritten(found: re.Match[str]) -> str:
        if found["target"] is None:
            return found["code"] or ""
        there = place_of(posixpath.normpath(posixpath.join(posixpath.dirname(origin), found["target"])))
        return f"]({posixpath.relpath(there, posixpath.dirname(place))}{found['anchor'] or ''})"

    return MARKDOWN.sub(rewritten, markdown)


def place_of(path: str) -> str:
    """Where a file of the repository lies in the site; MkDocs complains if it does not."""
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
