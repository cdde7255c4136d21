"""Checks the built site: nothing is fetched from elsewhere, links lead somewhere, public names are explained.

    python docs/hooks/site_check.py FOLDER

prints what is wrong, or else how much was looked at. MkDocs has checked the links of its own pages as Markdown; here,
those of copied pages are followed too.
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
"""Tags that make a browser fetch something, and the attribute that names it."""
STYLE = re.compile(r"(?:url\(|@import)\s*['\"]?([^'\")\s;]+)")


class Page(HTMLParser):
    """What a page fetches, where it links to, the places in it that links may lead to, and the text below each."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.resources: list[str] = []
        self.links: list[str] = []
        self.places: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what a tag fetches, links to and is called."""
        given = {name: value or "" for name, value in attrs}
        if tag in RESOURCES and given.get(RESOURCES[tag]):
            self.resources.append(given[RESOURCES[tag]])
        self.resources += STYLE.findall(given.get("style", ""))
        if tag == "a" and given.get("href"):
            self.links.append(given["href"])
        self.places |= {given[name] for name in ("id", "name") if given.get(name)}


def pages_in(site: Path) -> dict[str, Page]:
    """The pages by their paths in the site; the one for errors has links from the root."""
    paths = [path for path in sorted(site.rglob("*.html")) if path != site / "404.html"]
    return {path.relative_to(site).as_posix(): Page(path.read_text("utf-8")) for path in paths}


def foreign(site: Path, pages: dict[str, Page]) -> Iterator[str]:
    """What pages and styles would fetch from another server."""
    fetched = [(name, url) for name, page in pages.items() for url in page.resources]
    for path in sorted(site.rglob("*.css")):
        fetched += [(path.relative_to(site).as_posix(), url) for url in STYLE.findall(path.read_text("utf-8"))]
    for name, url in fetched:
        if url.startswith("//") or urlsplit(url).scheme not in ("", "data"):
            yield f"{name} fetches {url}"


def dangling(site: Path, pages: dict[str, Page]) -> Iterator[str]:
    """Links and resources within the site that lead nowhere."""
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
                yield f"{name} links to {url}, which is not there"
            elif place and path in pages and place not in pages[path].places:
                yield f"{name} links to {url}, but there is no such place"


def public_names() -> list[str]:
    """What `ganbench/__init__.pyi` lists."""
    tree = ast.parse((ROOT / "ganbench" / "__init__.pyi").read_text("utf-8"))
    lists = [node.value for node in tree.body if isinstance(node, ast.Assign) and node.targets[0].id == "__all__"]
    return list(ast.literal_eval(lists[0]))


def unexplained(pages: dict[str, Page]) -> Iterator[str]:
    """Public names that the reference does not show, or that have no docstring there."""
    import griffe

    package = griffe.load("ganbench", search_paths=[ROOT])
    shown = {place for name, page in pages.items() if name.startswith("reference/") for place in page.places}
    for name in public_names():
        if f"ganbench.{name}" not in shown:
            yield f"the reference does not show ganbench.{name}"
        if not package[name].docstring:
            yield f"ganbench.{name} has no docstring"


def main(site: Path) -> int:
    """Print what is wrong with the site; the exit code."""
    pages = pages_in(site)
    problems = [*foreign(site, pages), *dangling(site, pages), *unexplained(pages)]
    print(*problems, sep="\n", end="\n" if problems else "")
    looked_at = sum(len(page.links) + len(page.resources) for page in pages.values())
    print(f"{len(pages)} pages, {looked_at} links and resources, {len(public_names())} public names")
    return int(bool(problems) or not pages)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
