"""A run's curves as a figure."""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd
import pytest
from nasty import NASTY, nasty
from PIL import Image
from toy import TAG, TOY, make

from ganbench.api import Run
from ganbench.errors import GanbenchError, RecordError
from ganbench.records.history import as_line
from ganbench.report.curves import draw

NAN = float("nan")
HISTORY = pd.DataFrame(
    {
        "step": [1, 2, 3],
        "kimg": [0.5, 1.0, 1.5],
        "images_per_second": [9.0, 9.0, 9.0],
        "bits": ["a", "b", "c"],
        "d_loss": [3.0, 2.0, 1.0],
        "g_loss": [1.0, 2.0, 3.0],
        "cycle": [0.5, 0.4, 0.3],
        "fid": [NAN, 90.0, 9.0],
        "coverage": [NAN, 0.1, 0.2],
    }
)


def run_in(folder: Path, history: pd.DataFrame = HISTORY) -> Run:
    rows = [row.dropna().to_dict() for _, row in history.iterrows()]
    (folder / "history.jsonl").write_text("".join(as_line(row) + "\n" for row in rows))
    return Run(folder, make(headline="fid", status="interrupted", columns=make().columns))


def test_losses_stand_above_and_the_headline_below_on_its_scale(tmp_path) -> None:
    figure = run_in(tmp_path).plot()
    losses, headline = figure.axes
    assert [line.get_label() for line in losses.lines] == ["d_loss", "g_loss", "cycle"]
    assert losses.lines[0].get_xydata().tolist() == [[0.5, 3.0], [1.0, 2.0], [1.5, 1.0]]
    assert headline.lines[0].get_xydata().tolist() == [[1.0, 90.0], [1.5, 9.0]]
    assert (headline.get_ylabel(), headline.get_yscale(), headline.get_xlabel()) == ("fid", "log", "kimg")
    assert figure.get_suptitle() == "toy-v1: dcgan+hinge, seed 0"


@pytest.mark.parametrize("scores", [(90.0, 9.0), (70.8, 69.8)])
def test_a_log_scale_is_labelled_with_plain_numbers_however_narrow(scores) -> None:
    axes = draw(HISTORY.assign(fid=[NAN, *scores]), make(headline="fid")).axes[1]
    axes.figure.canvas.draw()
    low, high = axes.get_ylim()
    texts = [label.get_text() for label in axes.get_yticklabels(which="both")]
    assert sum(low <= float(text) <= high for text in texts if text) >= 3


def test_a_headline_between_zero_and_one_has_a_plain_scale() -> None:
    assert draw(HISTORY, make()).axes[1].get_yscale() == "linear"


def test_a_run_that_was_never_looked_at_has_its_losses_only() -> None:
    (only,) = draw(HISTORY.drop(columns=["fid"]), make(headline="fid")).axes
    assert only.get_xlabel() == "kimg"


def test_a_figure_is_shown_by_a_notebook_and_saved_by_a_script(tmp_path) -> None:
    figure = draw(HISTORY, make())
    assert figure._repr_png_().startswith(b"\x89PNG")
    figure.savefig(tmp_path / "curves.png", dpi=50)
    with Image.open(tmp_path / "curves.png") as saved:
        assert saved.size == (350, 225)


def test_names_are_text_also_where_they_look_like_formulas() -> None:
    record = nasty(make(headline="fid"), TOY.name)
    assert record.headline == f"{NASTY}fid"
    history = HISTORY.rename(columns={"fid": f"{NASTY}fid", "cycle": "$\\frac{$"})
    figure = draw(history, record)
    assert len(figure.axes) == 2
    assert figure._repr_png_().startswith(b"\x89PNG")


def test_the_history_has_short_names_where_one_score_has_them(tmp_path) -> None:
    full = HISTORY.rename(columns={"fid": f"fid@{TAG}", "coverage": "fid@raw:1"})
    assert {f"fid@{TAG}", "fid@raw:1"} <= set(run_in(tmp_path, full).history)
    assert "fid" in run_in(tmp_path, full.drop(columns="fid@raw:1")).history


def test_a_run_without_a_history_and_a_place_without_matplotlib_are_sentences(tmp_path, monkeypatch) -> None:
    with pytest.raises(RecordError, match="has no history to plot"):
        Run(tmp_path, make()).plot()
    run = run_in(tmp_path)
    monkeypatch.delitem(sys.modules, "ganbench.report.curves")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(GanbenchError) as caught:
        run.plot()
    assert (caught.value.message, caught.value.hint) == ("plots need matplotlib", 'pip install "ganbench[plot]"')
