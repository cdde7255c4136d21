"""Protocols for well-known images: they count as the papers do, and train on files in those images' own formats."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from msgspec.structs import replace
from PIL import Image
from running import plan_of
from standard_files import pixels, write_all

from ganbench import Dataset, plugins
from ganbench.plugins.protocols import load_protocol
from ganbench.runs.players import build_players
from ganbench.runs.trainers import build_trainer

ON_GPUS = ("mnist-28-v1", "fashion-28-v1", "cifar10-32-v1", "celeba-64-v1", "ffhq-64-v1")
SMALL = "mnist-10k-28-v1"
MAKE = Path(__file__).parents[1] / "leaderboards" / "make.sh"


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Path:
    """Every set, with a handful of images."""
    root = write_all(tmp_path_factory.mktemp("standard"))
    faces = root / "celeba" / "img_align_celeba"
    faces.mkdir(parents=True)
    for number in range(1, 13):
        _save(faces / f"{number:06}.jpg", 218, 178, number)
    parts = "".join(f"{number:06}.jpg {(number - 1) % 4 % 3}\n" for number in range(1, 13))
    (root / "celeba" / "list_eval_partition.txt").write_text(parts)
    for number in (*range(8), *range(60_000, 60_004)):
        path = root / "ffhq" / "thumbnails128x128" / f"{number // 1000 * 1000:05}" / f"{number:05}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        _save(path, 128, 128, number)
    return root


def _save(path: Path, height: int, width: int, seed: int) -> None:
    Image.fromarray(pixels(1, height, width, 3, seed=seed)[0]).save(path)


@pytest.fixture
def data_of(files, monkeypatch):
    """A function: the data of a protocol, read from those files."""
    monkeypatch.setenv("GANBENCH_DATA", str(files))

    def read(name: str) -> Dataset:
        rules = load_protocol(name)
        source = plugins.find("dataset", rules.dataset)
        return plugins.build(source, argument=source.argument, resolution=rules.resolution)

    return read


# -- what they count ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "updates", "samples", "part"),
    [
        ("mnist-28-v1", 15_625, 10_000, "test"),
        ("fashion-28-v1", 15_625, 10_000, "test"),
        ("cifar10-32-v1", 500_000, 50_000, "train"),
        ("celeba-64-v1", 500_000, 50_000, "train"),
        ("ffhq-64-v1", 390_625, 50_000, "all"),
        (SMALL, 1_500, 10_000, "all"),
    ],
)
def test_updates_and_samples_are_those_of_the_paper(name, updates, samples, part) -> None:
    rules = load_protocol(name)
    assert rules.training.d_updates == updates
    assert (rules.evaluation.samples, rules.evaluation.reference) == (samples, part)
    assert rules.evaluation.headline == "fid"


@pytest.mark.parametrize("name", ON_GPUS)
def test_judge_is_inception_and_pixels_keep_their_range(name, data_of) -> None:
    assert load_protocol(name).evaluation.extractor == "inception"
    data = data_of(name)
    assert data.spec.bounded
    assert data.train.x.dtype == torch.uint8


@pytest.mark.parametrize(("name", "d_steps"), [("mnist-28-v1", 5), ("cifar10-32-v1", 5), (SMALL, 1)])
def test_wgan_gp_updates_d_as_often_as_its_paper_where_the_budget_is_the_papers(name, d_steps, data_of) -> None:
    job = plan_of(Path("none"), "dcgan", "wgan-gp", load_protocol(name)).runs[0]
    assert build_players(job, data_of(name)).recipe.d_steps == d_steps


# -- training ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "arch", "loss"),
    [
        ("mnist-28-v1", "dcgan", "r1"),
        ("mnist-28-v1", "r3gan", "rpgan-r1-r2"),
        ("fashion-28-v1", "dcgan-upsample", "wgan-gp"),
        ("cifar10-32-v1", "sngan", "hinge"),
        ("cifar10-32-v1", "stylegan2", "non-saturating"),
        ("celeba-64-v1", "dcgan", "r1"),
        ("ffhq-64-v1", "stylegan2", "non-saturating"),
        (SMALL, "cgan", "r1"),
    ],
)
def test_two_iterations_on_images_from_files_change_both_players(name, arch, loss, data_of) -> None:
    """At a sixteenth of the protocol's width or less, and in small batches."""
    rules, data = load_protocol(name), data_of(name)
    rules = replace(rules, training=replace(rules.training, width=4, z_dim=8, batch=4))
    job = plan_of(Path("none"), arch, loss, rules).runs[0]
    players = build_players(job, data)
    before = {name: value.clone() for name, value in players.gan.state_dict().items()}
    trainer = build_trainer(job, SimpleNamespace(device=torch.device("cpu"), dataset=data), players)
    trainer.advance(2 * trainer.recipe.d_steps)
    assert trainer.step == 2
    assert trainer.images == 8 * trainer.recipe.d_steps
    after = players.gan.state_dict()
    for player in ("generator", "discriminator"):
        changed = [not torch.equal(after[key], old) for key, old in before.items() if key.startswith(player)]
        assert any(changed), player
    assert all(value.isfinite().all() for value in after.values())


@pytest.mark.skipif(shutil.which("bash") is None, reason="the script needs bash")
def test_rows_of_the_small_table_can_be_built(tmp_path, data_of) -> None:
    said = subprocess.run(
        ["bash", MAKE, tmp_path, SMALL], text=True, capture_output=True, check=True, env=_recording(tmp_path)
    ).stdout.splitlines()
    rows = [line.split() for line in said if line.startswith("run ")]
    pairs = {
        (arch, loss)
        for words in rows
        for arch in words[words.index("--arch") + 1].split(",")
        for loss in words[words.index("--loss") + 1].split(",")
    }
    assert len({arch for arch, _ in pairs}) == len({loss for _, loss in pairs}) == 5
    data, rules = data_of(SMALL), load_protocol(SMALL)
    for arch, loss in pairs:
        assert build_players(plan_of(tmp_path, arch, loss, rules).runs[0], data).gan.z_dim == 64


def _recording(folder: Path) -> dict[str, str]:
    """The environment of a shell whose ``ganbench`` prints its arguments."""
    command = folder / "ganbench"
    command.write_text('#!/bin/sh\necho "$@"\n')
    command.chmod(0o755)
    return os.environ | {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}
