"""A table as the README of its published folder: the same bytes whenever it is written."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from ganbench.contracts.protocol import LossRules
from ganbench.errors import plural
from ganbench.leaderboards.cells import cells_of, headings_of, is_number
from ganbench.leaderboards.entries import Entry, RunEntry, YardstickEntry
from ganbench.leaderboards.footnotes import footnotes_of
from ganbench.leaderboards.rows import Part
from ganbench.leaderboards.strips import Samples
from ganbench.leaderboards.table import Table
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
SAMPLES = (
    "Samples of the lowest seed of each row, from the generator that is judged, at the end of the budget. Nobody chose "
    "them: latents come from the same fixed seed in every row."
)
"""What a reader should know about the pictures of samples."""


def to_markdown(table: Table, samples: Mapping[Entry, Samples] | None = None) -> str:
    """The README of a published leaderboard, with the ``samples`` that its folder has of rows."""
    rule = table.protocol.description if table.protocol else ""
    parts = [f"# {_escape(table.name)}", _prose(rule), _rules(table), "## How to read this", _reading(table)]
    ranking = _pipes(table, "ranked") or ("No complete rows yet." if table.rows else "No runs yet.")
    parts += ["## Ranking", ranking]
    for part, section in SECTIONS.items():
        if rows := _pipes(table, part):
            parts += [f"## {section.title}", section.told, rows]
    if samples:
        parts += ["## Samples", SAMPLES, _samples(table, samples)]
    parts += ["## Columns", _bullets(footnotes_of(table))]
    if table.failures or table.collapses:
        parts += ["## Failures", _bullets([*table.failures, *table.collapses])]
    if table.left_out or table.notes:
        parts += ["## Notes", _bullets([*table.left_out, *table.notes])]
    parts += ["## Reproduce", *_reproduce(table), "## Machines", _bullets(_machines(table)) or "None yet."]
    command = _code(shlex.join(["ganbench", "leaderboard", table.name, "--write"]))
    parts.append(f"*Written by {command} from `records/`. Do not edit: change the records.*")
    return "\n\n".join(part for part in parts if part) + "\n"


def _rules(table: Table) -> str:
    """What the protocol fixes."""
    protocol, rules = table.protocol, []
    if protocol is not None:
        training, judging = protocol.training, protocol.evaluation
        size = f" at {protocol.resolution} px" if protocol.resolution else ""
        judge = protocol.extractor_ref
        space = f" in the feature space of {_code(str(judge.without_folders()))}" if judge else ""
        draws = f"{judging.draws} x " if judging.draws > 1 else ""
        rules = [
            f"data: {_code(str(protocol.dataset_ref.without_folders()))}{size}",
            f"budget: {training.budget_kimg:g} thousand real samples shown to D, {training.batch} at a time",
            f"judged at the end of the budget on {draws}{judging.samples} samples{space}",
            *(f"{_escape(loss)}: {_code(_asked(asked))}" for loss, asked in protocol.losses.items()),
        ]
    rules += [
        f"headline: {_code(table.headline)}",
        f"seeds: {', '.join(map(str, table.seeds))}",
        f"digest: {_code(table.digest)}",
    ]
    return "\n".join(f"* {rule}" for rule in rules)


def _asked(asked: LossRules) -> str:
    """What a protocol asks of one loss: ``lr = 0.0001, weight = 0.1``."""
    return ", ".join(f"{name} = {value}" for name, value in (asked.recipe | asked.settings).items())


def _reading(table: Table) -> str:
    drawn = " Yardsticks, in italics, were not trained; the same code scores them."
    yardsticks = drawn if table.block("yardstick") else ""
    return (
        "Every row had the same data and the same number of real samples shown to its discriminator, and was "
        f"scored at the end of the budget. Its rank by {_escape(table.label(table.headline))} is a range: it could be "
        "any of these, as far as the seeds tell. A wide range belongs to a row whose seeds differ much."
        + yardsticks
        + _floor(table)
    )


def _floor(table: Table) -> str:
    """What the score of real data is good for."""
    rows = [record.self_checks.fake for row in table.block("entry") for record in row.well if record.self_checks]
    real = [row for row in table.rows if row.entry == YardstickEntry("real data")]
    few = min((record.self_checks.fake for row in real for record in row.records if record.self_checks), default=0)
    if not real:
        return ""
    if rows and few < max(rows):
        return (
            f" Real data score a little worse than a perfect generator would: there are only {few} on either side, "
            f"while rows are scored on {max(rows)}."
        )
    return " Real data score what a perfect generator would."


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
    """A command to be copied; the shell takes every word as it is."""
    return f"```\nganbench run {shlex.join(map(plain_line, words))}\n```"


def _machines(table: Table) -> list[str]:
    """Hardware and software behind the records, with how many of them."""
    found: Counter[str] = Counter()
    for row in table.rows:
        for record in row.records:
            where = record.environment
            cuda = f", CUDA {where.cuda}, cuDNN {where.cudnn}" if where.cuda else ""
            versions = f"Python {where.python}, torch {where.torch}{cuda}, ganbench {where.ganbench}"
            found[f"{where.machine}; {where.system}; {versions}"] += 1
    return [f"{machine} ({plural(n, 'record')})" for machine, n in sorted(found.items())]


def _pipes(table: Table, part: Part) -> str:
    """One part as a Markdown table; yardsticks in italics."""
    headings = headings_of(table, part)
    ruler = ["---:" if is_number(table, key) else "---" for key in headings]
    lines = [[*map(_escape, headings.values())], ruler]
    rows = table.rows_of(part)
    for row in rows:
        cells = cells_of(table, row)
        texts = [_escape(cells.get(key, "")) for key in headings]
        emphasised = [f"*{text}*" if text else "" for text in texts]
        lines.append(emphasised if isinstance(row.entry, YardstickEntry) else texts)
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) if rows else ""


def _samples(table: Table, samples: Mapping[Entry, Samples]) -> str:
    """A table of the pictures, and of links to the sounds if there are any."""
    heard = any(files.sound for files in samples.values())
    lines = [["row", "samples", "sound"], ["---"] * 3]
    for row in table.rows:
        if files := samples.get(row.entry):
            title = _bracketed(table.title(row))
            picture = f"![samples of {title}]({files.picture})" if files.picture else ""
            lines.append([title, picture, f"[listen]({files.sound})" if files.sound else ""])
    return "\n".join(f"| {' | '.join(line[: 2 + heard])} |" for line in lines)


def _bracketed(text: str) -> str:
    """A name that may stand in the square brackets of a link."""
    return re.sub(r"(?<!\\)[][]", _escaped, _escape(text))


def _bullets(sentences: Iterable[str]) -> str:
    return "\n".join(f"* {_item(sentence)}" for sentence in sentences)


def _item(text: str) -> str:
    return _BLOCK.sub(_escaped, _escape(text))


_MARKUP = re.compile(
    r"[\\|<*`$]|(?<![^\W_])_|_(?![^\W_])"  # emphasis, code, HTML, cells; `d_loss` is none of them
    r"|\](?=[(\[:])|:(?=//)|(?<=www)\."  # images and links, also those without brackets
    r"|~(?=~)|(?<=~)~|&(?=#?\w+;)",  # crossed out, entities
    re.IGNORECASE,
)
_BLOCK = re.compile(r"^[#>+=-]|(?<=^\d)[.)](?=\s)")
"""What would make the beginning of an item a heading, a quotation or another list."""


def _escape(text: str) -> str:
    """Keep Markdown from reading a name or a reason as markup."""
    return _MARKUP.sub(_escaped, plain_line(text))


def _escaped(found: re.Match[str]) -> str:
    return f"\\{found[0]}"


def _code(text: str) -> str:
    """A code span; more backticks than the text has in a row end it."""
    text = plain_line(text)
    fence = "`" * (max(map(len, re.findall("`+", text)), default=0) + 1)
    return f"{fence} {text} {fence}" if "`" in text else f"{fence}{text}{fence}"


def _prose(text: str) -> str:
    return "\n".join(_item(line) for line in text.strip().splitlines())
