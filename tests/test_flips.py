"""A single flipped bit, anywhere in a file: it is noticed, or it changes nothing that is read."""

from __future__ import annotations

import json
import random
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from filelock import FileLock
from marks import slow
from running import carry_out, job_in
from toy import timing

from ganbench import load_run
from ganbench.contracts.memo import Results
from ganbench.errors import GanbenchWarning, RecordError
from ganbench.evaluation import cache
from ganbench.evaluation.cache import Cache
from ganbench.records.archive import state_of, with_checksum
from ganbench.records.files import set_aside
from ganbench.records.history import as_line, read_history
from ganbench.records.sealing import as_text, sealed
from ganbench.records.store import read
from ganbench.records.timing import read_timing, write_timing
from ganbench.runs import checkpoint
from ganbench.runs.leftovers import tidy

IDENTITY = {"torch": "2.10.0", "the data": "abc"}
STATE = {"identity": IDENTITY, "history": [{"kimg": 1.5}], "gan": {"w": torch.arange(40.0)}, "step": 3}


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """The folder of a finished run."""
    job = job_in(tmp_path_factory.mktemp("finished"))
    carry_out(job)
    return Path(job.folder)


def a_checkpoint(path: Path, run: Path) -> Callable[[], Any]:
    checkpoint.save(STATE, path)

    def read_it() -> Any:
        try:
            state = checkpoint.load(path, IDENTITY)
        except checkpoint.Unusable:
            raise RecordError("damaged") from None
        return {**state, "gan": {name: value.tolist() for name, value in state["gan"].items()}}

    return read_it


def a_record(path: Path, run: Path) -> Callable[[], Any]:
    path.write_bytes((run / "record.json").read_bytes())
    return lambda: read(path)


def a_history(path: Path, run: Path) -> Callable[[], Any]:
    path.write_bytes((run / "history.jsonl").read_bytes())
    return lambda: read_history(path)


def a_timing(path: Path, run: Path) -> Callable[[], Any]:
    write_timing(timing("dcgan+hinge", 3200.0), path)
    return lambda: read_timing(path)


def a_cached_result(path: Path, run: Path) -> Callable[[], Any]:
    def through(compute: Callable[[], Results]) -> Results:
        with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
            patch.setenv("GANBENCH_CACHE", str(path.parent / "cache"))
            patch.setattr(cache, "EXPENSIVE", 0.0)
            warnings.simplefilter("ignore", GanbenchWarning)  # the file was not written by this user
            return Cache({"device": "cpu"}).once("samples", "name", compute)

    def damaged() -> Results:
        raise RecordError("damaged")

    def read_it() -> Any:
        file.write_bytes(path.read_bytes())
        return {name: (value.dtype, value.tolist()) for name, value in through(damaged).items()}

    through(lambda: {"x": torch.randn(20, 3, dtype=torch.float64), "n": torch.tensor(7)})
    (file,) = (path.parent / "cache").iterdir()
    path.write_bytes(file.read_bytes())
    return read_it


@pytest.mark.parametrize("flips", [60, slow(1000)])
@pytest.mark.parametrize("kind", [a_checkpoint, a_record, a_history, a_timing, a_cached_result])
def test_a_flipped_bit_is_noticed_or_changes_nothing(kind, flips, finished, tmp_path) -> None:
    path, rng = tmp_path / "it", random.Random(flips)
    read_it = kind(path, finished)
    whole, content = read_it(), path.read_bytes()
    noticed = 0
    for bit in rng.sample(range(8 * len(content)), flips):
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        try:
            found = read_it()
        except RecordError:
            noticed += 1
            continue
        assert found == whole, f"bit {bit} of {len(content)} bytes"
    assert noticed > flips / 2


# -- checkpoints -------------------------------------------------------------------------------------------------------


def test_an_archive_with_a_checksum_is_still_read_by_torch(tmp_path) -> None:
    checkpoint.save(STATE, tmp_path / "checkpoint.pt")
    assert torch.load(tmp_path / "checkpoint.pt", weights_only=True)["step"] == 3


def test_archives_are_whole_unchecked_or_damaged(tmp_path) -> None:
    torch.save(STATE, tmp_path / "plain.pt")
    plain = (tmp_path / "plain.pt").read_bytes()
    assert state_of(plain) == "unchecked"
    assert state_of(with_checksum(plain)) == "whole"
    for damaged in (b"", plain[:-1], with_checksum(plain)[:-1], with_checksum(plain) + b"\0", b"x" * 500):
        assert state_of(damaged) == "damaged"


