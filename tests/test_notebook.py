"""Runs in progress in a notebook, and the notebook in docs/, which a kernel executes."""

from __future__ import annotations

import io
import json
import re
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace
from nasty import NASTY, controls
from running import plan_of
from test_plain import tags
from tutorial import HASH, NOTEBOOK, code_of, executed, hash_of, read_book

from ganbench.contracts.executor import Done, Looked, Picture, Progress, Started, TrainingJob
from ganbench.plain import PlainConsole
from ganbench.plugins.protocols import load_protocol
from ganbench.runs.live import make_display
from ganbench.runs.notebook import NotebookDisplay
from ganbench.runs.plan import Plan

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


def test_the_notebook_holds_the_outputs_of_its_code_and_names_no_folder() -> None:
    text = NOTEBOOK.read_text("utf-8")
    book = json.loads(text)
    assert book["metadata"][HASH] == hash_of(book), "run: python tests/tutorial.py"
    cells = code_of(book)
    assert len(cells) > 10
    assert all(cell["outputs"] for cell in cells)
    assert {output["output_type"] for cell in cells for output in cell["outputs"]} <= {
        "display_data",
        "execute_result",
        "stream",
    }
    assert [cell["execution_count"] for cell in cells] == [*range(1, len(cells) + 1)]
    assert not re.search(r"/(?:tmp|root|home|Users|private)/", text)
    assert len(text) < 600_000


def test_the_links_of_the_notebook_lead_somewhere() -> None:
    book = json.loads(NOTEBOOK.read_text("utf-8"))
    prose = "".join("".join(cell["source"]) for cell in book["cells"] if cell["cell_type"] == "markdown")
    links = re.findall(r"\]\(([^)]+)\)", prose)
    assert len(links) > 2
    assert [link for link in links if not (NOTEBOOK.parent / link).exists()] == []


def shown(cell: Any, kind: str) -> str:
    """What the only output of a cell of this kind holds: text, HTML or a picture."""
    (output,) = [output for output in cell.outputs if kind in output.get("data", {})]
    return output.data[kind]


# All of it takes four minutes. The outputs that it holds show that it ran as it stands, as they are of the same code.
SHORTER = {", jobs=2)": ', protocol="smoke-v1", jobs=2)', "seeds=[1]": 'protocol="smoke-v1", seeds=[1]'}
SHORTER |= {"sample(1797)": "sample(500)", 'protocol="digits-16-v2")': 'protocol="smoke-v1")'}


@pytest.mark.slow
def test_the_notebook_runs_in_a_kernel_from_top_to_bottom(tmp_path) -> None:
    book = read_book()
    for before, after in SHORTER.items():
        assert sum(cell.source.count(before) for cell in code_of(book)) == 1
        for cell in code_of(book):
            cell.source = cell.source.replace(before, after)
    cells = {cell.id: cell for cell in code_of(executed(book, tmp_path))}
    assert "dcgan+wgan-gp, seed 0: fid " in shown(cells["train"], "text/html")
    assert "<progress" not in shown(cells["train"], "text/html"), "the bars are gone when all is done"
    assert all(shown(cells[name], "image/png") for name in ("data", "watch", "curves", "failure"))
    (printed,) = [output.text for output in cells["scores"].outputs if output.output_type == "stream"]
    assert float(printed) > 1
    assert "fid@digits-cnn:" in shown(cells["scores"], "text/plain")
    assert {"svg", "img", "table"} <= set(tags(shown(cells["table"], "text/html")))
    assert all(f"<th>{name}</th>" in shown(cells["interval"], "text/html") for name in ("fid", "fid low", "ok"))
    assert "sngan" in shown(cells["published"], "text/html")
    assert re.fullmatch(r"[\d.]+", shown(cells["judge"], "text/plain"))
    assert (tmp_path / "runs" / "smoke-v1" / "dcgan+wgan-gp" / "seed0" / "record.json").exists()
