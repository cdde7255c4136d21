"""A table as the README of its published folder: the same bytes whenever it is written."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from ganbench.leaderboards.cells import cells_of, headings_of, is_number
from ganbench.leaderboards.entries import RunEntry, YardstickEntry
from ganbench.leaderboards.footnotes import footnotes_of
from ganbench.leaderboards.rows import Part, RowKey
from ganbench.leaderboards.strips import Samples
from ganbench.leaderboards.table import Table
from ganbench.pages.charts.svg import Chart
from ganbench.pages.commands import run_command
from ganbench.pages.facts import machines_of
from ganbench.pages.places import Places
from ganbench.pages.rules import Rule, how_to_read, rules_in_words
from ganbench.plain import plain_line


class Section(NamedTuple):
    """The heading of a part of the table, and what a reader should know about it."""

    title: str
    told: str


SECTIONS: dict[Part, Section] = {
    "unstable": Section(
        "Rows with a failed or collapsed seed",
        "By the number of such seeds, then by the median. Not tested, not ranked.",
    ),
    "incomplete": Section("Rows that lack seeds", "No rank until every seed has run."),
    "custom": Section("Custom runs", "Made with changed settings: never ranked."),
    "edited": Section(
        "Edited runs",
        "Made with code that differs from the known code of its version (see the notes): never ranked.",
    ),
}
"""The parts below the ranking."""
PICTURES = "pictures"
"""The folder of the charts."""
SAMPLES = (
    "Samples of the lowest seed of each row, from the generator that is judged, at the end of the budget. Nobody chose "
    "them: latents come from the same fixed seed in every row."
)
"""What a reader should know about the pictures of samples."""


def to_markdown(
    table: Table, places: Mapping[RowKey, Places] | None = None, charts: Mapping[str, Chart] | None = None
) -> str:
    """The README of a published leaderboard, with samples from ``places``, and ``charts`` that its folder has."""
    rule = table.protocol.description if table.protocol else ""
    reading = escaped(how_to_read(table, "in italics"))
    parts = [f"# {escaped(table.name)}", prose(rule), _rules(table), "## How to read this", reading]
    ranking = _pipes(table, "ranked") or ("No complete rows yet." if table.rows else "No runs yet.")
    parts += ["## Ranking", ranking]
    for part, section in SECTIONS.items():
        if rows := _pipes(table, part):
            parts += [f"## {section.title}", section.told, rows]
    if samples := {key: there.samples for key, there in (places or {}).items() if any(there.samples)}:
        parts += ["## Samples", SAMPLES, _samples(table, samples)]
    if charts:
        parts += ["## Plots", *map(_plot, charts.values())]
    parts += ["## Columns", _bullets(footnotes_of(table))]
    if table.failures or table.collapses:
        parts += ["## Failures", _bullets([*table.failures, *table.collapses])]
    if table.left_out or table.notes:
        parts += ["## Notes", _bullets([*table.left_out, *table.notes])]
    parts += ["## Reproduce", *_reproduce(table), "## Machines", _bullets(machines_of(table)) or "None yet."]
    command = _code(shlex.join(["ganbench", "leaderboard", table.name, "--write"]))
    parts.append(f"*Written by {command} from `records/`. Do not edit: change the records.*")
    return "\n\n".join(part for part in parts if part) + "\n"


def _rules(table: Table) -> str:
    return "\n".join(f"* {_rule(rule)}" for rule in rules_in_words(table))


def _rule(rule: Rule) -> str:
    said = " ".join(filter(None, [_code(rule.code) if rule.code else "", escaped(rule.more)]))
    return f"{escaped(rule.name)}: {said}"


def _reproduce(table: Table) -> list[str]:
    entry = next((row.entry for row in table.block("entry") if isinstance(row.entry, RunEntry)), None)
    if entry is None:
        return [_command("--arch", "ARCH", "--loss", "LOSS", "--protocol", table.name)]
    combination = [word for player in entry.players for word in (f"--{player.kind}", table.component(player))]
    return [
        "One row (every seed; the same machine and versions give the same bits):",
        _command(*combination, "--protocol", table.name),
    ]


def _command(*words: str) -> str:
    return f"```\n{run_command(*words)}\n```"


def _pipes(table: Table, part: Part) -> str:
    """One part as a Markdown table; yardsticks in italics."""
    headings = headings_of(table, part)
    ruler = ["---:" if is_number(table, key) else "---" for key in headings]
    lines = [[*map(escaped, headings.values())], ruler]
    rows = table.rows_of(part)
    for row in rows:
        cells = cells_of(table, row)
        texts = [escaped(cells.get(key, "")) for key in headings]
        emphasised = [f"*{text}*" if text else "" for text in texts]
        lines.append(emphasised if isinstance(row.entry, YardstickEntry) else texts)
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) if rows else ""


def _plot(chart: Chart) -> str:
    return f"![{bracketed(chart.title)}]({PICTURES}/{chart.name}.svg)\n\n{escaped(chart.about)}"


def _samples(table: Table, samples: Mapping[RowKey, Samples]) -> str:
    """A table of the pictures, and of links to the sounds if there are any."""
    heard = any(files.sound for files in samples.values())
    lines = [["row", "samples", "sound"], ["---"] * 3]
    for row in table.rows:
        if files := samples.get(row.key):
            title = bracketed(table.title(row))
            picture = f"![samples of {title}]({files.picture})" if files.picture else ""
            lines.append([title, picture, f"[listen]({files.sound})" if files.sound else ""])
    return "\n".join(f"| {' | '.join(line[: 2 + heard])} |" for line in lines)


def bracketed(text: str) -> str:
    """A name that may stand in the square brackets of a link."""
    return re.sub(r"(?<!\\)[][]", _backslashed, escaped(text))


def _bullets(sentences: Iterable[str]) -> str:
    return "\n".join(f"* {_item(sentence)}" for sentence in sentences)


def _item(text: str) -> str:
    return _BLOCK.sub(_backslashed, escaped(text))


_MARKUP = re.compile(
    r"[\\|<*`$]|(?<![^\W_])_|_(?![^\W_])"  # emphasis, code, HTML, cells; `d_loss` is none of them
    r"|\](?=[(\[:])|:(?=//)|(?<=www)\."  # images and links, also those without brackets
    r"|~(?=~)|(?<=~)~|&(?=#?\w+;)",  # crossed out, entities
    re.IGNORECASE,
)
_BLOCK = re.compile(r"^[#>+=-]|(?<=^\d)[.)](?=\s)")
"""What would make the beginning of an item a heading, a quotation or another list."""


def escaped(text: str) -> str:
    """Keep Markdown from reading a name or a reason as markup."""
    return _MARKUP.sub(_backslashed, plain_line(text))


def _backslashed(found: re.Match[str]) -> str:
    return f"\\{found[0]}"


def _code(text: str) -> str:
    """A code span; more backticks than the text has in a row end it."""
    text = plain_line(text)
    fence = "`" * (max(map(len, re.findall("`+", text)), default=0) + 1)
    return f"{fence} {text} {fence}" if "`" in text else f"{fence}{text}{fence}"


def prose(text: str) -> str:
    """Text of several lines, none of which begins a heading or a list."""
    return "\n".join(_item(line) for line in text.strip().splitlines())