@pytest.mark.parametrize(
    ("now", "said"),
    [
        ({"torch": "2.11.0"}, "since its checkpoint at 1.5 kimg, torch (2.10.0, now 2.11.0) changed"),
        ({"the data": "def"}, "since its checkpoint at 1.5 kimg, the data changed"),
        (
            {"the device": "cpu", "torch": "2.11.0"},
            "since its checkpoint at 1.5 kimg, torch (2.10.0, now 2.11.0) and the device (new) changed",
        ),
    ],
)
def test_what_changed_since_a_checkpoint_is_said(now, said, tmp_path) -> None:
    checkpoint.save(STATE, tmp_path / "checkpoint.pt")
    with pytest.raises(checkpoint.Unusable) as caught:
        checkpoint.load(tmp_path / "checkpoint.pt", IDENTITY | now)
    assert str(caught.value) == said
    assert checkpoint.load(tmp_path / "checkpoint.pt", IDENTITY)["step"] == 3


def test_files_are_set_aside_under_names_that_are_free(tmp_path) -> None:
    for content in ("a", "b", "c"):
        (tmp_path / "checkpoint.pt").write_text(content)
        set_aside(tmp_path / "checkpoint.pt")
    kept = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert kept == {"checkpoint.old.pt": "a", "checkpoint.old1.pt": "b", "checkpoint.old2.pt": "c"}


def test_a_finished_run_that_is_repeated_is_kept_beside_the_new_one(finished, tmp_path) -> None:
    old = read(finished / "record.json")
    job = job_in(tmp_path)
    folder = Path(job.folder)
    folder.mkdir(parents=True)
    facts = json.loads((finished / "record.json").read_bytes())
    facts.pop("seal")
    facts["loss"]["source"] = "ast1:000000000000"
    (folder / "record.json").write_bytes(as_text(sealed(facts)))
    for name in ("checkpoint.pt", "strip.webp"):
        (folder / name).write_bytes((finished / name).read_bytes())
    new = carry_out(job)
    assert new.bits == old.bits
    assert read(folder / "record.old.json").loss.source == "ast1:000000000000"
    assert (folder / "checkpoint.old.pt").read_bytes() == (finished / "checkpoint.pt").read_bytes()
    assert (folder / "strip.old.webp").read_bytes() == (finished / "strip.webp").read_bytes()


# -- histories ---------------------------------------------------------------------------------------------------------


def test_a_history_is_read_as_it_was_written(tmp_path) -> None:
    rows = [{"step": 1, "D": 0.5, "note": "ä"}, {"step": 2, "D": float("nan")}]
    (tmp_path / "history.jsonl").write_text("".join(as_line(row) + "\n" for row in rows))
    first, second = read_history(tmp_path / "history.jsonl")
    assert first == rows[0]
    assert second["D"] != second["D"]
    assert read_history(tmp_path / "none.jsonl") == []


def test_half_a_line_at_the_end_of_a_history_is_left_out(tmp_path) -> None:
    (tmp_path / "history.jsonl").write_text(as_line({"step": 1}) + "\n" + as_line({"step": 2})[:9])
    assert read_history(tmp_path / "history.jsonl") == [{"step": 1}]


@pytest.mark.parametrize("bit", range(8))
def test_a_history_whose_last_line_break_is_damaged_is_refused(bit, tmp_path) -> None:
    content = "".join(as_line({"step": step}) + "\n" for step in (1, 2)).encode()
    (tmp_path / "history.jsonl").write_bytes(content[:-1] + bytes([content[-1] ^ 1 << bit]))
    with pytest.raises(RecordError, match="line 2"):
        read_history(tmp_path / "history.jsonl")


def test_a_last_line_that_lacks_only_its_line_break_is_read(tmp_path) -> None:
    (tmp_path / "history.jsonl").write_text(as_line({"step": 1}) + "\n" + as_line({"step": 2}))
    assert read_history(tmp_path / "history.jsonl") == [{"step": 1}, {"step": 2}]


def test_a_history_without_seals_is_read_and_a_changed_one_is_refused(tmp_path) -> None:
    file = tmp_path / "history.jsonl"
    file.write_text('{"step": 1}\n{"step": 2}\n')
    assert read_history(file) == [{"step": 1}, {"step": 2}]
    file.write_text(as_line({"step": 1}) + "\n" + '{"step": 3}\n')
    with pytest.raises(RecordError, match="was changed after it was written, in line 2"):
        read_history(file)


def test_a_changed_history_is_refused_where_it_is_shown(finished, tmp_path) -> None:
    (tmp_path / "record.json").write_bytes((finished / "record.json").read_bytes())
    text = (finished / "history.jsonl").read_text()
    (tmp_path / "history.jsonl").write_text(text.replace('"step": ', '"step": 1', 1))
    with pytest.raises(RecordError, match="in line 1"):
        _ = load_run(tmp_path).history


# -- what a kill leaves ------------------------------------------------------------------------------------------------


def copied(run: Path, to: Path) -> Path:
    to.mkdir()
    for name in ("record.json", "checkpoint.pt"):
        (to / name).write_bytes((run / name).read_bytes())
    return to


