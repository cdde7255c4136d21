"""Jinja, set up so that nothing from a record can be read as markup, and pages are the same bytes whenever written."""

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

    With ``address``, the folder of the shared files; without it, they stand in the page. ``policy`` is the page's
    content security policy, which lets no other script and no other style in.
    """

    address: str
    style: Markup
    script: Markup
    policy: str


def linked(address: str) -> Shared:
    """Style and script in files beside the page."""
    return Shared(address, Markup(""), Markup(""), _policy("'self'", "'self'"))


def inlined() -> Shared:
    """Style and script within the page, which is then one file; the policy knows them by their hashes."""
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
    """A page from its template; control characters in what it shows become escapes."""
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
    """Text from outside without control characters; what was made as markup stays."""
    return value if isinstance(value, Markup) or not isinstance(value, str) else plain(value)
