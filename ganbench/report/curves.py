"""A run's losses and headline over kimg, drawn with matplotlib (an extra: ``ganbench[plot]``)."""

from __future__ import annotations

import io

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from ganbench.contracts.score_name import is_called, short_name
from ganbench.plain import plain_line
from ganbench.records.record import Record

SIZE = 7.0, 4.5
"""Inches."""
OTHERS = ("step", "kimg", "seconds", "cpu_seconds", "images_per_second", "images_per_cpu_second", "load")
"""Columns of numbers in a history that are neither a loss nor a score."""


class Drawing(Figure):
    """A figure that a notebook shows once, whether or not pyplot was imported."""

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", bbox_inches="tight")
        return buffer.getvalue()


def draw(history: pd.DataFrame, record: Record) -> Figure:
    """Plot the losses above, and the headline on the selection split below, on a log scale if it is compared on one.

    Args:
        history: one row per window, with ``kimg`` and at least one more column.
        record: names the run and its headline.
    """
    with mpl.rc_context({"text.parse_math": False, "text.usetex": False}):  # a name may hold a $
        figure = Drawing(figsize=SIZE, layout="constrained")
        figure.suptitle(plain_line(f"{record.protocol}: {record.entry}, seed {record.seed}"), fontsize="medium")
        scores = {name for column in record.columns for name in (column, short_name(column))}
        named = [name for name in history if is_called(name, record.headline)]
        losses = [name for name in history.select_dtypes("number") if name not in {*OTHERS, *scores, *named}]
        upper, *lower = figure.subplots(1 + bool(named), 1, sharex=True, squeeze=False)[:, 0]
        _draw_losses(upper, history, losses)
        for axes in lower:
            _draw_headline(axes, history[["kimg", named[0]]].dropna(), record)
        figure.axes[-1].set_xlabel("kimg")
    return figure


def _draw_losses(axes: Axes, history: pd.DataFrame, losses: list[str]) -> None:
    for name in losses:
        axes.plot(history["kimg"], history[name], label=plain_line(name), linewidth=1)
    axes.set_ylabel("loss")
    axes.legend()


def _draw_headline(axes: Axes, looks: pd.DataFrame, record: Record) -> None:
    column = next((about for name, about in record.columns.items() if is_called(name, record.headline)), None)
    kimg, score = looks.iloc[:, 0], looks.iloc[:, 1]
    axes.plot(kimg, score, "o-", color="black", linewidth=1, markersize=3)
    axes.set_ylabel(plain_line(short_name(record.headline)))
    if column is not None and column.log and (score > 0).all():
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter(NullFormatter())
