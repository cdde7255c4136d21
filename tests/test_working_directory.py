"""Plugins that change the working directory: paths stay where the user meant them, and other folders untouched."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import torch
from running import QUICK, job_in, never, unheard

from ganbench.contracts.executor import Done, Refused
from ganbench.evaluation.cache import Cache
from ganbench.records.store import read
from ganbench.runs.executors.work import outcome_of

LEAVING = '''
    """A loss that goes elsewhere: on import, when built, and in its tenth step."""
    import os
    from ganbench import hookimpl
    os.chdir("elsewhere")
    class Leaving:
        calls = 0
        def d_loss(self, D, real, fake):
            Leaving.calls += 1
            if Leaving.calls == 10:
                os.chdir("elsewhere")
            return D(fake).mean() - D(real).mean()
        def g_loss(self, D, real, fake): return -D(fake).mean()
    @hookimpl
    def ganbench_loss():
        os.chdir("elsewhere")
        return Leaving()
'''


@pytest.fixture
def leaving(install_here, tmp_path, monkeypatch):
    """A job, with a relative path, of the loss above; ``elsewhere`` has a foreign record under the same path."""
    install_here("third-party", "loss", "leaving", LEAVING, module="leaving")
    monkeypatch.chdir(tmp_path)
    job = job_in(Path("runs"), "mlp", "leaving", QUICK)
    foreign = tmp_path / "elsewhere" / job.record_file
    foreign.parent.mkdir(parents=True)
    foreign.write_text("foreign")
    return job


def test_a_run_stays_in_its_folder_wherever_its_plugin_goes(leaving, tmp_path) -> None:
    event = outcome_of(leaving, unheard, never)
    assert isinstance(event, Done), event
    assert Path.cwd() == tmp_path, "the next job is not elsewhere either"
    folder = tmp_path / leaving.folder
    assert read(folder / "record.json").status == "ok"
    assert {"record.json", "history.jsonl", "checkpoint.pt", "samples"} <= {path.name for path in folder.iterdir()}
    elsewhere = [path for path in (tmp_path / "elsewhere").rglob("*") if path.is_file()]
    assert [path.read_text() for path in elsewhere] == ["foreign"]


def test_neither_record_nor_checkpoint_says_where_they_lie(leaving, tmp_path) -> None:
    outcome_of(leaving, unheard, never)
    assert str(tmp_path) not in (tmp_path / leaving.folder / "record.json").read_text()
    state = torch.load(tmp_path / leaving.folder / "checkpoint.pt", weights_only=True)
    assert json.loads(state["job"])["folder"] == os.path.join("mlp+leaving", "seed0")


def test_a_file_that_cannot_be_written_is_named_as_it_was_typed(leaving, tmp_path) -> None:
    (tmp_path / leaving.folder / "record.json").mkdir(parents=True)
    event = outcome_of(leaving, unheard, never)
    assert isinstance(event, Refused)
    assert event.message.startswith(f"cannot write {leaving.folder}/record.json: ")


def test_a_cache_stays_where_it_was_when_the_process_goes_elsewhere(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GANBENCH_CACHE", "cache")
    kept = Cache(None)
    monkeypatch.chdir("/")
    assert kept.folder == tmp_path / "cache"
