"""Footnotes of a table: in full for pages and ``--explain``, in short for the terminal."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence

from ganbench.contracts.score_name import ScoreName
from ganbench.errors import plural
from ganbench.leaderboards.cells import DASH, DOUBTED, EVALUATION_SD, HERE, NOT_BEATEN, OWN, SEED_SD, Key
from ganbench.leaderboards.entries import RunEntry
from ganbench.leaderboards.rows import Row
from ganbench.leaderboards.statistics import LOW_N
from ganbench.leaderboards.table import KIMG_TO_TARGET, SECONDS_TO_TARGET, Table

DIRECTION = {"max": "higher is better", "min": "lower is better", "info": "no direction"}


def footnotes_of(table: Table, dropped: Collection[Key] = (), *, noises: bool = True) -> list[str]:
    """Explain the cells of all columns that were not ``dropped``; failures and notes are separate."""
    notes = _how_ranked(table)
    notes += [f"{', '.join(names)}: in the feature space of {space}" for space, names in _spaces(table).items()]
    if noises:
        label = table.label(table.headline)
        notes.append(
            f"{SEED_SD}, {EVALUATION_SD}: standard deviation of {label} over seeds, and over evaluations of one run"
        )
    notes += _about_extras(table, [name for name in table.extras if name not in dropped])
    return notes + _about_speed(table) + _about_rows(table)


def short_notes(table: Table, shown: Collection[Key], *, intervals: bool) -> list[str]:
    """The same in a few words each, for the ``shown`` columns only."""
    label = table.label(table.headline)
    mean = "geometric mean" if table.log else "mean"
    bracket = ", and 95 % interval" if intervals and len(table.seeds) > 1 else ""
    notes = [f"{label}: {DIRECTION[table.goal]}; {mean} over seeds{bracket}"]
    if "rank" in shown and any(row.rank for row in table.rows):
        notes.append("rank: the range of ranks consistent with the seeds")
    notes += [f"features: {space}" for space in _spaces(table)]
    if SEED_SD in shown:
        notes.append(f"{SEED_SD}, {EVALUATION_SD}: sd of {label} between seeds, and between evaluations of one run")
    if table.best_label in shown:
        notes.append(f"{table.best_label}: score of the best generator during training; not used for ranks")
    if KIMG_TO_TARGET in shown or SECONDS_TO_TARGET in shown:
        notes.append(f"to target: training until {_target(table)} on the selection split")
    if "samples/s" in shown:
        notes += _speed_in_short(table)
    return notes + _marks_in_short(table)


def _target(table: Table) -> str:
    return f"{table.label(table.headline)} {'>=' if table.goal == 'max' else '<='} {table.target or 0:g}"


def _spaces(table: Table) -> dict[str, list[str]]:
    """Extractor -> the shown columns that are computed in its feature space."""
    spaces: dict[str, list[str]] = defaultdict(list)
    for name in map(ScoreName.of, table.shown):
        if name.extractor:
            spaces[name.extractor].append(name.column)
    return spaces


def _how_ranked(table: Table) -> list[str]:
    label = table.label(table.headline)
    scale = " of the logarithms" if table.log else ""
    logs = [table.label(name) for name in table.shown if name in table.logs]
    plain = [table.label(name) for name in table.shown if name not in table.logs]
    means = [f"{', '.join(logs)}: geometric mean over seeds"] if logs else []
    means += [f"{', '.join(plain)}: mean over seeds"] if plain else []
    ranked = [
        f"rank: a range from 1 + the number of rows with a significantly better {label} to the number of ranked rows "
        f"minus those with a significantly worse one ({DIRECTION[table.goal]}; Welch's t-test{scale}, Holm correction "
        "over all pairs, 5 %)"
    ]
    bracket = "; in brackets: the Student-t 95 % interval, on the scale of the test" if len(table.seeds) > 1 else ""
    return [*(ranked if any(row.rank for row in table.rows) else []), f"{'; '.join(means)}{bracket}"]


# -- speed -------------------------------------------------------------------------------------------------------------


def _trained(table: Table) -> list[Row]:
    return [row for row in table.rows if row.records and isinstance(row.entry, RunEntry)]


def _by_own_clock(table: Table) -> list[Row]:
    return [row for row in _trained(table) if "samples/s" in row.costs and not row.timing]


def _speeds_missing(table: Table) -> bool:
    trained = _trained(table)
    return len(_by_own_clock(table)) + sum(bool(row.timing) for row in trained) < len(trained)


def _same_core(table: Table) -> bool:
    return all(
        record.environment.core == row.timing.environment.core
        for row in table.rows
        if row.timing
        for record in row.records
    )


def _clock(own: Sequence[Row]) -> str:
    elsewhere = all(record.environment.cuda for row in own for record in row.records)
    return "wall-clock time, alone on its device" if elsewhere else "the run's own CPU time"


def _about_speed(table: Table) -> list[str]:
    own, notes = _by_own_clock(table), []
    if table.timed_on:
        sessions = len({row.timing.started for row in table.rows if row.timing})
        apart = f", in {sessions} sessions; speeds compare less well across sessions" if sessions > 1 else ""
        newer = "" if _same_core(table) else ", with another version of the training loop than the runs"
        notes.append(
            f"samples/s: real samples shown to D per second, each row timed alone on {table.timed_on}{newer}{apart}"
        )
    if own:
        where = f", on {table.machines[0]}" if len(table.machines) == 1 else "; never compare it across machines"
        notes.append(f"{OWN}: measured in {_clock(own)}; samples/s: real samples shown to D per second{where}")
    if _speeds_missing(table):
        notes.append(f"samples/s {DASH}: the records hold no CPU time, or the seeds ran on several machines")
    return notes


def _speed_in_short(table: Table) -> list[str]:
    own = _by_own_clock(table)
    notes = [f"samples/s: timed alone on {table.timed_on}"] if table.timed_on else []
    notes += [f"{OWN}: measured in {_clock(own)}"] if own else []
    return notes + ([f"samples/s {DASH}: unknown, or from several machines"] if _speeds_missing(table) else [])


# -- marks and parts ---------------------------------------------------------------------------------------------------


def _few(table: Table) -> bool:
    return any(0 < row.ok < LOW_N for row in table.rows if isinstance(row.entry, RunEntry))


def _about_rows(table: Table) -> list[str]:
    """Explain the marks and the parts of the table."""
    notes = []
    for name in sorted({row.not_beaten for row in table.rows if row.not_beaten}):
        notes.append(
            f"{NOT_BEATEN}: not significantly better than {name} (Welch's t-test, Holm correction over the rows, 5 %); "
            "if the row cannot be tested, its median is not better"
        )
    if any(row.doubts for row in table.rows):
        notes.append(f"{DOUBTED}: something may be wrong with these samples, such as copies of the training data")
    if any(row.trouble for row in table.rows):
        below = " They are listed below all complete rows by rule; no test has found them worse"
        notes.append(
            "rows with a failed or collapsed seed: median (smallest to largest) of the runs with a score."
            + (below if table.rows_of("unstable") else "")
        )
    if any(row.missing for row in table.rows):
        notes.append("missing: seeds without a finished run; the row has no rank until all have one")
    if _few(table):
        notes.append(f"†: fewer than {LOW_N} runs, so intervals and ranges are wide; a single run has no rank")
    return notes


def _marks_in_short(table: Table) -> list[str]:
    notes = [f"{HERE}: run on this machine"] if table.mixed else []
    notes += [f"{NOT_BEATEN}: not better than {name}" for name in sorted({row.not_beaten for row in table.rows} - {""})]
    if any(row.doubts for row in table.rows):
        notes.append(f"{DOUBTED}: something may be wrong with these samples; a note below says what")
    if any(row.trouble for row in table.rows):
        notes.append("rows with a failed or collapsed seed: medians, not tested")
    if unfinished := sum(bool(row.missing) for row in table.rows):
        notes.append(f"missing seeds in {plural(unfinished, 'row')}: no rank until all have run")
    return notes + ([f"†: fewer than {plural(LOW_N, 'run')}"] if _few(table) else [])


def _about_extras(table: Table, extras: Sequence[str]) -> list[str]:
    """Explain the columns that only some tables have."""
    notes = []
    if table.best_label in extras:
        all_data = table.protocol is not None and table.protocol.evaluation.reference == "all"
        where = "all data, including the selection split" if all_data else "the reporting split"
        notes.append(
            f"{table.best_label}: score of the best generator during training, chosen on the selection split with "
            f"separate latents and scored on {where}; not used for ranks"
        )
    if {KIMG_TO_TARGET, SECONDS_TO_TARGET} & {*extras}:
        notes.append(
            f"to target: training until the first evaluation on the selection split with {_target(table)}, median over "
            "seeds; a seed that never reaches it counts as infinite, and (4/5) means that 4 of 5 seeds reach it"
        )
    return notes
