"""A leaderboard written down: for the terminal, as Markdown, CSV, JSON, or a data frame.

The same table gives the same bytes on whatever day it is written.
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from ganbench.leaderboards.rows import COSTS, KINDS, Entry, Kind, Row, machine_of
from ganbench.leaderboards.statistics import LOW_N, Summary
from ganbench.leaderboards.table import HEADINGS, KIMG_TO_TARGET, SECONDS_TO_TARGET, Table, short_name

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table as RichTable

DASH = "–"


# -- numbers and cells ---------------------------------------------------------------------------------------


NOTHING = 1e-12
"""What is smaller came from rounding: of the distance of a set from itself, for example."""


def number(value: float) -> str:
    """About three significant digits: ``0.712``, ``9.60``, ``54.3``, ``1043``; whole numbers as they are."""
    size = abs(value)
    if size < NOTHING:
        return "0"
    if size < 1e-3 or size >= 1e7:
        return f"{value:.1e}"
    whole = value == round(value)
    return _fixed(value, 0 if whole or size >= 100 else 1 if size >= 10 else 2 if size >= 1 else 3)


def interval(summary: Summary) -> str:
    """``0.712 [0.64, 0.78]``: with the digits that the width of the interval gives a meaning to."""
    if summary.low is None or summary.high is None:
        return number(summary.mean)
    half = max(summary.mean - summary.low, summary.high - summary.mean)
    if half < NOTHING:
        return f"{number(summary.mean)} [{number(summary.low)}, {number(summary.high)}]"
    if half < 1e-5 or half >= 1e7:
        return f"{summary.mean:.3g} [{summary.low:.3g}, {summary.high:.3g}]"
    digits, ends = 1 - math.floor(math.log10(half)), -math.floor(math.log10(half / 2))
    low, high = _fixed(summary.low, max(0, ends)), _fixed(summary.high, max(0, ends))
    return f"{_fixed(summary.mean, max(0, digits))} [{low}, {high}]"


def count(value: float | None) -> str:
    """``99k``, ``3.4k``, ``1.2M``."""
    if value is None:
        return DASH
    for unit, name in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= unit:
            return f"{value / unit:.{1 if value < 10 * unit else 0}f}{name}"
    return f"{value:.0f}"


def _fixed(value: float, digits: int) -> str:
    text = f"{value:.{digits}f}"
    return text.lstrip("-") if float(text) == 0 else text


def headings_of(table: Table, kind: Kind) -> dict[str, str]:
    """Column -> what stands above it in one block of the table."""
    scores = {f"score {name}": _heading(table, name) for name in table.shown}
    if kind == "yardstick":
        return {"arch": "yardstick", **scores, "ok": "draws"}
    device = ["device"] if len(table.machines) > 1 else []
    rank = ["rank"] if kind == "entry" else []
    names = [*rank, "arch", "loss", *scores, *table.extras, "images/s", "params G/D", "D norm", "ok", *device]
    return {name: scores.get(name, name) for name in names}


def is_number(key: str) -> bool:
    numbers = ("rank", "images/s", "params G/D", KIMG_TO_TARGET, SECONDS_TO_TARGET)
    return key.startswith(("score ", "best ")) or key in numbers


def _heading(table: Table, column: str) -> str:
    label = table.label(column)
    short = HEADINGS.get(label, label)
    return label if short in table.columns else short


def cells_of(table: Table, row: Row) -> dict[str, str]:
    """A text for every heading."""
    scores = {f"score {name}": _score(table, row, name) for name in table.shown}
    if row.kind == "yardstick":
        return {"arch": row.entry.yardstick, **scores, "ok": str(row.ok)}
    low_n = "†" if 0 < row.ok < LOW_N else ""
    more = [*(f"+{trick}" for trick in table.tricks(row)), *(f"{name}={value}" for name, value in row.entry.changes)]
    return {
        "rank": row.kind if row.kind in ("custom", "edited") else str(row.rank or DASH),
        "arch": table.part(row, "arch"),
        "loss": " ".join([table.part(row, "loss"), *more]),
        **scores,
        table.best_label: _mean(row, row.best.score) if row.best else DASH,
        KIMG_TO_TARGET: _to_target(row, row.reached.kimg) if row.reached else DASH,
        SECONDS_TO_TARGET: _to_target(row, row.reached.seconds) if row.reached else DASH,
        "images/s": f"{row.costs['images/s']:.0f}" if "images/s" in row.costs else DASH,
        "params G/D": "/".join(count(row.costs.get(name)) for name in ("params_g", "params_d")),
        "D norm": row.d_norm or DASH,
        "ok": row.verdict + low_n,
        "device": " + ".join(row.machines) or DASH,
    }


def _score(table: Table, row: Row, name: str) -> str:
    """A mean, with its interval in headline and chosen columns; in parentheses where runs failed."""
    if name not in row.scores:
        return DASH
    detailed = table.chosen or name == table.headline
    return interval(row.scores[name]) if detailed and not row.failures else _mean(row, row.scores[name])


def _mean(row: Row, summary: Summary) -> str:
    return f"({number(summary.mean)})" if row.failures else number(summary.mean)


def _to_target(row: Row, median: float | None) -> str:
    """``32``, ``32 (4/5)`` where not every run got there, a dash where most did not."""
    reached = row.reached
    if reached is None or median is None or not reached.hits:
        return DASH
    some = f" ({reached.hits}/{reached.runs})" if reached.hits < reached.runs else ""
    return (number(median) if math.isfinite(median) else DASH) + some


def _how_ranked(table: Table) -> str:
    better = {"max": "higher is better", "min": "lower is better", "info": "no direction"}[table.goal]
    scale = " on the log scale" if table.log else ""
    return (
        f"rank: 1 + the number of entries with a significantly better {table.label(table.headline)} ({better}; "
        f"Welch's t-test over seeds{scale}, Holm, 5 %); equal ranks are ties"
    )


def footnotes_of(table: Table, dropped: Sequence[str] = ()) -> list[str]:
    """What the cells leave unsaid, failures and notes apart; nothing about extra columns that were dropped."""
    notes = [_how_ranked(table), "in brackets: Student-t 95 % interval of the mean over seeds"]
    spaces: dict[str, list[str]] = defaultdict(list)
    for name in table.shown:
        if "@" in name:
            spaces[name.partition("@")[2]].append(short_name(name))
    notes += [f"{', '.join(names)}: in the feature space of {space}" for space, names in spaces.items()]
    notes += _about_extras(table, [name for name in table.extras if name not in dropped])
    if len(table.machines) == 1:
        notes.append(f"images/s: real images shown to D per second of training, on {table.machines[0]}")
    elif table.machines:
        notes.append("images/s: real images shown to D per second of training; never compare it across devices")
    if any(row.failures for row in table.rows):
        notes.append("in parentheses: mean of the surviving runs; an entry with failures ranks below all complete ones")
    if any(row.missing for row in table.rows):
        notes.append("missing: seeds that were not run to their end; without them an entry has no rank")
    if any(0 < row.ok < LOW_N for row in table.rows if row.kind != "yardstick"):
        notes.append(f"†: fewer than {LOW_N} runs: intervals are wide, ties likely; a single run has no rank")
    return notes


def _about_extras(table: Table, extras: Sequence[str]) -> list[str]:
    """What the columns say that only some tables have."""
    notes = []
    if table.best_label in extras:
        all_data = table.protocol is not None and table.protocol.evaluation.reference == "all"
        where = "all data, the selection split included" if all_data else "the reporting split"
        notes.append(
            f"{table.best_label}: of the best generator on the way, chosen on the selection split with latents of its "
            f"own and scored on {where}; it gives no ranks"
        )
    if {KIMG_TO_TARGET, SECONDS_TO_TARGET} & {*extras}:
        reached = f"{table.label(table.headline)} {'>=' if table.goal == 'max' else '<='} {table.target or 0:g}"
        notes.append(
            f"to target: until the first look (on the selection split) with {reached}, median over seeds; (4/5): the "
            f"fifth never gets there, and counts as infinite. {SECONDS_TO_TARGET} is a timing: never compare it across "
            "machines"
        )
    return notes


# -- terminal ------------------------------------------------------------------------------------------------


def to_rich(table: Table, width: int | None = None) -> RichTable:
    """For the terminal: entries, custom and edited runs and yardsticks in blocks, and footnotes as the caption.

    Where ``width`` characters are too few for every column, the least telling ones go, and a footnote says so.
    """
    from rich import box
    from rich.table import Table as RichTable
    from rich.text import Text

    cells = {row.key: cells_of(table, row) | {"here": "here" if row.here else ""} for row in table.rows}
    mixed = {row.here for row in table.rows} == {True, False}
    headings = headings_of(table, "entry") | ({"here": ""} if mixed else {})
    widths = {key: _narrowest(table, key, text, cells.values()) for key, text in headings.items()}
    dropped = _too_many(widths, width)
    notes = [*footnotes_of(table, dropped), *table.failures, *table.collapses, *table.left_out, *table.notes]
    if dropped:
        gone = [text for key, text in headings.items() if key in dropped]
        notes.append(f"not shown for want of width: {', '.join(gone)}")
    title = Text(f"{table.name}, {_plural(table.seeds, 'seed')}, digest {table.digest}")
    caption = Text("\n".join(notes))
    shown = RichTable(title=title, caption=caption, title_justify="left", caption_justify="left")
    shown.box, shown.padding = box.SIMPLE_HEAD, (0, 1, 0, 0)
    keys = [key for key in headings if key not in dropped]
    for key in keys:
        side: Literal["left", "right"] = "right" if is_number(key) else "left"
        fits = all(len(texts.get(key, "")) <= widths[key] for texts in cells.values())
        shown.add_column(Text(headings[key]), justify=side, min_width=widths[key], no_wrap=fits, overflow="fold")
    ends = {block[-1].key for block in map(table.block, KINDS) if block}
    for row in table.rows:
        style = "dim" if row.failures else "italic" if row.kind == "yardstick" else ""
        texts = [Text(cells[row.key].get(key, "")) for key in keys]
        shown.add_row(*texts, style=style, end_section=row.key in ends)
    return shown


def _narrowest(table: Table, key: str, heading: str, cells: Iterable[Mapping[str, str]]) -> int:
    """Characters that a column needs; long names, changes and reasons may wrap between words."""
    texts = [heading, *(cell.get(key, "") for cell in cells)]
    if key == "loss":
        changes = [word for text in texts for word in text.split()]
        texts = [heading, *(table.part(row, "loss") for row in table.rows), *changes]
    if key == "ok":
        texts = [word for text in texts for word in text.split()]
    longest = max(map(len, texts), default=0)
    return min(longest, 24) if key in ("arch", "loss", "device") else longest


def _too_many(widths: Mapping[str, int], width: int | None) -> list[str]:
    """Columns to drop so that the others fit; arch, loss, headline and ok always stay."""
    scores = [key for key in widths if key.startswith("score ")]
    dropped: list[str] = []
    extras = [key for key in (SECONDS_TO_TARGET, KIMG_TO_TARGET) if key in widths]
    extras += [key for key in widths if key.startswith("best ")]
    for key in ["D norm", "params G/D", *extras, *scores[:0:-1], "images/s", "device"]:
        kept = [value for name, value in widths.items() if name not in dropped]
        if width is None or sum(kept) + 2 * len(kept) + 1 <= width:
            break
        dropped.append(key)
    return dropped


# -- files ---------------------------------------------------------------------------------------------------


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
        told = "Made with code other than that known under its version (see the notes): never ranked."
        parts += ["## Edited runs", told, _pipes(table, "edited")]
    if table.failures:
        parts += ["## Failures", _bullets(table.failures)]
    if table.collapses:
        told = (
            "These runs ended well, and their scores count, but their samples are all alike (effective samples about "
            "1, or hardly any spread), or no mode holds a tenth of its fair share in samples of high quality "
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
    perfect = ": real data are what a perfect generator would score" if floor else ""
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
            found[f"{machine_of(record)}; {where.system}; {versions}"] += 1
    return [f"{machine} ({_plural(range(n), 'record')})" for machine, n in sorted(found.items())]


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


def _plural(things: Sequence[Any], noun: str) -> str:
    return f"{len(things)} {noun}{'s' * (len(things) != 1)}"


def _flat(table: Table, row: Row) -> dict[str, Any]:
    """A row as one level of plain values; every row of a table has the same names in the same order."""
    entry, statuses = row.entry, Counter(record.status for record in row.failures)
    flat: dict[str, Any] = {
        "kind": row.kind,
        "rank": row.rank,
        "arch": entry.arch,
        "arch package": _provenance(row, "arch"),
        "loss": entry.loss,
        "loss package": _provenance(row, "loss"),
        "tricks": " ".join(name for name, _ in entry.tricks),
        "yardstick": entry.yardstick,
        "changes": " ".join(f"{name}={value}" for name, value in entry.changes),
        "d_norm": row.d_norm,
        "ok": row.ok,
        "seeds": row.seeds,
        "missing": len(row.missing),
        "failed": " ".join(f"{status}:{number}" for status, number in sorted(statuses.items())),
    }
    for name in table.columns:
        flat |= {f"{table.label(name)} {part}": value for part, value in _parts(row, name).items()}
    if table.best_label in table.extras:
        best = {f"{table.best_label} {part}": value for part, value in _summary(row.best and row.best.score).items()}
        flat |= {**best, "best kimg": row.best and row.best.kimg}
    if table.target is not None:
        flat |= _target_parts(row)
    if any(other.collapsed for other in table.rows):
        flat["collapsed"] = len(row.collapsed)
    flat |= {name: _whole(row.costs.get(name)) if name in _WHOLE else row.costs.get(name) for name in COSTS}
    spaces = {name.partition("@")[2] for name in table.columns if "@" in name}
    return flat | {"extractor": " ".join(sorted(spaces)), "device": " + ".join(row.machines)}


_WHOLE = ("params_g", "params_d")
_COUNTS = ("rank", "ok", "seeds", "missing", "reached target", "collapsed", *_WHOLE)


def _parts(row: Row, name: str) -> dict[str, float | int | None]:
    """``eval_sd`` is the noise of one evaluation, ``sd`` that of one seed (its evaluations averaged)."""
    return _summary(row.scores.get(name)) | {"eval_sd": row.noise.get(name)}


def _summary(summary: Summary | None) -> dict[str, float | int | None]:
    parts: dict[str, Any] = {part: getattr(summary, part, None) for part in ("mean", "sd", "low", "high")}
    return parts | {"n": summary.n if summary else 0}


def _target_parts(row: Row) -> dict[str, float | int | None]:
    """Nothing where most seeds never got there."""
    reached = row.reached
    kimg, seconds = (reached.kimg, reached.seconds) if reached else (None, None)
    return {
        KIMG_TO_TARGET: kimg if kimg is not None and math.isfinite(kimg) else None,
        SECONDS_TO_TARGET: seconds if seconds is not None and math.isfinite(seconds) else None,
        "reached target": reached and reached.hits,
    }


def _provenance(row: Row, kind: str) -> str:
    """``ganbench 0.1.0``"""
    parts = (getattr(record, kind) for record in row.records)
    return ", ".join(sorted({f"{part.package} {part.version}" for part in parts if part}))


def _whole(value: float | None) -> int | None:
    return None if value is None else round(value)


def to_frame(table: Table) -> pd.DataFrame:
    """One row per entry with every column: ``fid mean``, ``fid sd``, ``fid low``, ``images/s`` ..."""
    import pandas as pd

    rows = [_flat(table, row) for row in table.rows]
    frame = pd.DataFrame(rows, columns=_names(table))
    whole = [name for name in frame if name in _COUNTS or name.endswith(" n")]
    return frame.astype(dict.fromkeys(whole, "Int64"))


def to_csv(table: Table) -> str:
    """``to_frame``, floats to six digits (the last bits of a quantile differ between machines)."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_names(table))
    for row in table.rows:
        values = _flat(table, row).values()
        writer.writerow([f"{value:.6g}" if isinstance(value, float) else value for value in values])
    return text.getvalue()


