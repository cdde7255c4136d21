"""Strips: samples that a run leaves, that are bound to its record, and that are published beside its row."""

from __future__ import annotations

import io
import os
import re
import wave
from pathlib import Path
from typing import NamedTuple

import markupsafe
import numpy as np
import pytest
import scipy.io.wavfile
import torch
from PIL import Image
from running import QUICK, carry_out, job_in
from toy import QUICK as RULES
from toy import TOY, make

from ganbench.contracts.data import DataSpec, Split
from ganbench.contracts.executor import Progress, TrainingJob
from ganbench.errors import Diverged, GanbenchWarning, RecordError
from ganbench.evaluation.sampling import sample
from ganbench.leaderboards.strips import strips_in
from ganbench.pages.folder import check_folder, write_folder
from ganbench.records.record import Fingerprints, Record
from ganbench.records.store import read, write
from ganbench.records.strips import MOST, bind, is_strip_of, read_strip
from ganbench.report import images, strips
from ganbench.report.files import animation, wav
from ganbench.runs import checkpoint, run
from ganbench.runs.setup import prepare

HASHES = [f"{number:016x}" for number in range(100)]


def picture(value: int = 0) -> bytes:
    return animation([np.full((4, 9, 3), value, np.uint8)], 1, "webp")


def saved(path: Path, weights: str, value: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    content = wav(torch.full((1, 1, 80), value / 256), 8000) if path.suffix == ".wav" else picture(value)
    path.write_bytes(bind(content, weights))
    return path


def of_weights(entry: str, seed: int, weights: str, **changed) -> Record:
    return make(entry, seed, 0.5, bits=Fingerprints(weights, ("s0", "s1"), "t0"), **changed)


def opened(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content))


def pixels_of(content: bytes) -> np.ndarray:
    return np.asarray(opened(content).convert("RGB"))


# -- what a strip shows ------------------------------------------------------------------------------------------------


def drawn(x: torch.Tensor, spec: DataSpec, few: Split | None = None, reals: Split | None = None) -> dict[str, bytes]:
    few = few or Split(x)
    return strips.files_of(x, few, reals or few, spec)


def noise(*shape: int) -> torch.Tensor:
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def test_images_stand_side_by_side_and_lose_no_bit() -> None:
    x = noise(10, 3, 16, 16)
    files = drawn(x, DataSpec((3, 16, 16)))
    pixels = pixels_of(files[".webp"])
    assert (files.keys(), pixels.shape) == ({".webp"}, (20, 10 * 18 + 2, 3))
    assert all((pixels[2:18, 2 + 18 * i :][:, :16] == image).all() for i, image in enumerate(images.rgb(x)))


def test_large_images_are_made_smaller() -> None:
    assert opened(drawn(noise(2, 1, 256, 256), DataSpec((1, 256, 256)))[".webp"]).size == (2 * 66 + 2, 68)


def test_translations_stand_beside_their_sources() -> None:
    x, source = noise(4, 1, 8, 8), 255 - noise(4, 1, 8, 8)
    pixels = pixels_of(drawn(x, DataSpec((1, 8, 8), source=(1, 8, 8)), Split(x, source=source, paired=True))[".webp"])
    assert (pixels[6:14, 6:14] == images.rgb(source)[0]).all()
    assert (pixels[6:14, 15:23] == images.rgb(x)[0]).all()


def test_clips_move_at_the_rate_of_their_data() -> None:
    files = drawn(noise(3, 1, 5, 8, 8), DataSpec((1, 5, 8, 8), rate=10))
    shown = opened(files[".webp"])
    assert (files.keys(), shown.size, shown.n_frames) == ({".webp"}, (3 * 10 + 2, 12), 5)
    shown.seek(1)
    shown.load()
    assert shown.info["duration"] == 100


@pytest.mark.parametrize("features", [1, 2, 3])
def test_axes_of_points_are_those_of_the_data_wherever_the_samples_are(features) -> None:
    reals = torch.randn(500, features, generator=torch.Generator().manual_seed(0))
    near, far = (
        pixels_of(drawn(reals + shift, DataSpec((features,), bounded=False), Split(reals))[".webp"])
        for shift in (0.0, 100.0)
    )
    assert near.shape == far.shape
    assert (near[-20:] == far[-20:]).all(), "the numbers below"
    assert (near != far).any()


