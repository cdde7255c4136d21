"""Runs in progress in a notebook, and the notebook in docs/, which a kernel executes."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace
from nasty import NASTY, controls
from running import plan_of
from test_plain import tags

from ganbench.contracts.executor import Done, Looked, Picture, Progress, Started, TrainingJob
from ganbench.plain import PlainConsole
from ganbench.plugins.protocols import load_protocol
from ganbench.runs.live import make_display
from ganbench.runs.notebook import NotebookDisplay
from ganbench.runs.plan import Plan

NOTEBOOK = Path(__file__).parents[1] / "docs" / "first-gan.ipynb"
RULES = replace(load_protocol("smoke-v1"), seeds=(0, 1))


class Cell:
    """The outputs of a cell as IPython would keep them: of one that is redrawn, everything it ever was."""

    def __init__(self) -> None:
        self.outputs: list[list[dict[str, str]]] = []

    def display(self, bundle: dict[str, str], *, raw: bool, display_id: bool) -> Cell:
        assert (raw, display_id) == (True, True)
        self.outputs.append([bundle])
        return self

    def update(self, bundle: dict[str, str], *, raw: bool) -> None:
        assert raw
        self.outputs[-1].append(bundle)

    @property
    def html(self) -> str:
        return self.outputs[-1][-1]["text/html"]


@pytest.fixture
def cell(monkeypatch) -> Cell:
    cell = Cell()
    monkeypatch.setattr("IPython.display.display", cell.display)
    return cell


@pytest.fixture
def clock(monkeypatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr("ganbench.runs.notebook.time.monotonic", lambda: now[0])
    return now


def console() -> PlainConsole:
    return PlainConsole(file=io.StringIO(), force_jupyter=True)


def progress(key: str, share: float) -> Progress:
    return Progress(key, 6, share, 1.0, share=share, rate=1234.0, losses={"d_loss": 1.0})


def test_a_notebook_has_a_display_of_its_own_whether_or_not_it_has_widgets(tmp_path, cell) -> None:
    plan = plan_of(tmp_path, "mlp", "r1", RULES)
    assert isinstance(make_display(console(), plan, quiet=False), NotebookDisplay)
    assert len(cell.outputs) == 1
    assert not isinstance(make_display(console(), plan, quiet=True), NotebookDisplay)


def test_everything_stands_in_one_output_and_in_the_end_lines_are_left(tmp_path, cell, clock) -> None:
    plan = plan_of(tmp_path, "mlp", "r1", RULES)
    first, second = (job.key for job in plan.runs)
    with make_display(console(), plan, quiet=False) as display:
        display.show(Started(first))
        display.show(Looked(first, 0.5, "fid@c:1", 9.0))
        clock[0] += 1
        display.show(progress(first, 0.5))
        assert "value='0.250'" in cell.html, "of the whole"
        assert "value='0.500'" in cell.html
        assert "fid 9 ▁ ~1,234 samples/s D 1" in cell.html
        display.show(Picture(first, np.zeros((3, 16, 16, 3), np.uint8)))
        assert 'src="data:image/png;base64,' in cell.html
        display.show(Done(first, "ok", "", {"fid@c:1": 8.0}))
        assert "1 of 2 runs done" in cell.html
        display.show(Done(second, "error", "it broke"))
    assert len(cell.outputs) == 1
    assert {"progress", "img", "table"}.isdisjoint(tags(cell.html))
    assert f"{first}: fid 8" in cell.html
    assert f"{second}: error: it broke" in cell.outputs[0][-1]["text/plain"]


def test_bars_that_move_are_redrawn_twice_a_second_and_the_rest_at_once(tmp_path, cell, clock) -> None:
    plan = plan_of(tmp_path, "mlp", "r1", RULES)
    key, display = plan.runs[0].key, make_display(console(), plan, quiet=False)
    display.expected = True
    display.show(Started(key))
    drawn = cell.outputs[0]
    before = len(drawn)
    for i in range(100):
        clock[0] += 0.05
        display.show(progress(key, 0.2 + i / 1e4))
    assert len(drawn) - before == pytest.approx(10, abs=1)
    before = len(drawn)
    display.show(Looked(key, 0.5, "fid@c:1", 9.0))
    display.show(Looked(key, 0.6, "fid@c:1", 8.0))
    assert len(drawn) == before + 2


def test_names_of_runs_in_progress_are_text(cell) -> None:
    rules = replace(RULES, dataset=f"folder:{NASTY.replace('/', '')}")  # of a path, only the last name is shown
    facts = {"protocol": rules, "digest": "d", "seed": 0, "folder": "runs/a/seed0"}
    job = TrainingJob(label=NASTY, arch="x:a", loss="x:b", **facts)
    with NotebookDisplay(console(), Plan(rules, [job], [])) as display:
        display.show(Started(job.key))
        display.show(Looked(job.key, 0.1, f"{NASTY}@x:1", 2.0))
        display.show(Done(job.key, "error", NASTY))
    for bundle in cell.outputs[0]:
        assert set(tags(bundle["text/html"])) <= {"div", "pre", "table", "tr", "td", "progress"}
        assert controls("".join(bundle.values())) == set()
    assert cell.html.count("[bold][batch, 1]:smile:") >= 3


# -- the notebook in docs/ -----------------------------------------------------------------------------------


def test_the_notebook_has_no_outputs_and_its_links_lead_somewhere() -> None:
    book = json.loads(NOTEBOOK.read_text("utf-8"))
    code = [cell for cell in book["cells"] if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
    prose = "".join("".join(cell["source"]) for cell in book["cells"] if cell["cell_type"] == "markdown")
    links = re.findall(r"\]\(([^)]+)\)", prose)
    assert len(links) > 2
    assert [link for link in links if not (NOTEBOOK.parent / link).exists()] == []


def shown(cell: Any, kind: str) -> str:
    """What the only output of a cell is as text, HTML or a picture."""
    (output,) = [output for output in cell.outputs if "data" in output]
    return output.data[kind]


@pytest.mark.slow
def test_the_notebook_does_in_a_kernel_what_it_says(tmp_path) -> None:
    import nbformat
    from nbclient import NotebookClient

    book = nbformat.read(NOTEBOOK, as_version=4)
    place = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(book, timeout=300, kernel_name="python3", resources=place).execute()
    cells = {cell.id: cell for cell in book.cells if cell.cell_type == "code"}
    assert "dcgan+wgan-gp, seed 0: fid " in shown(cells["train"], "text/html")
    assert "<progress" not in shown(cells["train"], "text/html"), "the bars are gone when all is done"
    assert {"svg", "img", "table"} <= set(tags(shown(cells["runs"], "text/html")))
    assert all(f"<th>{name}</th>" in shown(cells["frame"], "text/html") for name in ("rank", "fid", "fid low", "ok"))
    assert "<b>dcgan+wgan-gp, seed 0</b>: ok" in shown(cells["run"], "text/html")
    (printed,) = [output.text for output in cells["score"].outputs if output.output_type == "stream"]
    assert float(printed) > 1
    assert "fid@digits-cnn:" in shown(cells["score"], "text/plain")
    assert "<th>d_loss</th>" in shown(cells["history"], "text/html")
    assert len(shown(cells["plot"], "image/png")) > 10_000
    assert shown(cells["samples"], "image/png")
    assert re.fullmatch(r"\([\d.]+, [\d.]+\)", shown(cells["judge"], "text/plain"))
    assert "sngan" in shown(cells["published"], "text/html")
    assert (tmp_path / "runs" / "smoke-v1" / "dcgan+wgan-gp" / "seed0" / "record.json").exists()
