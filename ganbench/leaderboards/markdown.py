"""A table as the README of its published folder: the same bytes whenever it is written."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

from ganbench.leaderboards.cells import cells_of, footnotes_of, headings_of, is_number, plural
from ganbench.leaderboards.rows import Kind
from ganbench.leaderboards.table import Table


def to_markdown(table: Table) -> str:
    """The README of a published leaderboard."""
    rule = table.protocol.description if table.protocol else ""
    parts = [f"# {table.name}", _prose(rule), _rules(table), "## How to read this", _reading(table)]
    ranking = _pipes(table, "entry") or "No runs yet."
    parts += ["## Ranking", ranking, _bullets(footnotes_of(table))]
    if table.block("yardstick"):
        parts += ["## Yardsticks", "Scored by the same code; nothing was trained.", _pipes(table, "yardstick")]
    if table.block("custom"):
        parts += ["## Custom runs", "Made with changed settings: never ranked.", _pipes(table, "custom")]
    if table.block("edited"):
        told = "Made with code that differs from the known code of its version (see the notes): never ranked."
        parts += ["## Edited runs", told, _pipes(table, "edited")]
    if table.failures:
        parts += ["## Failures", _bullets(table.failures)]
    if table.collapses:
        told = (
            "These runs finished and their scores count, but their samples are all alike (effective samples about 1, "
            "or hardly any spread), or no mode has even a tenth of its fair share of high-quality samples "
            "(modes_covered is 0)."
        )
        parts += ["## Collapsed", told, _bullets(table.collapses)]
    if table.left_out or table.notes:
        parts += ["## Notes", _bullets([*table.left_out, *table.notes])]
    parts += ["## Reproduce", *_reproduce(table), "## Machines", _bullets(_machines(table)) or "None yet."]
    command = f"`ganbench leaderboard {table.name} --write`"
    parts.append(f"*Written by {command} from `records/`. Do not edit: change the records.*")
    return "\n\n".join(part for part in parts if part) + "\n"


def _rules(table: Table) -> str:
    """What the protocol fixes."""
    protocol, rules = table.protocol, []
    if protocol is not None:
        training, judging = protocol.training, protocol.evaluation
        size = f" at {protocol.resolution} px" if protocol.resolution else ""
        space = f" in the feature space of `{judging.extractor}`" if judging.extractor else ""
        draws = f"{judging.draws} x " if judging.draws > 1 else ""
        rules = [
            f"data: `{protocol.dataset}`{size}",
            f"budget: {training.budget_kimg:g} thousand real images shown to D, {training.batch} at a time",
            f"judged at the end of the budget on {draws}{judging.samples} samples{space}",
        ]
    rules += [
        f"headline: `{table.headline}`",
        f"seeds: {', '.join(map(str, table.seeds))}",
        f"digest: `{table.digest}`",
    ]
    return "\n".join(f"* {rule}" for rule in rules)


def _reading(table: Table) -> str:
    floor = any(row.entry.yardstick == "real data" for row in table.block("yardstick"))
    perfect = ": real data score what a perfect generator would" if floor else ""
    return (
        "Every row had the same data and the same number of real images shown to its discriminator, and was "
        "scored at the end of the budget. Its rank is 1 + the number of rows that are significantly better by "
        f"{table.label(table.headline)}: rows that these seeds cannot tell apart share a rank, and ranks need "
        f"not follow the order of the means. Yardsticks give the numbers a scale{perfect}."
    )


def _reproduce(table: Table) -> list[str]:
    entries = table.block("entry")
    if not entries:
        return [f"```\nganbench run --arch ARCH --loss LOSS --protocol {table.name}\n```"]
    first = entries[0]
    tricks = "".join(f" --trick {trick}" for trick in table.tricks(first))
    combination = f"--arch {table.part(first, 'arch')} --loss {table.part(first, 'loss')}{tricks}"
    return [
        "One row (every seed; the same machine and versions give the same bits):",
        f"```\nganbench run {combination} --protocol {table.name}\n```",
    ]


def _machines(table: Table) -> list[str]:
    """Hardware and software behind the records, with how many of them."""
    found: Counter[str] = Counter()
    for row in table.rows:
        for record in row.records:
            where = record.environment
            cuda = f", CUDA {where.cuda}, cuDNN {where.cudnn}" if where.cuda else ""
            versions = f"Python {where.python}, torch {where.torch}{cuda}, ganbench {where.ganbench}"
            found[f"{where.machine}; {where.system}; {versions}"] += 1
    return [f"{machine} ({plural(range(n), 'record')})" for machine, n in sorted(found.items())]


def _pipes(table: Table, kind: Kind) -> str:
    """One block as a Markdown table."""
    headings = headings_of(table, kind)
    ruler = ["---:" if is_number(key) else "---" for key in headings]
    rows = [[cells_of(table, row)[key] for key in headings] for row in table.block(kind)]
    lines = [[*map(_escape, headings.values())], ruler, *([*map(_escape, row)] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) if rows else ""


def _bullets(sentences: Iterable[str]) -> str:
    return "\n".join(f"* {_escape(sentence)}" for sentence in sentences)


def _escape(text: str) -> str:
    """Keep Markdown from reading a name or a reason as markup; ``d_loss`` is none."""
    return re.sub(r"([|<*`]|(?<![^\W_])_|_(?![^\W_]))", r"\\\1", " ".join(text.split()))


def _prose(text: str) -> str:
    return "\n".join(line.strip() for line in text.strip().splitlines())
