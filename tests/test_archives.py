"""Folders of images in archives: read in place, listed like folders, or refused in one sentence."""

from __future__ import annotations

import io
import os
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from painted import load, paint, paint_many

from ganbench import DataError
from ganbench_baselines.dataset import archives
from ganbench_baselines.dataset.archives import open_archive
from ganbench_baselines.dataset.members import Member, files_below

SHARED = Path(__file__).parents[2] / "shared" / "data" / "cifar10-10k.zip"
TARS = {".tar": "w", ".tar.gz": "w:gz", ".tar.bz2": "w:bz2", ".tar.xz": "w:xz"}
Pack = Callable[[Path], Path]


@pytest.fixture(params=[".zip", *TARS])
def pack(request, tmp_path) -> Pack:
    """Packs the content of a folder."""

    def packed(folder: Path, within: str = "") -> Path:
        target = tmp_path / f"packed{request.param}"
        files = sorted(path for path in folder.rglob("*") if not path.is_dir() or path.is_symlink())
        names = [str(Path(within, file.relative_to(folder))) for file in files]
        if request.param == ".zip":
            with zipfile.ZipFile(target, "w") as opened:
                for file, name in zip(files, names, strict=True):
                    opened.write(file, name)
        else:
            with tarfile.open(target, TARS[request.param]) as tar:
                for file, name in zip(files, names, strict=True):
                    tar.add(file, name)
        return target

    return packed


@pytest.fixture
def images(tmp_path) -> Path:
    """Two classes of ten images."""
    paint_many(tmp_path / "images" / "cats")
    paint_many(tmp_path / "images" / "dogs", suffix=".webp", lossless=True)
    return tmp_path / "images"


def zipped(path: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as opened:
        for name, content in members.items():
            opened.writestr(name, content)
    return path


def refusal(path: Path) -> DataError:
    with pytest.raises(DataError) as caught:
        load(path)
    assert caught.value.hint
    assert "\n" not in caught.value.message
    return caught.value


def test_an_archive_gives_what_its_folder_gives(pack, images) -> None:
    one, other = load(pack(images)), load(images)
    assert one.fingerprint == other.fingerprint
    assert (one.class_names, one.notes) == (("cats", "dogs"), ())
    assert one.name == f"folder:{pack(images).name}"


def test_nothing_is_unpacked(pack, images, tmp_path, monkeypatch) -> None:
    path = pack(images)
    shutil.rmtree(images)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    assert len(load(path).train) == 16
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("within", ["", "photos", "./photos"])
def test_a_single_folder_at_the_top_is_looked_into(pack, images, within) -> None:
    assert load(pack(images, within)).class_names == ("cats", "dogs")


def test_texts_and_what_systems_leave_beside_that_folder_do_not_matter(pack, images, tmp_path) -> None:
    (tmp_path / "top").mkdir()
    images.rename(tmp_path / "top" / "photos")
    for name in ("README.md", "LICENSE", ".DS_Store"):
        (tmp_path / "top" / name).write_text("a text")
    (tmp_path / "top" / "__MACOSX").mkdir()
    paint(tmp_path / "top" / "__MACOSX" / "._0.png")
    assert load(pack(tmp_path / "top")).class_names == ("cats", "dogs")


def test_what_is_left_out_is_said_as_for_folders(pack, images) -> None:
    (images / "cats" / "phone.heic").write_bytes(b"a phone's")
    (images / "cats" / ".hidden.png").write_bytes(b"")
    (images / "fish").mkdir()
    (images / "fish" / "drawn.svg").write_text("<svg/>")
    shutil.copy(images / "cats" / "00.png", images / "cats" / "zz.png")
    notes = load(pack(images)).notes
    assert notes == tuple(note.replace("folder images", f"folder {pack(images).name}") for note in load(images).notes)
    assert len(notes) == 3


def test_mixed_and_deep_folders_are_refused(pack, images) -> None:
    paint(images / "beside.png")
    assert "has 1 image beside the class folders cats, dogs" in refusal(pack(images)).message
    (images / "beside.png").unlink()
    paint(images / "cats" / "deeper" / "0.png")
    assert "has 1 image two levels down, in cats/deeper" in refusal(pack(images)).message


def test_damaged_images_are_named(pack, images) -> None:
    whole = (images / "cats" / "03.png").read_bytes()
    (images / "cats" / "03.png").write_bytes(whole[:-40])
    (images / "cats" / "04.png").write_bytes(b"")
    error = refusal(pack(images))
    assert "2 of 20 images" in error.message
    assert "cats/03.png (cut off), cats/04.png (an empty file)" in error.message


def test_archives_without_images_say_so(pack, tmp_path) -> None:
    (tmp_path / "none").mkdir()
    (tmp_path / "none" / "notes.txt").write_text("no images")
    assert "holds no images" in refusal(pack(tmp_path / "none")).message


@pytest.mark.skipif(not hasattr(Path, "symlink_to"), reason="there are no links")
def test_a_link_in_a_tar_is_refused_and_a_hard_link_is_the_file(images, tmp_path) -> None:
    with tarfile.open(tmp_path / "links.tar", "w") as tar:
        tar.add(images, "images")
        hard = tarfile.TarInfo("images/cats/again.png")
        hard.type, hard.linkname = tarfile.LNKTYPE, "images/cats/00.png"
        tar.addfile(hard)
    assert "1 of 21 images" in "".join(load(tmp_path / "links.tar").notes)
    with tarfile.open(tmp_path / "links.tar", "a") as tar:
        soft = tarfile.TarInfo("images/cats/soft.png")
        soft.type, soft.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(soft)
    assert "has 1 broken link, the first cats/soft.png" in refusal(tmp_path / "links.tar").message


def test_names_that_lead_out_of_the_archive_or_hold_odd_characters_are_harmless(tmp_path) -> None:
    content = paint(tmp_path / "0.png").read_bytes()
    other = [paint(tmp_path / "x" / f"{i}.png", 1 + i).read_bytes() for i in range(4)]
    names = ["../../out.png", "/etc/abs.png", "cats\\back.png", "cats/\x1b[31mred.png", "cats/x.png"]
    path = zipped(tmp_path / "odd.zip", **dict(zip(names, [content, *other], strict=True)))
    assert sorted(map(str, (file.relative_to(open_archive(path)) for file in files_below(open_archive(path))))) == [
        "cats/\x1b[31mred.png",
        "cats/back.png",
        "cats/x.png",
        "etc/abs.png",
        "out.png",
    ]
    said = refusal(path).message
    assert "beside the class folders cats, etc" in said
    zipped(path, **{"\x1b[31mred.png": b"", "x.png": content, "y.png": content})
    assert r"\x1b[31mred.png (an empty file)" in refusal(path).message


def test_an_encrypted_zip_is_refused(images, tmp_path) -> None:
    path = zipped(tmp_path / "secret.zip", **{"a.png": b"secret"})
    content = bytearray(path.read_bytes())
    for start, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(start) + flags] |= 1
    path.write_bytes(content)
    assert refusal(path).message == f"'{path}' is encrypted"


