"""Jinja, set up so that nothing from a record is read as markup, and pages are byte for byte reproducible."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

import jinja2
from markupsafe import Markup

from ganbench.plain import plain

ASSETS = ("charts.css", "ganbench.css", "ganbench.js", "icon.svg")
"""Files that all pages of a folder share."""


class Shared(NamedTuple):
    """How a page gets its style and its script.

    ``address`` is the folder of the shared files; if it is empty, style and script are inlined. ``policy`` is the
    page's content security policy, which allows no other script or style.
    """

    address: str
    style: Markup
    script: Markup
    policy: str


def linked(address: str) -> Shared:
    """Style and script in files beside the page."""
    return Shared(address, Markup(""), Markup(""), _policy("'self'", "'self'"))


def inlined() -> Shared:
    """Style and script within the page, which is then a single file; the policy allows them by their hashes."""
    style, script = asset("charts.css") + asset("ganbench.css"), asset("ganbench.js")
    return Shared("", Markup(style), Markup(script), _policy(_hash(style), _hash(script)))


def _policy(styles: str, scripts: str) -> str:
    fixed = "default-src 'none'; base-uri 'none'; form-action 'none'; img-src 'self'; media-src 'self'"
    return f"{fixed}; style-src {styles}; script-src {scripts}"


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def asset(name: str) -> str:
    """The text of a shared file."""
    return files("ganbench.pages").joinpath("assets", name).read_text("utf-8")


def rendered(template: str, **what: Any) -> str:
    """Render a page from its template; control characters in texts become escapes."""
    return _environment().get_template(template).render(what)


@cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.PackageLoader("ganbench.pages"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def _shown(value: Any) -> Any:
    """Escape control characters in text; leave ``Markup`` as it is."""
    return value if isinstance(value, Markup) or not isinstance(value, str) else plain(value)
