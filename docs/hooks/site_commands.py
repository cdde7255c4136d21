"""MkDocs hook: generates the list of commands and options from the program itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

MARK = "<!--commands-->"


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Replace ``MARK`` with the list of commands."""
    return markdown.replace(MARK, "\n".join(commands())) if MARK in markdown else markdown


def commands() -> Iterator[str]:
    """Yield lines of Markdown: heading, usage, help and a table of options for every command."""
    import typer

    from ganbench.cli.main import app

    yield from _command(typer.main.get_command(app), None, "ganbench")


def _command(command: Any, parent: Any, name: str) -> Iterator[str]:
    context = command.context_class(command, info_name=name.rpartition(" ")[2], parent=parent)
    yield from (f"## {name}", "", *_escaped(command.help or "").splitlines(), "")
    yield from ("```text", " ".join([name, *command.collect_usage_pieces(context)]), "```", "")
    rows = [record for param in command.get_params(context) if (record := param.get_help_record(context))]
    if rows:
        yield from ("| option | meaning |", "|---|---|")
        yield from (f"| `{option.replace('|', chr(92) + '|')}` | {_escaped(meaning)} |" for option, meaning in rows)
        yield ""
    for sub in sorted(getattr(command, "commands", {})):
        yield from _command(command.commands[sub], context, f"{name} {sub}")


def _escaped(text: str) -> str:
    """Escape the characters of a help text that Markdown would read as a tag, a link or the end of a table cell."""
    for character in "<[|":
        text = text.replace(character, f"\\{character}")
    return text
