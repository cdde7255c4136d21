"""`ganbench new-protocol`: from a user's own data to a table in three commands, and what it refuses."""

from __future__ import annotations

import re
import shlex
import time
import warnings
from pathlib import Path

import msgspec
import numpy as np
import pytest
from msgspec.structs import replace
from PIL import Image
from scipy.io import wavfile

from ganbench import plugins
from ganbench.cli import new_protocol
from ganbench.contracts import protocol_text
from ganbench.contracts.protocol import Evaluating, Protocol, Training
from ganbench.contracts.protocol_file import from_toml, read_toml
from ganbench.contracts.protocol_text import MEANINGS, commented
from ganbench.errors import ProtocolError
from ganbench.evaluation.judge import Judge
from ganbench.plugins.protocols import load_protocol
from ganbench.records.store import read
from ganbench.runs import proposal, tryout
from ganbench.runs.setup import prepare
from ganbench_baselines.extractor import own

pytestmark = pytest.mark.filterwarnings("always::ganbench.errors.Doubt")  # what is said of data is printed


def blobs(folder: Path, n: int, seed: int = 0, size: int = 16, mode: str = "RGB") -> None:
    """Smooth random images."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(n):
        pixels = Image.fromarray(rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)).convert(mode)
        pixels.resize((size, size), Image.Resampling.BICUBIC).save(folder / f"{number:03d}.png")


def tones(folder: Path, n: int) -> None:
    rng, time = np.random.default_rng(0), np.arange(4096) / 8000
    folder.mkdir()
    for number in range(n):
        sound = 0.5 * np.exp(-time * rng.uniform(5, 20)) * np.sin(2 * np.pi * rng.uniform(80, 900) * time)
        wavfile.write(folder / f"{number:03d}.wav", 8000, (32767 * sound).astype(np.int16))


@pytest.fixture(autouse=True)
def _quick(monkeypatch) -> None:
    """Little is measured, and the budgets are the smallest."""
    monkeypatch.setattr(tryout, "LONG_ENOUGH", 0.01)
    monkeypatch.setattr(proposal, "ROW_SECONDS", 0.001)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """``photos`` of 80 images, ``scans`` of 60 in two classes."""
    blobs(tmp_path / "photos", 80)
    for seed, name in enumerate(("cats", "dogs"), start=1):
        blobs(tmp_path / "scans" / name, 40, seed, mode="L")
    return tmp_path


def test_rules_that_cannot_be_read_back_leave_every_file_as_it_was(data, ganbench_here, monkeypatch) -> None:
    def refuse(file: Path) -> Protocol:
        raise ProtocolError(f"{file.name} is no protocol", "write another")

    monkeypatch.setattr(new_protocol, "read_toml", refuse)
    for name in ("mine.toml", "mine.judge.safetensors"):
        (data / name).write_text("precious")
    before = {path.name for path in data.iterdir()}
    done = ganbench_here("new-protocol", data / "mine.toml", "--images", data / "photos", "--force")
    assert (done.returncode, "is no protocol" in done.stderr) == (2, True)
    assert {path.name for path in data.iterdir()} == before
    assert [(data / name).read_text() for name in ("mine.toml", "mine.judge.safetensors")] == ["precious"] * 2


# -- from nothing to a table -------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_three_commands_lead_from_a_folder_of_images_to_a_table(data, ganbench_here) -> None:
    made = ganbench_here("new-protocol", "mine.toml", "--images", "photos")
    assert made.returncode == 0, made.stderr
    run, table = (shlex.split(line)[1:] for line in made.stdout.splitlines() if line.startswith("  ganbench "))
    done = ganbench_here(*run, "--seed", "0", "--jobs", "1", "-q")
    assert done.returncode == 0, done.stderr
    assert "mostly bias" not in done.stdout + done.stderr
    shown = ganbench_here(*table).stdout
    score = {row: float(re.search(rf"{row} +yardstick +([\d.]+)", shown)[1]) for row in ("real data", "gaussian fit")}
    assert score["real data"] < score["gaussian fit"]
    assert re.search(r"dcgan\S* +r1", shown)


@pytest.mark.slow
def test_no_record_or_table_tells_where_the_data_lie_and_runs_are_reproduced(data, ganbench_here) -> None:
    (data / "my scans").mkdir()
    (data / "scans").rename(data / "my scans" / "2024")
    ganbench_here("new-protocol", "my scans/mine.toml", "--images", "my scans/2024")
    rules = ["--protocol", "my scans/mine.toml"]
    done = ganbench_here("run", *rules, "--arch", "mlp", "--loss", "r1", "--seed", "0", "--jobs", "1", "-q")
    assert done.returncode == 0, done.stderr
    ganbench_here("leaderboard", "my scans/mine.toml", "--write", "--out", "published")
    written = [*data.rglob("*.json"), *data.glob("published/**/*.*")]
    assert {file.suffix for file in written} >= {".json", ".csv", ".md", ".html"}
    for file in written:
        assert "my scans" not in file.read_bytes().decode("utf-8", "replace"), file
    (record,) = data.glob("runs/mine/mlp+r1/seed0/record.json")
    parts = read(record).parts
    assert (parts["dataset"].name, parts["extractor"].name) == ("folder:./2024", "own:mine.judge.safetensors")
    again = ganbench_here("reproduce", record, *rules)
    assert "identical bits" in again.stdout, again.stderr


def test_it_says_what_it_found_and_what_comes_next(data, ganbench_here) -> None:
    (data / "photos" / "drawn.svg").write_text("<svg/>")
    (data / "photos" / "again.png").write_bytes((data / "photos" / "000.png").read_bytes())
    said = ganbench_here("new-protocol", "mine.toml", "--images", "photos").stdout
    for part in (
        "folder:photos has 81 images, used as images of shape 3x16x16: 65 for training, 16 held out.",
        "81 of 82 files in the folder photos are used, and 1 left out (1 .svg",
        "1 of 81 images in the folder photos is a copy of another",
        "left out: the metric 'is': needs logits",
        "judge: mine.judge.safetensors, 8 features, trained in",
        "headline: fid of 40 fakes; real data",
        "dcgan with r1 takes",
        "\n  ganbench run --protocol mine.toml --arch dcgan --loss r1\n  ganbench leaderboard mine.toml\n",
    ):
        assert part in said, part
    text = (data / "mine.toml").read_text()
    assert "1 of 81 images in the folder photos is a copy of another" in text
    assert "# without 'is': needs logits" in text
    assert "modes" not in text, "photos have no classes"
    assert "# one class: there are no classes, so this repeats a single sample" in text
    assert read_toml(data / "mine.toml").evaluation.shown == ("coverage", "kid", "recall")


def test_the_file_says_why_modes_are_not_counted_and_what_shows_missing_classes(data, ganbench_here) -> None:
    ganbench_here("new-protocol", "mine.toml", "--images", "scans")
    ganbench_here("new-protocol", "each.toml", "--images", "scans", "--classes")
    why = "# without 'modes': the class of a fake is not known for certain; missing classes show in "
    instead = {
        name: (data / f"{name}.toml").read_text().partition(why)[2].partition("\n")[0] for name in ("mine", "each")
    }
    assert instead == {
        "mine": "coverage and the yardstick 'one class'",
        "each": "intra_fid, coverage and the yardstick 'one class'",
    }


def test_every_sort_of_data_gets_rules_that_fit(data, ganbench_here) -> None:
    tones(data / "sounds", 64)
    for name in "ab":
        blobs(data / name, 64, seed=ord(name))
    np.save(data / "cloud.npy", np.random.default_rng(0).normal(size=(400, 2)))
    np.savetxt(data / "line.csv", np.random.default_rng(0).normal(size=400))
    wanted = {
        "scans": (["--images", "scans"], "folder:scans", "fid", "dcgan"),
        "classes": (["--images", "scans", "--classes"], "folder:scans", "intra_fid", "cgan"),
        "pairs": (["--pairs", "a", "b"], "folder-pair:a,b", "paired_error", "cyclegan"),
        "sounds": (["--sounds", "sounds"], "folder-wav:sounds,4096,8000", "fad", "wavegan"),
        "cloud": (["--points", "cloud.npy"], "points:cloud.npy", "coverage", "mlp"),
        "line": (["--points", "line.csv"], "points:line.csv", "w1", "mlp"),
    }
    for name, (options, dataset, headline, arch) in wanted.items():
        made = ganbench_here("new-protocol", f"{name}.toml", *options)
        assert made.returncode == 0, made.stderr
        rules = from_toml((data / f"{name}.toml").read_text(), name)
        assert (rules.dataset, rules.evaluation.headline) == (dataset, headline)
        assert rules.evaluation.target is None
        assert f"--arch {arch} " in made.stdout
        assert (data / f"{name}.judge.safetensors").exists() == (arch != "mlp")
        assert ganbench_here("protocols", "show", f"{name}.toml").returncode == 0
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what is said of the data
            bench = prepare(read_toml(data / f"{name}.toml"), "cpu")
        assert {*bench.judge.metrics} == {*rules.evaluation.metrics}


def test_folders_without_pairs_are_ranked_by_what_can_be_scored(data, ganbench_here) -> None:
    blobs(data / "a", 64, seed=5)
    blobs(data / "b", 64, seed=6)
    for number, file in enumerate((data / "b").iterdir()):
        file.rename(file.with_name(f"other{number}.png"))
    assert ganbench_here("new-protocol", "mine.toml", "--pairs", "a", "b").returncode == 0
    rules = read_toml(data / "mine.toml").evaluation
    assert rules.headline == "fid"
    assert "translation" not in rules.metrics


def test_samples_are_half_of_the_data_so_that_real_data_are_scored_at_as_many(data, ganbench_here) -> None:
    ganbench_here("new-protocol", "mine.toml", "--images", "photos")
    rules = read_toml(data / "mine.toml").evaluation
    assert (rules.samples, rules.reference) == (40, "all")


# -- options -----------------------------------------------------------------------------------------------------------


def test_training_settings_and_size_are_those_asked_for(data, ganbench_here) -> None:
    ganbench_here("new-protocol", "mine.toml", "--images", "photos", "--like", "digits-64-v1", "--size", "24")
    rules, like = read_toml(data / "mine.toml"), load_protocol("digits-64-v1")
    assert rules.resolution == 24
    taken = replace(rules.training, budget_kimg=like.training.budget_kimg, batch=like.training.batch)
    assert taken == like.training
    assert rules.training.batch <= 32  # of 64 training images


def test_settings_of_another_sort_of_data_come_with_a_doubt(data, ganbench_here) -> None:
    np.savetxt(data / "line.csv", np.random.default_rng(0).normal(size=400))
    for option, like, doubtful in (
        (["--images", "photos"], "ring-v2", True),
        (["--points", "line.csv"], "digits-16-v2", True),
        (["--images", "photos"], "digits-64-v1", False),
    ):
        made = ganbench_here("new-protocol", "mine.toml", *option, "--like", like, "--force")
        assert made.returncode == 0, made.stderr
        assert (f"the training settings of {like} were not chosen for " in made.stderr) == doubtful


def test_the_name_of_a_file_keeps_its_first_letter(data, ganbench_here) -> None:
    np.savetxt(data / "line.csv", np.random.default_rng(0).normal(size=400))
    assert "\nline.csv is scaled" in ganbench_here("new-protocol", "mine.toml", "--points", "line.csv").stdout


def test_large_images_are_made_smaller_and_small_ones_are_left_alone(tmp_path, ganbench_here) -> None:
    for size, taken in ((40, 32), (12, 12)):
        blobs(tmp_path / f"of{size}", 60, size=size)
        made = ganbench_here("new-protocol", f"of{size}.toml", "--images", f"of{size}")
        assert made.returncode == 0, made.stderr
        assert read_toml(tmp_path / f"of{size}.toml").resolution == taken
    blobs(tmp_path / "mixed", 40, size=40)
    blobs(tmp_path / "more", 40, size=50)
    for file in (tmp_path / "more").iterdir():
        file.rename(tmp_path / "mixed" / f"m{file.name}")
    ganbench_here("new-protocol", "mixed.toml", "--images", "mixed")
    assert read_toml(tmp_path / "mixed.toml").resolution == 32


def test_metrics_that_another_judge_cannot_score_well_are_left_out(data, ganbench_here) -> None:
    made = ganbench_here("new-protocol", "mine.toml", "--images", "photos", "--extractor", "raw")
    assert "left out: the metric 'fid': 40 samples are no more than the 768 features" in made.stdout
    rules = read_toml(data / "mine.toml").evaluation
    assert (rules.headline, rules.extractor) == ("kid", "raw")
    assert not (data / "mine.judge.safetensors").exists()


def test_a_judge_made_for_other_data_comes_with_a_doubt(data, ganbench_here) -> None:
    made = ganbench_here("new-protocol", "mine.toml", "--images", "scans", "--extractor", "digits-cnn")
    assert "the extractor digits-cnn was made for digits" in made.stderr


def test_the_file_may_be_anywhere_and_still_finds_data_and_judge(data, ganbench_here, monkeypatch) -> None:
    (data / "rules").mkdir()
    made = ganbench_here("new-protocol", "rules/mine.toml", "--images", "photos")
    assert made.returncode == 0, made.stderr
    assert from_toml((data / "rules" / "mine.toml").read_text(), "it").dataset == "folder:../photos"
    monkeypatch.chdir("/")
    rules = read_toml(data / "rules" / "mine.toml")
    assert rules.dataset == f"folder:{data / 'photos'}"
    assert rules.evaluation.extractor == f"own:{data / 'rules' / 'mine.judge.safetensors'}"


def test_a_folder_called_by_a_number_is_a_path(data, ganbench_here) -> None:
    (data / "photos").rename(data / "2024")
    assert ganbench_here("new-protocol", "mine.toml", "--images", "2024").returncode == 0
    assert from_toml((data / "mine.toml").read_text(), "it").dataset == "folder:./2024"


def test_the_budget_is_that_of_three_minutes_within_limits(data, ganbench_here, monkeypatch) -> None:
    def budget(seconds: float, per_image: float) -> float:
        monkeypatch.setattr(proposal, "ROW_SECONDS", seconds)
        monkeypatch.setattr(proposal, "training_seconds", lambda job, bench: 80_000 * per_image)
        ganbench_here("new-protocol", "mine.toml", "--images", "photos", "--force")
        return read_toml(data / "mine.toml").training.budget_kimg

    like = load_protocol("digits-16-v1").training.budget_kimg
    assert 10 < budget(180, 0.005) <= 24  # 90 s a run, of which judging takes some
    assert budget(180, 1e-9) == 4 * like
    assert budget(0.001, 0.005) == 1.6  # 50 updates


def test_what_else_keeps_the_machine_busy_does_not_shrink_the_budget(data, ganbench_here, monkeypatch) -> None:
    budgets = list[float]()
    monkeypatch.setattr(proposal, "ROW_SECONDS", 180)
    monkeypatch.setattr(proposal, "training_seconds", lambda job, bench: 80_000 * 0.005)
    judged = Judge.score

    def starved(self: Judge, *given: object, **named: object) -> object:
        time.sleep(2)
        return judged(self, *given, **named)

    for score in (judged, starved):
        monkeypatch.setattr(Judge, "score", score)
        ganbench_here("new-protocol", "mine.toml", "--images", "photos", "--force")
        budgets.append(read_toml(data / "mine.toml").training.budget_kimg)
    assert budgets[1] > 0.9 * budgets[0]


# -- refusals ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["mine.toml"], "no data are given"),
        (["mine.toml", "--images", "photos", "--points", "p.npy"], "--images and --points are given"),
        (["mine.toml", "--images", "nowhere"], "the image folder 'nowhere' does not exist"),
        (["mine.toml", "--sounds", "photos"], "holds no sounds that can be read"),
        (["mine.toml", "--points", "nowhere.npy"], "'nowhere.npy' does not exist"),
        (["mine.toml", "--images", "few"], "folder:few has 20 images, too few"),
        (["mine.toml", "--images", "black"], "all samples of 'folder:black' are alike"),
        (["mine.toml", "--points", "still.csv"], "all samples of 'points:still.csv' are alike"),
        (["mine.toml", "--images", "photos", "--classes"], "folder:photos has no classes"),
        (["mine.toml", "--points", "p.npy", "--classes"], "--classes does not go with --points"),
        (["mine.toml", "--points", "p.npy", "--size", "8"], "--size does not go with --points"),
        (["mine.toml", "--images", "photos", "--rate", "8000"], "--rate does not go with --images"),
        (["mine.toml", "--images", "photos", "--like", "digits-16"], "no protocol called 'digits-16'"),
        (["mine.toml", "--images", "photos", "--extractor", "drums-cnn"], "drums-cnn judges"),
        (["mine.toml", "--images", "photos", "--extractor", "own:no.safetensors"], "does not exist"),
        (["mine.toml", "--images", "broken"], "1 of 81 images in 'broken' cannot be read"),
        (["mine.txt", "--images", "photos"], "does not end with .toml"),
        (["my rules.toml", "--images", "photos"], "'my rules' is not a valid name for a protocol"),
        (["digits-16-v1.toml", "--images", "photos"], "an installed protocol is called digits-16-v1"),
        (["no/mine.toml", "--images", "photos"], "the folder no does not exist"),
        (["there.toml", "--images", "photos"], "there.toml already exists"),
        (["judged.toml", "--images", "photos"], "judged.judge.safetensors already exists"),
        (["folder.toml", "--images", "photos", "--force"], "folder.toml already exists"),
        (["mine.toml", "--images", "a,7"], "would be read as a path and numbers"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence_and_nothing_is_written(data, ganbench_here, arguments, said) -> None:
    blobs(data / "few", 20)
    blobs(data / "broken", 80)
    (data / "broken" / "cut.png").write_bytes((data / "broken" / "000.png").read_bytes()[:60])
    (data / "still.csv").write_text("1,2\n" * 100)
    blobs(data / "black", 80)
    for file in (data / "black").iterdir():
        Image.new("RGB", (16, 16)).save(file)
    (data / "there.toml").write_text("mine")
    (data / "judged.judge.safetensors").write_text("mine")
    (data / "folder.toml").mkdir()
    before = {path: path.read_bytes() for path in data.iterdir() if path.is_file()}
    refused = ganbench_here("new-protocol", *arguments)
    assert refused.returncode == 2
    assert re.search(said, refused.stderr), refused.stderr
    assert "Traceback" not in refused.stderr
    assert len(refused.stderr.strip().splitlines()) == 2, "a sentence and the next step"
    assert {path: path.read_bytes() for path in data.iterdir() if path.is_file()} == before


def test_too_few_images_are_told_how_many_are_needed(data, ganbench_here) -> None:
    blobs(data / "few", 20)
    assert f"use at least {proposal.FEWEST}" in ganbench_here("new-protocol", "mine.toml", "--images", "few").stderr


def test_a_judge_whose_training_fails_is_named_in_a_sentence(data, ganbench_here, monkeypatch) -> None:
    def fail(self, dataset) -> None:
        raise RuntimeError("no luck")

    monkeypatch.setattr(own.Own, "fit", fail)
    refused = ganbench_here("new-protocol", "mine.toml", "--images", "photos")
    assert refused.returncode == 2
    assert re.search(r"own \(ganbench .*\) failed to train: RuntimeError: no luck", refused.stderr)
    assert not (data / "mine.toml").exists()


def test_force_replaces_both_files(data, ganbench_here) -> None:
    for name in ("mine.toml", "mine.judge.safetensors"):
        (data / name).write_text("old")
    assert ganbench_here("new-protocol", "mine.toml", "--images", "photos", "--force").returncode == 0
    assert read_toml(data / "mine.toml").name == "mine"
    assert (data / "mine.judge.safetensors").stat().st_size > 1000


# -- the file ----------------------------------------------------------------------------------------------------------


def test_every_field_has_a_meaning() -> None:
    assert {*MEANINGS[Training]} == {*Training.__struct_fields__}
    assert {*MEANINGS[Evaluating]} == {*Evaluating.__struct_fields__}
    assert {*MEANINGS[Protocol]} == {*Protocol.__struct_fields__} - {"training", "evaluation"}


@pytest.mark.parametrize("source", plugins.of_kind("protocol"), ids=lambda source: source.name)
def test_a_commented_file_holds_the_same_rules_and_explains_every_line(source) -> None:
    protocol = load_protocol(source.name)
    text = commented(protocol, "A line.\nAnother.", {"samples": "half", "lr": "a\nb"})
    assert from_toml(text, "it") == protocol
    assert text.startswith("# A line.\n# Another.\n")
    assert "\n# half\nsamples = " in text
    assert "\n# a\n# b\nlr = " in text
    for line in text.partition("\n[losses")[0].splitlines():
        if re.match(r"\w+ = ", line):
            assert " # " in line or f"\n# {line.partition(' ')[0]}: " in text, line


def test_what_is_found_in_names_of_files_stays_a_comment() -> None:
    protocol = load_protocol("ring-v2")
    assert from_toml(commented(protocol, "a \x1b[31m\rname = 'other'\x00"), "it") == protocol


def test_fields_that_are_left_out_are_shown_as_examples_that_parse() -> None:
    text = commented(load_protocol("gaussian-1d-v1"))
    for name, value in protocol_text.EXAMPLES.items():
        (line,) = [line for line in text.splitlines() if re.match(rf"(# )?{name} = ", line)]
        assert msgspec.toml.decode(line.removeprefix("# ")) == {name: value} or not line.startswith("# ")
