"""A table as data: a pandas frame, CSV or JSON, byte for byte the same whenever it is written."""

from __future__ import annotations

import csv
import io
import json
import math
from collections import Counter
from typing import TYPE_CHECKING, Any

import msgspec

from ganbench.contracts.kind import Kind
from ganbench.contracts.score_name import ScoreName
from ganbench.leaderboards.entries import ExternalEntry, RunEntry, YardstickEntry
from ganbench.leaderboards.rows import COSTS, Row
from ganbench.leaderboards.statistics import Summary
from ganbench.leaderboards.table import KIMG_TO_TARGET, SECONDS_TO_TARGET, Table
from ganbench.plain import plain, plain_line
from ganbench.records.record import ExternalRecord, runs_in

if TYPE_CHECKING:
    import pandas as pd


def _flat(table: Table, row: Row) -> dict[str, Any]:
    """A row as a flat dict of plain values; every row of a table has the same keys in the same order."""
    statuses = Counter(record.status for record in row.failures)
    flat: dict[str, Any] = {
        "kind": row.kind,
        "part": row.part,
        "rank": row.rank and row.rank.best,
        "rank worst": row.rank and row.rank.worst,
        **_entry_columns(row),
        "d_norm": row.d_norm,
        "ok": row.ok,
        "seeds": row.seeds,
        "missing": len(row.missing),
        "failed": " ".join(f"{status}:{number}" for status, number in sorted(statuses.items())),
    }
    for name in table.columns:
        flat |= {f"{table.label(name)} {part}": value for part, value in _parts(row, name).items()}
    if table.best_label in table.extras:
        best = {
            f"{table.best_label} {part}": value for part, value in _summary(row, row.best and row.best.score).items()
        }
        flat |= {**best, "best kimg": row.best and row.best.kimg}
    if table.target is not None:
        flat |= _target_parts(row)
    flat["collapsed"] = len(row.collapses)
    flat["not better than"] = row.not_beaten
    flat |= {name: _whole(row.costs.get(name)) if name in _WHOLE else row.costs.get(name) for name in (*COSTS, *TIMED)}
    flat["timed on"] = row.timing.environment.machine if row.timing else ""
    spaces = {ScoreName.of(name).extractor for name in table.columns} - {""}
    return flat | {"extractor": " ".join(sorted(spaces)), "device": " + ".join(row.machines)}


TIMED = ("generated/s", "step_ms", "peak_share")
"""Columns that only a timing fills."""
_FORMULA = ("=", "+", "-", "@")
"""Characters that start a formula in a spreadsheet; an apostrophe in front of them marks the cell as text."""
_WHOLE = ("params_g", "params_d")
_COUNTS = ("rank", "rank worst", "ok", "seeds", "missing", "reached target", "collapsed", *_WHOLE)


def _entry_columns(row: Row) -> dict[str, str]:
    """Columns that identify a row; those that do not apply to it are empty."""
    names = ("arch", "arch package", "loss", "loss package", "tricks", "yardstick", "external", "changes")
    entry, parts = row.entry, dict.fromkeys(names, "")
    if isinstance(entry, YardstickEntry):
        return parts | {"yardstick": entry.name}
    if isinstance(entry, ExternalEntry):
        return parts | {"external": entry.model}
    return parts | {
        "arch": entry.arch.name,
        "arch package": _provenance(row, "arch"),
        "loss": entry.loss.name,
        "loss package": _provenance(row, "loss"),
        "tricks": " ".join(trick.name for trick in entry.tricks),
        "changes": " ".join(f"{name}={value}" for name, value in entry.changes),
    }


def _parts(row: Row, name: str) -> dict[str, float | int | None]:
    """``eval_sd`` is the noise of one evaluation, ``sd`` that of one seed (its evaluations averaged)."""
    return _summary(row, row.scores.get(name)) | {"eval_sd": row.noise.get(name)}


def _summary(row: Row, summary: Summary | None) -> dict[str, float | int | None]:
    """The columns of a score, by their suffix.

    ``centre``, ``low`` and ``high`` are on the scale of the test (the geometric mean where logarithms are compared),
    and None where a seed failed or collapsed; ``sd`` is that of the untransformed values.
    """
    parts: dict[str, Any] = {part: getattr(summary, part, None) for part in ("centre", "sd", "low", "high", "median")}
    parts |= dict.fromkeys(("centre", "low", "high")) if row.trouble else {}
    parts |= {"min": min(summary.values), "max": max(summary.values)} if summary else {"min": None, "max": None}
    return parts | {"n": summary.n if summary else 0}


def _target_parts(row: Row) -> dict[str, float | int | None]:
    """The columns on the target; times are None if most seeds never reached it."""
    reached = row.reached
    kimg, seconds = (reached.kimg, reached.seconds) if reached else (None, None)
    return {
        KIMG_TO_TARGET: kimg if kimg is not None and math.isfinite(kimg) else None,
        SECONDS_TO_TARGET: seconds if seconds is not None and math.isfinite(seconds) else None,
        "reached target": reached and reached.hits,
    }


def _provenance(row: Row, kind: Kind) -> str:
    """The package and version that a component comes from: ``ganbench 0.1.0``."""
    parts = (part for record in row.records for of, part in record.players if of == kind)
    return ", ".join(sorted({f"{part.package} {part.version}" for part in parts}))


