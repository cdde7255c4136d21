"""Checks the built site: no page loads anything from another server, no link is broken, no public name is unexplained.

    python docs/hooks/site_check.py FOLDER

It prints every problem, and how much was checked. MkDocs only checks links in its own Markdown pages; this script also
follows those of copied pages.
"""

from __future__ import annotations

import ast
import posixpath
import re
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

ROOT = Path(__file__).parents[2]
RESOURCES = {
    "link": "href",
    "script": "src",
    "img": "src",
    "source": "src",
    "iframe": "src",
    "video": "src",
    "audio": "src",
}
"""Tag that makes a browser load something -> the attribute with the address."""
STYLE = re.compile(r"(?:url\(|@import)\s*['\"]?([^'\")\s;]+)")


class Page(HTMLParser):
    """The resources that a page loads, its links, and the anchors that links can point to (``places``)."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.resources: list[str] = []
        self.links: list[str] = []
        self.places: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collect the resources, the link and the anchors of a tag."""
        given = {name: value or "" for name, value in attrs}
        if tag in RESOURCES and given.get(RESOURCES[tag]):
            self.resources.append(given[RESOURCES[tag]])
        self.resources += STYLE.findall(given.get("style", ""))
        if tag == "a" and given.get("href"):
            self.links.append(given["href"])
        self.places |= {given[name] for name in ("id", "name") if given.get(name)}


def pages_in(site: Path) -> dict[str, Page]:
    """Return path in the site -> page. The error page is left out, because its links are relative to the root."""
    paths = [path for path in sorted(site.rglob("*.html")) if path != site / "404.html"]
    return {path.relative_to(site).as_posix(): Page(path.read_text("utf-8")) for path in paths}


def foreign(site: Path, pages: dict[str, Page]) -> Iterator[str]:
    """Yield everything that pages or stylesheets would load from another server."""
    fetched = [(name, url) for name, page in pages.items() for url in page.resources]
    for path in sorted(site.rglob("*.css")):
        fetched += [(path.relative_to(site).as_posix(), url) for url in STYLE.findall(path.read_text("utf-8"))]
    for name, url in fetched:
        if url.startswith("//") or urlsplit(url).scheme not in ("", "data"):
            yield f"{name} fetches {url}"


def dangling(site: Path, pages: dict[str, Page]) -> Iterator[str]:
    """Yield links and resources within the site whose target does not exist."""
    for name, page in pages.items():
        for url in {*page.links, *page.resources}:
            parts = urlsplit(url)
            if parts.scheme or parts.netloc:
                continue
            path = (
                posixpath.normpath(posixpath.join(posixpath.dirname(name), unquote(parts.path))) if parts.path else name
            )
            place = unquote(parts.fragment)
            path = f"{path}/index.html" if (site / path).is_dir() else path
            if not (site / path).is_file():
                yield f"{name} links to {url}, which does not exist"
            elif place and path in pages and place not in pages[path].places:
                yield f"{name} links to {url}, but the page has no such anchor"


def public_names() -> list[str]:
    """Return the names in ``__all__`` of ``ganbench/__init__.pyi``."""
    tree = ast.parse((ROOT / "ganbench" / "__init__.pyi").read_text("utf-8"))
    lists = [node.value for node in tree.body if isinstance(node, ast.Assign) and node.targets[0].id == "__all__"]
    return list(ast.literal_eval(lists[0]))


def unexplained(pages: dict[str, Page]) -> Iterator[str]:
    """Yield public names that the API reference does not show, or that have no docstring."""
    import griffe

    package = griffe.load("ganbench", search_paths=[ROOT])
    shown = {place for name, page in pages.items() if name.startswith("reference/") for place in page.places}
    for name in public_names():
        if f"ganbench.{name}" not in shown:
            yield f"the API reference does not show ganbench.{name}"
        if not package[name].docstring:
            yield f"ganbench.{name} has no docstring"


def main(site: Path) -> int:
    """Print every problem of the site, and return the exit code."""
    pages = pages_in(site)
    problems = [*foreign(site, pages), *dangling(site, pages), *unexplained(pages)]
    print(*problems, sep="\n", end="\n" if problems else "")
    looked_at = sum(len(page.links) + len(page.resources) for page in pages.values())
    print(f"{len(pages)} pages, {looked_at} links and resources, {len(public_names())} public names")
    return int(bool(problems) or not pages)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