def test_other_files_and_archives_that_are_cut_off_are_refused(pack, images, tmp_path) -> None:
    (tmp_path / "text").write_text("a text")
    assert "text' is not a folder" in refusal(tmp_path / "text").message
    path = pack(images)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert "is no zip or tar archive, or is damaged" in refusal(path).message


@pytest.mark.parametrize("suffix", [".tar", ".tar.gz", ".tar.bz2", ".tar.xz"])
def test_no_cut_of_a_tar_loses_images_in_silence(suffix, tmp_path) -> None:
    path = tmp_path / f"some{suffix}"
    with tarfile.open(path, f"w:{suffix[5:]}" if suffix != ".tar" else "w") as tar:
        for number in range(5):
            content = os.urandom(700)
            info = tarfile.TarInfo(f"{number}.png")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    whole = path.read_bytes()
    assert len(archives.open_archive(path).archive.held) == 5
    step, members = (512, 5 * 1536) if suffix == ".tar" else (41, len(whole) - 300)  # a member takes three blocks
    for end in range(step, members, step):
        path.write_bytes(whole[:end])
        with pytest.raises(DataError, match="or is damaged"):
            archives.open_archive(path)


def test_a_member_of_a_zip_whose_content_changed_is_named(images, tmp_path) -> None:
    path = zipped(tmp_path / "some.zip", **{f"{i}.png": paint(tmp_path / "0.png", i).read_bytes() for i in range(5)})
    content = bytearray(path.read_bytes())
    content[content.index(b"IDAT") + 10] ^= 255
    path.write_bytes(content)
    assert "0.png (damaged: Bad CRC-32 for file '0.png')" in refusal(path).message


def test_a_compressed_tar_that_is_too_large_says_to_uncompress_it(pack, images, monkeypatch) -> None:
    path = pack(images)
    monkeypatch.setattr(archives, "LARGEST_COMPRESSED", 1000)
    if path.suffix in {".zip", ".tar"}:
        assert len(load(path).train) == 16
    else:
        assert "a compressed tar cannot be read in place" in refusal(path).message


def test_many_threads_read_a_zip_at_a_time(tmp_path) -> None:
    members = {f"{i}": bytes([i % 256]) * 50_000 for i in range(300)}
    with zipfile.ZipFile(tmp_path / "many.zip", "w", zipfile.ZIP_DEFLATED) as opened:
        for name, content in members.items():
            opened.writestr(name, content)
    top = open_archive(tmp_path / "many.zip")
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda name: (top / name).read_bytes(), [*members] * 3))
    assert found == [*members.values()] * 3


def test_a_member_has_the_members_of_a_path(images, tmp_path) -> None:
    with tarfile.open(tmp_path / "some.tar", "w") as tar:
        tar.add(images, ".")
    top = open_archive(tmp_path / "some.tar")
    file = top / "cats" / "00.png"
    assert (file.name, file.suffix, str(file)) == ("00.png", ".png", f"{tmp_path}/some.tar/cats/00.png")
    assert file.parent == Member(top.archive, "cats")
    assert file.parent.is_dir()
    assert str(file.relative_to(top)) == "cats/00.png"
    assert file.read_bytes() == (images / "cats" / "00.png").read_bytes()
    assert file.size == len(file.read_bytes())
    assert io.BytesIO(file.read_bytes()).getvalue() == file.open().read()
    assert (top.name, str(top), top.resolve()) == ("some.tar", f"{tmp_path}/some.tar", top)


@pytest.mark.skipif(not SHARED.is_file(), reason="the real archive is not on this machine")
def test_ten_thousand_photographs_are_read_from_their_zip() -> None:
    data = load(SHARED)
    assert (len(data.train), len(data.test), data.spec.shape) == (8000, 2000, (3, 32, 32))
    assert data.class_names[:2] == ("airplane", "automobile")