def test_what_a_kill_leaves_beside_a_final_record_is_tidied_up(finished, tmp_path) -> None:
    folder = copied(finished, tmp_path / "run")
    state = torch.load(folder / "checkpoint.pt", weights_only=True)
    checkpoint.save({**state, "optimiser": torch.zeros(1000), "identity": {}}, folder / "checkpoint.pt")
    (folder / "record.json").write_bytes((folder / "record.json").read_bytes())
    (folder / ".checkpoint.pt.123.tmp").write_bytes(b"half")
    tidy([folder])
    assert set(torch.load(folder / "checkpoint.pt", weights_only=True)) == {"job", "gan", "averaged"}
    assert sorted(path.name for path in folder.iterdir() if path.name != ".lock") == ["checkpoint.pt", "record.json"]


def test_tidying_reads_no_checkpoint_of_a_run_that_ended_well(finished, tmp_path, monkeypatch) -> None:
    folder = copied(finished, tmp_path / "run")
    monkeypatch.setattr(checkpoint, "shrink", lambda path: pytest.fail("it was read"))
    tidy([folder])


def test_a_folder_that_another_process_works_in_is_left_alone(finished, tmp_path) -> None:
    folder = copied(finished, tmp_path / "run")
    (folder / ".record.json.1.tmp").write_bytes(b"")
    with FileLock(folder / ".lock"):
        tidy([folder])
    assert (folder / ".record.json.1.tmp").exists()
    tidy([folder])
    assert not (folder / ".record.json.1.tmp").exists()


def test_a_damaged_checkpoint_is_said_by_every_command_that_reads_it(finished, tmp_path) -> None:
    folder = copied(finished, tmp_path / "run")
    content = bytearray((folder / "checkpoint.pt").read_bytes())
    content[len(content) // 2] ^= 1
    (folder / "checkpoint.pt").write_bytes(content)
    with pytest.raises(RecordError, match=r"checkpoint\.pt is damaged or not a checkpoint"):
        load_run(folder).sample(4)


def test_a_run_whose_checkpoint_is_damaged_begins_anew_and_says_so(finished, tmp_path) -> None:
    job = job_in(tmp_path)
    Path(job.folder).mkdir(parents=True)
    Path(job.folder, "checkpoint.pt").write_bytes(b"PK")
    with pytest.warns(GanbenchWarning, match="seed 0 starts over: its checkpoint is damaged; the old checkpoint"):
        carry_out(job)
    assert Path(job.folder, "checkpoint.old.pt").read_bytes() == b"PK"


def test_a_checkpoint_of_weights_alone_is_not_taken_for_an_unfinished_run(finished) -> None:
    with pytest.raises(checkpoint.Unusable, match="its checkpoint is of a finished run"):
        checkpoint.load(finished / "checkpoint.pt", IDENTITY)


def test_weights_that_are_not_finite_are_said_in_a_sentence(finished, tmp_path) -> None:
    folder = copied(finished, tmp_path / "run")
    state = torch.load(folder / "checkpoint.pt", weights_only=True)
    state["averaged"][0] = {name: value * torch.nan for name, value in state["averaged"][0].items()}
    checkpoint.save(state, folder / "checkpoint.pt")
    with pytest.raises(RecordError, match=r"are not finite: that run diverged"):
        load_run(folder).sample(4)


@pytest.mark.parametrize("part", ["gan", "averaged"])
def test_weights_of_another_kind_are_said_in_a_sentence(part, finished, tmp_path) -> None:
    folder = copied(finished, tmp_path / "run")
    checkpoint.save({**torch.load(folder / "checkpoint.pt", weights_only=True), part: 3}, folder / "checkpoint.pt")
    with pytest.raises(RecordError, match="do not fit the installed mlp"):
        load_run(folder).sample(4)


@pytest.mark.parametrize("lines", [slice(1, None), slice(None, -1), slice(0, 0)])
def test_a_history_that_lacks_lines_is_refused_where_it_is_shown(lines, finished, tmp_path) -> None:
    (tmp_path / "record.json").write_bytes((finished / "record.json").read_bytes())
    kept = (finished / "history.jsonl").read_text().splitlines(keepends=True)[lines]
    (tmp_path / "history.jsonl").write_text("".join(kept))
    with pytest.raises(RecordError, match="is not the history of the run"):
        _ = load_run(tmp_path).history


@pytest.mark.parametrize("changed", [{"scores": -5.0}, {"draws": []}, {"self_checks": None}])
def test_a_sealed_record_that_contradicts_itself_is_not_read(changed, finished, tmp_path) -> None:
    facts = json.loads((finished / "record.json").read_bytes())
    if "scores" in changed:
        name = next(name for name in facts["scores"] if name.startswith("fid"))
        facts["scores"][name], facts["draws"] = -5.0, [{**facts["scores"], name: -5.0}]
    else:
        facts |= changed
    facts.pop("seal")
    (tmp_path / "record.json").write_bytes(as_text(sealed(facts)))
    with pytest.raises(RecordError, match=r"is out of its range|it was never judged"):
        read(tmp_path / "record.json")
