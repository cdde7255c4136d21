"""One run as an HTML fragment: its outcome, its scores, its samples and the headline during training."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ganbench.contracts.score_name import is_called, short_name, short_names
from ganbench.plain import as_html
from ganbench.records.collapse import collapses_of
from ganbench.records.record import Column, Record, TrainingRecord
from ganbench.records.strips import PICTURE, is_strip_of, read_strip
from ganbench.report.inline import address_of, curves, picture_file

CURVE = 280, 72
"""Pixels."""
STYLE = """
.ganbench-run { display: flex; flex-wrap: wrap; gap: 1em; align-items: start; font-variant-numeric: tabular-nums; }
.ganbench-run figure { margin: 0; }
.ganbench-run figcaption { font-size: .85em; opacity: .8; max-width: 280px; }
.ganbench-run img { max-width: 280px; }
.ganbench-run th, .ganbench-run td { padding: .1em .6em; text-align: left; }
.ganbench-run td:nth-child(2) { text-align: right; }
.ganbench-run ul { flex-basis: 100%; margin: 0; max-width: 60em; }
"""


def card_of(record: Record, pictures: Iterable[Path]) -> str:
    """An HTML fragment for notebooks, without scripts; ``pictures`` are the run's, oldest first."""
    title = f"<b>{as_html(record.entry)}, seed {record.seed}</b>: {as_html(_told(record))}"
    address = next(filter(None, map(picture_file, reversed([*pictures]))), "")
    picture = f'<figure><img src="{address}" alt="samples"></figure>' if address else ""
    parts = picture + _headline(record) + _scores(record) + _notes(record)
    rules = as_html(f"{record.protocol}, digest {record.digest}")
    return f'<div><style>{STYLE}</style><p>{title} ({rules})</p><div class="ganbench-run">{parts}</div></div>'


def strip_address(record: Record, folder: Path) -> str:
    """The strip of a run as a data URI; "" if there is none from its weights."""
    path = folder / f"strip{PICTURE}"
    return address_of(read_strip(path).content, "webp") if is_strip_of(record, path) else ""


def headline_curves(records: Iterable[Record], size: tuple[int, int] = (120, 32)) -> str:
    """The headline during training, one line per run, as SVG; "" if no run was scored during training."""
    trained = [record for record in records if isinstance(record, TrainingRecord) and record.curve]
    if not trained:
        return ""
    lines = [[(look.kimg, look.score) for look in record.curve] for record in trained]
    about = _headline_column(trained[0])
    return curves(lines, f"{short_name(trained[0].headline)} by kimg", size, log=about is not None and about.log)


def _told(record: Record) -> str:
    wrong = [collapse.way for collapse in collapses_of(record)] if record.status == "ok" else []
    status = f"{record.status}, but collapsed" if wrong else record.status
    return ": ".join(filter(None, [status, "; ".join(wrong) or record.reason]))


def _headline_column(record: Record) -> Column | None:
    return next((column for name, column in record.columns.items() if is_called(name, record.headline)), None)


def _headline(record: Record) -> str:
    if not isinstance(record, TrainingRecord) or not (drawn := headline_curves([record], CURVE)):
        return ""
    first, last = record.curve[0], record.curve[-1]
    said = f"{short_name(record.headline)}: {first.score:.3g} at {first.kimg:g} kimg, {last.score:.3g} at {last.kimg:g}"
    return f"<figure>{drawn}<figcaption>{as_html(said)}, on the selection split</figcaption></figure>"


def _scores(record: Record) -> str:
    """The headline first."""
    names = sorted(short_names(record.scores).items(), key=lambda pair: not is_called(pair[0], record.headline))
    rows = (f"<tr><td>{as_html(name)}</td><td>{record.scores[full]:.4g}</td></tr>" for full, name in names)
    return f"<table><tbody>{''.join(rows)}</tbody></table>" if names else ""


def _notes(record: Record) -> str:
    notes = [*(f"no {name}: {why}" for name, why in record.absent.items()), *record.doubts]
    return f"<ul>{''.join(f'<li>{as_html(note)}</li>' for note in notes)}</ul>" if notes else ""