def _names(table: Table) -> list[str]:
    return list(_flat(table, Row(Entry("", "", "", "", "", ()))))


def to_json(table: Table) -> str:
    """Everything, each seed's raw values and evaluations included."""
    whole = {
        "protocol": table.name,
        "digest": table.digest,
        "headline": table.headline,
        "seeds": table.seeds,
        "columns": {name: msgspec.to_builtins(column) for name, column in table.columns.items()},
        "rows": [_tree(table, row) for row in table.rows],
        "left_out": table.left_out,
        "notes": table.notes,
    }
    compact = json.dumps(whole, ensure_ascii=False, allow_nan=False)  # with an indent, json is three times as slow
    return msgspec.json.format(compact, indent=1) + "\n"


def _tree(table: Table, row: Row) -> dict[str, Any]:
    scores = {
        name: _parts(row, name)
        | {"values": {str(record.seed): record.scores[name] for record in row.well if name in record.scores}}
        | {"draws": {str(r.seed): [draw[name] for draw in r.draws if name in draw] for r in row.well}}
        for name in table.columns
        if name in row.scores
    }
    first = row.records[0] if row.records else None
    return {
        "kind": row.kind,
        "rank": row.rank,
        "name": table.title(row),
        "arch": msgspec.to_builtins(first.arch) if first else None,
        "loss": msgspec.to_builtins(first.loss) if first else None,
        "tricks": msgspec.to_builtins(first.tricks) if first else [],
        "yardstick": row.entry.yardstick,
        "changes": dict(row.entry.changes),
        "ok": row.ok,
        "seeds": row.seeds,
        "missing": row.missing,
        "failures": [{"seed": r.seed, "status": r.status, "reason": r.reason} for r in row.failures],
        "collapsed": [{"seed": r.seed, "reason": r.collapse} for r in row.collapsed],
        "edited": [edit._asdict() for edit in row.edits],
        "scores": scores,
        "best": _best(table, row),
        "target": {"value": table.target, **_target_parts(row)} if table.target is not None else None,
        "costs": row.costs,
        "devices": row.machines,
        "here": row.here,
    }


def _best(table: Table, row: Row) -> dict[str, Any] | None:
    """The headline of the best generators on the way, each seed's raw value included."""
    if row.best is None:
        return None
    values = {
        str(r.seed): r.best.scores[table.headline] for r in row.well if r.best and table.headline in r.best.scores
    }
    return {**_summary(row.best.score), "kimg": row.best.kimg, "values": values}
