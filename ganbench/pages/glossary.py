"""Explanations of a table's columns, as tooltips of their headings.

A metric explains its columns itself, in the docstring of its module: an indented line with the column's name, two
spaces, and the meaning. Without such a line, the first line of the docstring is used.
"""

from __future__ import annotations

import re

from ganbench import plugins
from ganbench.contracts.score_name import ScoreName
from ganbench.errors import PluginError
from ganbench.leaderboards.cells import EVALUATION_SD, SEED_SD, Key, ScoreOf, number
from ganbench.leaderboards.footnotes import DIRECTION
from ganbench.leaderboards.table import KIMG_TO_TARGET, SECONDS_TO_TARGET, Table
from ganbench.plugins.source import header_of
from ganbench.records.record import Column, Component

COLUMNS = {
    "rank": "The range of ranks consistent with the seeds: from 1 + the number of significantly better rows to the "
    "number of ranked rows minus the significantly worse ones.",
    "row": "Architecture and loss, with tricks and changed settings.",
    "samples": "Uncurated samples from the lowest seed at the end of the budget.",
    SEED_SD: "Standard deviation of the headline between seeds.",
    EVALUATION_SD: "Standard deviation of the headline between evaluations of one run.",
    KIMG_TO_TARGET: "Thousands of real samples shown to D until the headline first reached the target on the selection "
    "split. Median over seeds; in brackets, how many seeds reached it if not all did.",
    SECONDS_TO_TARGET: "Seconds of training until the headline first reached the target.",
    "samples/s": "Real samples shown to D per second of training.",
    "params G/D": "Trainable parameters of the generator and of the discriminator.",
    "D norm": "The discriminator's normalisation.",
    "ok": "Seeds that finished without failing or collapsing, out of all seeds of the row.",
    "device": "The hardware that the runs used.",
}
"""The columns that every table has."""


def about_column(table: Table, key: Key) -> str:
    """Explain a column in one or two sentences."""
    if isinstance(key, ScoreOf):
        return _about_score(table, key.name)
    if key == table.best_label:
        return "The headline of the best generator during training, chosen on the selection split. Not used for ranks."
    return COLUMNS.get(key, "")


def _about_score(table: Table, name: str) -> str:
    column, score = table.columns.get(name), ScoreName.of(name)
    if column is None:
        return "No record has this score."
    space = f" Computed in the feature space of {score.extractor}." if score.extractor else ""
    log = " Averaged and compared on the log scale." if name in table.logs else ""
    told = _by_its_metric(table, score.column, name)
    return f"{told} {DIRECTION[column.goal].capitalize()}{_range(column)}.{log}{space}".strip()


def _range(column: Column) -> str:
    if column.low is not None and column.high is not None:
        return f", {number(column.low)} to {number(column.high)}"
    return f", from {number(column.low)}" if column.low is not None else ""


def _by_its_metric(table: Table, column: str, name: str) -> str:
    part = _metric(table, name)
    if part is None:
        return ""
    try:
        header = header_of(plugins.find("metric", f"{part.package}:{part.name}").module)
    except PluginError:
        return ""
    line = re.search(rf"^[ ]{{2,}}{re.escape(column)}[ ]{{2,}}(\S.*)$", header.doc, re.MULTILINE)
    said = re.split(r"; (?=\w+: )", line[1])[0] if line else header.summary
    return f"{said[:1].upper()}{said[1:].removesuffix('.')}."


def _metric(table: Table, name: str) -> Component | None:
    """The metric that gave a column, as the records name it."""
    metric = table.columns[name].metric
    found = (record.metrics.get(metric) for row in table.rows for record in row.records if name in record.scores)
    return next(filter(None, found), None)