def test_sounds_are_a_row_of_spectrograms_and_a_short_file_of_some_of_each_part() -> None:
    x = torch.stack([torch.full((1, 16_000), (i + 1) / 10) for i in range(8)])
    files = drawn(x, DataSpec((1, 16_000), rate=8000))
    assert opened(files[".webp"]).size == (8 * 42 + 2, 44)
    with wave.open(io.BytesIO(files[".wav"])) as file:
        heard = np.frombuffer(file.readframes(file.getnframes()), "<i2") / 2**15
        assert (file.getframerate(), len(files[".wav"]) <= 61_000) == (8000, True)
    assert np.unique(heard.round(3)).tolist() == [0.1], "one sound fills the file"
    short = drawn(x[..., :8000], DataSpec((1, 8000), rate=8000))[".wav"]
    with wave.open(io.BytesIO(short)) as file:
        heard = np.frombuffer(file.readframes(file.getnframes()), "<i2") / 2**15
    assert np.unique(heard.round(3)).tolist() == [0, 0.1, 0.5, 0.8]


def test_very_long_sounds_are_cut() -> None:
    assert len(drawn(torch.zeros(2, 2, 100_000), DataSpec((2, 100_000), rate=8000))[".wav"]) < 61_000


@pytest.mark.parametrize(("classes", "expected"), [(10, range(10)), (3, [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2])])
def test_samples_stand_in_the_order_of_their_classes_equally_many_of_each(classes, expected) -> None:
    labels = torch.arange(200).flip(0) % classes
    few = strips.shown(Split(noise(200, 1, 4, 4), labels), DataSpec((1, 4, 4), classes=classes))
    assert few.labels.tolist() == list(expected)


def test_of_too_many_classes_some_evenly_spaced_ones_are_shown() -> None:
    few = strips.shown(Split(noise(1000, 1, 4, 4), torch.arange(1000)), DataSpec((1, 4, 4), classes=1000))
    assert few.labels.tolist() == [0, 91, 182, 272, 363, 454, 545, 636, 727, 817, 908, 999]


def test_data_without_classes_or_with_few_samples_have_strips_too() -> None:
    assert len(strips.shown(Split(noise(50, 1, 4, 4)), DataSpec((1, 4, 4)))) == 12
    assert len(strips.shown(Split(noise(3, 1, 4, 4)), DataSpec((1, 4, 4)))) == 3
    assert len(strips.shown(Split(noise(3, 1, 4, 4), torch.tensor([1, 0, 1])), DataSpec((1, 4, 4), classes=2))) == 3


# -- how it is bound ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["x.webp", "x.wav"])
def test_a_bound_file_is_read_like_any_other(name, tmp_path) -> None:
    path = saved(tmp_path / name, HASHES[7], 64)
    assert read_strip(path).weights == HASHES[7]
    assert int.from_bytes(path.read_bytes()[4:8], "little") == path.stat().st_size - 8, "as RIFF wants it"
    if name == "x.wav":
        with wave.open(str(path)) as file:
            assert file.readframes(1) == (2**13).to_bytes(2, "little")
        assert scipy.io.wavfile.read(path)[1].tolist() == [2**13] * 80, "without a warning"
    else:
        assert (pixels_of(path.read_bytes()) == pixels_of(picture(64))).all()


def test_an_animation_is_read_like_any_other_after_it_was_bound() -> None:
    frames = [np.full((4, 9, 3), value, np.uint8) for value in (0, 90, 200)]
    shown = opened(bind(animation(frames, 8, "webp"), HASHES[0]))
    assert shown.n_frames == 3
    shown.seek(2)
    assert (np.asarray(shown.convert("RGB")) == 200).all()


@pytest.mark.parametrize("name", ["x.webp", "x.wav"])
def test_a_flipped_bit_anywhere_in_a_strip_is_noticed(name, tmp_path) -> None:
    content = saved(tmp_path / name, HASHES[1]).read_bytes()
    record = of_weights("a+x", 0, HASHES[1])
    for place in range(len(content)):
        (tmp_path / name).write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        assert not is_strip_of(record, tmp_path / name), place