def _whole(value: float | None) -> int | None:
    return None if value is None else round(value)


def to_frame(table: Table) -> pd.DataFrame:
    """One row per entry with every column: ``fid centre``, ``fid sd``, ``fid low``, ``samples/s`` ..."""
    import pandas as pd

    rows = [_flat(table, row) for row in table.rows]
    frame = pd.DataFrame(rows, columns=_names(table))
    whole = [name for name in frame if name in _COUNTS or name.endswith(" n")]
    return frame.astype(dict.fromkeys(whole, "Int64"))


def to_csv(table: Table) -> str:
    """``to_frame`` as CSV, with floats to six digits and no text that a spreadsheet would read as a formula.

    The last bits of a quantile differ between machines.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(map(_cell, _names(table)))
    for row in table.rows:
        writer.writerow(map(_cell, _flat(table, row).values()))
    return text.getvalue()


def to_flat_json(table: Table) -> str:
    """The rows of ``to_csv`` as JSON objects, with the table's protocol and seeds; empty columns are left out."""
    rows = [{name: _rounded(value) for name, value in _flat(table, row).items()} for row in table.rows]
    whole = {
        "protocol": table.name,
        "digest": table.digest,
        "headline": table.label(table.headline),
        "seeds": table.seeds,
        "rows": [{name: value for name, value in row.items() if value not in (None, "")} for row in rows],
    }
    compact = json.dumps(whole, ensure_ascii=False, allow_nan=False)
    return plain(msgspec.json.format(compact, indent=1)) + "\n"


def _rounded(value: Any) -> Any:
    """Numbers to six digits; whole ones without a decimal point, whether they come from a record or a file."""
    if not isinstance(value, float | int):
        return value
    short = float(f"{value:.6g}")
    return int(short) if short.is_integer() else short


def _cell(value: Any) -> Any:
    if isinstance(value, float):
        return f"{value:.6g}"
    if not isinstance(value, str):
        return value
    text = plain_line(value)
    return f"'{text}" if text.startswith(_FORMULA) else text


def _names(table: Table) -> list[str]:
    return list(_flat(table, Row(YardstickEntry(""))))


def to_json(table: Table) -> str:
    """The whole table as JSON, including the raw values and evaluations of each seed."""
    whole = {
        "protocol": table.name,
        "digest": table.digest,
        "headline": table.headline,
        "seeds": table.seeds,
        "log_scale": sorted(table.logs),
        "columns": {name: msgspec.to_builtins(column) for name, column in table.columns.items()},
        "rows": [_tree(table, row) for row in table.rows],
        "left_out": table.left_out,
        "notes": table.notes,
    }
    compact = json.dumps(whole, ensure_ascii=False, allow_nan=False)  # with an indent, json is three times as slow
    return plain(msgspec.json.format(compact, indent=1)) + "\n"


def _tree(table: Table, row: Row) -> dict[str, Any]:
    scores = {
        name: _parts(row, name)
        | {"values": {str(record.seed): record.scores[name] for record in row.well if name in record.scores}}
        | {"draws": {str(r.seed): [draw[name] for draw in r.draws if name in draw] for r in row.well}}
        for name in table.columns
        if name in row.scores
    }
    first = next(iter(runs_in(row.records)), None)
    return {
        "kind": row.kind,
        "part": row.part,
        "rank": row.rank and row.rank._asdict(),
        "name": table.title(row),
        "arch": msgspec.to_builtins(first.arch) if first else None,
        "loss": msgspec.to_builtins(first.loss) if first else None,
        "tricks": msgspec.to_builtins(first.tricks) if first else [],
        "yardstick": row.entry.name if isinstance(row.entry, YardstickEntry) else "",
        "external": _external(row),
        "changes": dict(row.entry.changes) if isinstance(row.entry, RunEntry) else {},
        "ok": row.ok,
        "seeds": row.seeds,
        "missing": row.missing,
        "failures": [{"seed": r.seed, "status": r.status, "reason": r.reason} for r in row.failures],
        "absent": [{"seed": r.seed, **r.absent} for r in row.records if r.absent],
        "collapsed": [
            {"seed": seed, "reason": "; ".join(way.told for way in ways)} for seed, ways in row.collapses.items()
        ],
        "not_better_than": row.not_beaten,
        "edited": [edit._asdict() for edit in row.edits],
        "scores": scores,
        "best": _best(table, row),
        "target": {"value": table.target, **_target_parts(row)} if table.target is not None else None,
        "costs": row.costs,
        "timed_on": row.timing.environment.machine if row.timing else None,
        "devices": row.machines,
        "here": row.here,
    }


def _external(row: Row) -> dict[str, Any] | None:
    """What a row of samples from elsewhere says about them."""
    record = next((record for record in row.records if isinstance(record, ExternalRecord)), None)
    return None if record is None else msgspec.to_builtins(record.external)


def _best(table: Table, row: Row) -> dict[str, Any] | None:
    """The headline of the best generators during training, including the raw value of each seed."""
    if row.best is None:
        return None
    values = {
        str(r.seed): r.best.scores[table.headline]
        for r in runs_in(row.well)
        if r.best and table.headline in r.best.scores
    }
    return {**_summary(row, row.best.score), "kimg": row.best.kimg, "values": values}
