"""Folders of images and folders of sounds are looked through by the same rules."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image
from scipy.io import wavfile

from ganbench.contracts.data import Dataset
from ganbench.errors import DataError
from ganbench_baselines.dataset import folder, folder_wav


class Sort(NamedTuple):
    """A sort of folder: what its files are called, one in another format, how to write a file, and how to load all."""

    name: str
    suffix: str
    other: str
    write: Callable[[Path, np.random.Generator], None]
    load: Callable[[Path], Dataset]


def write_image(file: Path, rng: np.random.Generator) -> None:
    Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(file)


def write_sound(file: Path, rng: np.random.Generator) -> None:
    wavfile.write(file, 16_000, rng.integers(-20_000, 20_000, 64, dtype=np.int16))


SORTS = [
    Sort("image", ".png", ".heic", write_image, lambda path: folder.ganbench_dataset(str(path), None)),
    Sort("sound", ".wav", ".flac", write_sound, lambda path: folder_wav.ganbench_dataset(f"{path},64,16000", None)),
]


@pytest.fixture(params=SORTS, ids=lambda sort: sort.name)
def sort(request: pytest.FixtureRequest) -> Sort:
    return request.param


def fill(sort: Sort, where: Path, n: int = 5) -> Path:
    where.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(n)
    for k in range(n):
        sort.write(where / f"{k}{sort.suffix}", rng)
    return where


def refusal(sort: Sort, path: Path) -> str:
    with pytest.raises(DataError) as caught:
        sort.load(path)
    assert caught.value.hint
    assert "\n" not in caught.value.message
    return caught.value.message


def test_hidden_files_and_those_of_any_other_format_are_counted(tmp_path, sort):
    fill(sort, tmp_path / "a")
    for name in (f".0{sort.suffix}", f".1{sort.other}", f"x{sort.other}", "x.unheard-of", "x"):
        (tmp_path / "a" / name).write_bytes(b"")
    (said,) = sort.load(tmp_path).notes
    for part in ("2 hidden", f"1 {sort.other}", "1 .unheard-of", f"a/.0{sort.suffix}"):
        assert part in said


def test_texts_and_what_systems_leave_behind_are_no_loss(tmp_path, sort):
    fill(sort, tmp_path / "a")
    for name in ("LICENSE", "labels.csv", ".DS_Store", "Thumbs.db", "desktop.ini", f"._0{sort.suffix}", "notes.txt"):
        (tmp_path / "a" / name).write_text("none of them")
    for name in ("__MACOSX", "__pycache__", ".previews"):
        (tmp_path / name).mkdir()
    (tmp_path / "__MACOSX" / f"._0{sort.suffix}").write_bytes(b"")
    assert sort.load(tmp_path).notes == ()


def test_names_that_are_not_unicode_can_be_printed(tmp_path, sort):
    root = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xefve"))
    try:
        fill(sort, root / root.name)
    except OSError:
        pytest.skip("this disk takes Unicode only")
    (root / root.name / f"{root.name}.{root.name}").write_bytes(b"")
    data = sort.load(root)
    assert all(text.isascii() for text in (data.name, *data.notes))
    (root / root.name / f"{root.name}{sort.suffix}").write_bytes(b"broken")
    assert refusal(sort, root).isascii()


@pytest.mark.parametrize("where", ["a/dead", "dead{suffix}", "a/deeper/dead", "a/deeper/still/dead{suffix}"])
def test_links_that_lead_nowhere_are_refused_at_any_depth(tmp_path, sort, where):
    fill(sort, tmp_path / "a")
    link = tmp_path / where.format(suffix=sort.suffix)
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(link)
    assert refusal(sort, tmp_path) == f"'{tmp_path}' has 1 broken link, the first {link.relative_to(tmp_path)}"


def test_a_link_to_another_class_is_a_third_level(tmp_path, sort):
    fill(sort, tmp_path / "b")
    (fill(sort, tmp_path / "a") / "again").symlink_to(tmp_path / "b")
    assert f"has 5 {sort.name}s two levels down, in a/again" in refusal(sort, tmp_path)


def test_a_link_back_up_is_not_followed(tmp_path, sort):
    (fill(sort, tmp_path / "a") / "back").symlink_to(tmp_path)
    assert len(sort.load(tmp_path).part("all")) == 5


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes")
def test_a_pipe_is_refused_and_not_waited_for(tmp_path, sort):
    os.mkfifo(fill(sort, tmp_path / "a") / f"9{sort.suffix}")
    assert refusal(sort, tmp_path) == f"'{tmp_path}' has 1 special file, the first a/9{sort.suffix}"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the administrator may read everything")
def test_a_folder_without_permission_is_named(tmp_path, sort):
    fill(sort, tmp_path / "a")
    fill(sort, tmp_path / "b").chmod(0)
    try:
        assert refusal(sort, tmp_path) == f"'{tmp_path / 'b'}' cannot be listed (Permission denied)"
    finally:
        (tmp_path / "b").chmod(0o700)


def test_files_beside_class_folders_are_refused(tmp_path, sort):
    fill(sort, fill(sort, tmp_path) / "a")
    assert refusal(sort, tmp_path) == f"'{tmp_path}' has 5 {sort.name}s beside the class folders a"


def test_a_folder_of_other_formats_alone_says_which(tmp_path, sort):
    (tmp_path / f"x{sort.other}").write_bytes(b"")
    assert refusal(sort, tmp_path) == (
        f"'{tmp_path}' holds no {sort.name}s that can be read, but 1 other file (1 {sort.other}), "
        f"the first x{sort.other}"
    )