def put(what: str, path: Path) -> None:
    """Something that is no strip, at ``path``."""
    content = bind(picture(), HASHES[1])
    if what == "folder":
        path.mkdir()
    elif what == "pipe":
        os.mkfifo(path)
    elif what == "huge":
        with path.open("wb") as file:
            file.truncate(MOST + 1)
    elif what == "bomb":  # a picture of 16,383 x 16,383 pixels in a few bytes, without a binding
        path.write_bytes(b"RIFF\x1a\0\0\0WEBPVP8L\x0d\0\0\0/\xfe\xbf\xff\x0f" + bytes(8))
    else:
        others = {"empty": b"", "text": b"strip", "half": content[: len(content) // 2], "bare": picture()}
        path.write_bytes(others[what])


NO_STRIPS = ["folder", "pipe", "huge", "bomb", "empty", "text", "half", "bare"]


@pytest.mark.parametrize("what", NO_STRIPS)
def test_what_is_no_strip_is_refused_in_a_sentence(what, tmp_path) -> None:
    put(what, tmp_path / "strip.webp")
    with pytest.raises(RecordError, match=r"strip\.webp(: it is|.* is not a strip of samples)"):
        read_strip(tmp_path / "strip.webp")


# -- what a run leaves -------------------------------------------------------------------------------------------------


class Finished(NamedTuple):
    job: TrainingJob
    record: Record

    @property
    def strip(self) -> Path:
        return Path(self.job.folder, "strip.webp")


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Finished:
    job = job_in(tmp_path_factory.mktemp("strips") / "runs", "cgan-mlp", "hinge", QUICK)
    return Finished(job, carry_out(job))


def test_a_run_leaves_a_strip_of_its_last_weights(finished) -> None:
    assert finished.record.status == "ok", finished.record.reason
    assert is_strip_of(finished.record, finished.strip)
    assert not finished.strip.with_suffix(".wav").exists()
    gan, _ = checkpoint.players_of(finished.strip.with_name("checkpoint.pt"))
    reals = prepare(QUICK, "cpu").judge.reference
    few = strips.shown(reals, DataSpec((1, 16, 16), classes=10))
    assert few.labels.tolist() == list(range(10))
    fakes = sample(gan, few, QUICK.seed(0, "picture"), torch.device("cpu"))
    shown = pixels_of(finished.strip.read_bytes())
    assert all((shown[2:18, 2 + 18 * i :][:, :16] == fake).all() for i, fake in enumerate(images.rgb(fakes.x)))


def test_a_resumed_run_leaves_the_same_strip(finished, tmp_path) -> None:
    job, events = job_in(tmp_path, "cgan-mlp", "hinge", QUICK), []
    stopped = carry_out(job, events.append, lambda: sum(isinstance(e, Progress) for e in events) >= 3)
    assert stopped.status == "interrupted"
    assert not Path(job.folder, "strip.webp").exists()
    assert carry_out(job).bits == finished.record.bits
    assert Path(job.folder, "strip.webp").read_bytes() == finished.strip.read_bytes()


def test_a_run_that_fails_leaves_no_strip_of_an_earlier_one(tmp_path, monkeypatch) -> None:
    job = job_in(tmp_path, rules=QUICK, force=True)
    for name in ("strip.webp", "strip.wav"):
        saved(Path(job.folder, name), HASHES[0])
    monkeypatch.setattr(run, "judge", lambda *_: 1 / 0)
    monkeypatch.setattr(strips, "files_of", lambda *_: {})
    assert carry_out(job).status == "error"
    assert list(Path(job.folder).glob("strip*")) == []


def test_samples_that_are_not_finite_are_no_strip_and_no_result(tmp_path, monkeypatch) -> None:
    job = job_in(tmp_path, rules=QUICK)
    monkeypatch.setattr(strips, "shown", lambda *_: (_ for _ in ()).throw(Diverged("a generated sample")))
    record = carry_out(job)
    assert (record.status, record.scores) == ("diverged", {})
    assert list(Path(job.folder).glob("strip*")) == []


# -- what is published -------------------------------------------------------------------------------------------------


def board_in(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@pytest.fixture
def runs(tmp_path) -> Path:
    """Two rows of three seeds, each run with its strips."""
    for row, entry in enumerate(("a+x", "b+x")):
        for seed in range(3):
            record, folder = of_weights(entry, seed, HASHES[10 * row + seed]), tmp_path / "runs" / entry / f"seed{seed}"
            write(record, folder / "record.json")
            for name in ("strip.webp", "strip.wav"):
                saved(folder / name, record.bits.weights, 10 * row + seed)
    return tmp_path / "runs"


def publish(runs: Path, folder: Path) -> list[str]:
    records = [read(path) for path in sorted(runs.rglob("record.json"))]
    return write_folder(records, TOY, folder, strips=strips_in(runs))


def test_the_strips_of_each_rows_lowest_seed_are_published(runs, tmp_path) -> None:
    written = publish(runs, tmp_path / "board")
    strips_written = {name: tmp_path / "board" / name for name in written if name.startswith("strips/")}
    assert set(strips_written) == {f"strips/{row}+x+seed0.{kind}" for row in "ab" for kind in ("webp", "wav")}
    source = runs / "b+x" / "seed0" / "strip.wav"
    assert strips_written["strips/b+x+seed0.wav"].read_bytes() == source.read_bytes()
    assert check_folder(tmp_path / "board", TOY) == []


SHOWING = ("README.md", "index.html", "summary.json")
"""What shows strips; the summary has that of the best row."""


def test_tables_show_the_strips_of_their_rows(runs, tmp_path) -> None:
    publish(runs, tmp_path)
    text, page = ((tmp_path / name).read_text() for name in ("README.md", "index.html"))
    line = "| b+x | ![samples of b+x](strips/b+x+seed0.webp) | [listen](strips/b+x+seed0.wav) |"
    places = [text.index(part) for part in ("## Rows with missing seeds", "## Samples", line, "## Columns")]
    assert places == sorted(places)
    assert '<img class="large" src="strips/b+x+seed0.webp" alt="samples of b+x" loading="lazy">' in page
    assert '<audio controls preload="none" src="strips/b+x+seed0.wav" aria-label="samples of b+x">' in page


def test_a_folder_without_strips_has_no_section_for_them(tmp_path) -> None:
    write_folder([of_weights("a+x", 0, HASHES[0])], TOY, tmp_path)
    assert not (tmp_path / "strips").exists()
    assert all("<img" not in text and "## Samples" not in text for text in map(str, board_in(tmp_path).values()))


def test_publishing_twice_changes_nothing_with_or_without_the_runs(runs, tmp_path) -> None:
    publish(runs, tmp_path / "board")
    before = board_in(tmp_path / "board")
    assert publish(runs, tmp_path / "board") == []
    assert write_folder([], TOY, tmp_path / "board") == []
    assert board_in(tmp_path / "board") == before


def test_a_strip_of_other_weights_is_not_published(runs, tmp_path) -> None:
    saved(runs / "a+x" / "seed0" / "strip.webp", HASHES[99])
    publish(runs, tmp_path / "board")
    assert not (tmp_path / "board/strips/a+x+seed0.webp").exists()
    assert "| a+x |  | [listen](strips/a+x+seed0.wav) |" in (tmp_path / "board/README.md").read_text()


@pytest.mark.parametrize("what", NO_STRIPS)
def test_what_is_no_strip_is_left_out_with_a_warning(what, runs, tmp_path) -> None:
    path = runs / "a+x" / "seed0" / "strip.webp"
    path.unlink()
    put(what, path)
    with pytest.warns(GanbenchWarning, match=r"strip\.webp.*; it is not published"):
        publish(runs, tmp_path / "board")
    assert not (tmp_path / "board/strips/a+x+seed0.webp").exists()
    assert (tmp_path / "board/strips/b+x+seed0.webp").exists()


def test_the_strip_of_a_record_that_is_replaced_goes(runs, tmp_path) -> None:
    publish(runs, tmp_path)
    again = of_weights("a+x", 0, HASHES[50], started="2026-02-01T00:00:00+00:00")
    gone = ["strips/a+x+seed0.wav", "strips/a+x+seed0.webp"]
    assert set(gone) <= set(write_folder([again], TOY, tmp_path))
    assert not any((tmp_path / name).exists() for name in gone)
    assert "a+x+seed0.webp" not in (tmp_path / "README.md").read_text()
    assert check_folder(tmp_path, TOY) == []
    new = saved(tmp_path / "other" / "strip.webp", HASHES[50])
    assert write_folder([], TOY, tmp_path, strips=[new]) == sorted([*SHOWING, "strips/a+x+seed0.webp"])


def test_the_strips_of_a_row_that_is_removed_go(runs, tmp_path) -> None:
    publish(runs, tmp_path / "board")
    for path in (tmp_path / "board/records").glob("a+x+*"):
        path.unlink()
    stale = {"strips/a+x+seed0.wav", "strips/a+x+seed0.webp"}
    assert stale <= set(check_folder(tmp_path / "board", TOY))
    assert stale <= set(write_folder([], TOY, tmp_path / "board"))
    assert check_folder(tmp_path / "board", TOY) == []


@pytest.mark.parametrize("what", ["edited", "of another seed", "under another name", *NO_STRIPS])
def test_a_check_names_strips_that_are_bound_to_no_row(what, runs, tmp_path) -> None:
    publish(runs, tmp_path / "board")
    path = tmp_path / "board/strips/a+x+seed0.webp"
    content, named = path.read_bytes(), sorted([*SHOWING, "strips/a+x+seed0.webp"])
    path.unlink()
    if what == "edited":
        path.write_bytes(content.replace(b"sha256", b"sha512"))
    elif what == "of another seed":
        saved(path, HASHES[1])
    elif what == "under another name":
        path.with_name("mine.webp").write_bytes(content)
        named = sorted([*SHOWING, "strips/mine.webp"])
    else:
        put(what, path)
    assert check_folder(tmp_path / "board", TOY) == named
    if what == "folder":  # which is not deleted
        with pytest.raises(RecordError, match=r"cannot write .*a\+x\+seed0\.webp"):
            publish(runs, tmp_path / "board")
        path.rmdir()
    (strip,) = (name for name in named if name.startswith("strips/"))
    assert strip in publish(runs, tmp_path / "board")
    assert path.read_bytes() == content
    assert check_folder(tmp_path / "board", TOY) == []


def test_names_of_rows_are_no_markup_beside_their_samples(tmp_path) -> None:
    changes = {"loss.path": 'x](http://evil) ![y](z)|<script>"&'}
    record = of_weights("a+x", 0, HASHES[0], changes=changes)
    write_folder([record], TOY, tmp_path / "board", strips=[saved(tmp_path / "strip.webp", HASHES[0])])
    text, page = ((tmp_path / "board" / name).read_text() for name in ("README.md", "index.html"))
    (line,) = (line for line in text.splitlines() if "![samples" in line)
    assert "\\](http\\://evil) !\\[y\\](z)\\|\\<script>" in line
    (path,) = (tmp_path / "board/strips").iterdir()
    assert line.endswith(f"](strips/{path.name}) |")
    assert "<script>&" not in page
    assert f'alt="samples of {markupsafe.escape(record.entry)}"' in page


def test_the_command_publishes_the_strips_of_runs(finished, ganbench_here, tmp_path) -> None:
    runs = Path(finished.job.folder).parents[2]
    rules = tmp_path / "quick.toml"
    rules.write_text(RULES)
    done = ganbench_here("leaderboard", rules, "--runs", runs, "--write", "--out", tmp_path / "boards")
    assert done.returncode == 0, done.stderr
    (strip,) = (tmp_path / "boards").rglob("strips/*")
    assert (strip.name, strip.read_bytes()) == ("cgan-mlp+hinge+seed0.webp", finished.strip.read_bytes())


def test_open_writes_a_page_of_own_rows_beside_published_ones(finished, ganbench_here, tmp_path, monkeypatch) -> None:
    runs = Path(finished.job.folder).parents[2]
    rules = tmp_path / "quick.toml"
    rules.write_text(RULES)
    asked = []
    monkeypatch.setattr("webbrowser.open", lambda address: asked.append(address) or True)
    done = ganbench_here("leaderboard", rules, "--runs", runs, "--open")
    assert done.returncode == 0, done.stderr
    (page,) = runs.glob("*/leaderboard.html")
    assert asked == [page.resolve().as_uri()]
    text = page.read_text()
    address = re.search(r'<img class="large" src="(.*?)"', text)[1]
    assert (page.parent / address).resolve() == finished.strip.resolve()
    record = re.search(r'<a href="(.*?)">seed 0</a>', text)[1]
    assert (page.parent / record).is_file()


def test_open_shows_the_published_page_after_writing_it(finished, ganbench_here, tmp_path, monkeypatch) -> None:
    runs = Path(finished.job.folder).parents[2]
    rules = tmp_path / "quick.toml"
    rules.write_text(RULES)
    asked = []
    monkeypatch.setattr("webbrowser.open", lambda address: asked.append(address) or True)
    boards = tmp_path / "boards"
    done = ganbench_here("leaderboard", rules, "--runs", runs, "--write", "--open", "--out", boards)
    assert done.returncode == 0, done.stderr
    (page,) = boards.glob("*/index.html")
    assert asked == [page.resolve().as_uri()]


def test_open_names_the_page_where_there_is_no_browser(finished, ganbench_here, tmp_path, monkeypatch) -> None:
    runs = Path(finished.job.folder).parents[2]
    rules = tmp_path / "quick.toml"
    rules.write_text(RULES)
    monkeypatch.setattr("webbrowser.open", lambda _: False)
    done = ganbench_here("leaderboard", rules, "--runs", runs, "--open")
    assert "leaderboard.html: no browser was found, so open it yourself" in done.stdout.replace("\n", "")
