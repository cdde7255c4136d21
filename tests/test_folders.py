"""Folders of images: what is left out, cut off or converted is said in one sentence, or refused in one."""

from __future__ import annotations

import os
import struct
import unicodedata
import warnings
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace
from painted import load, paint, paint_many, pixels
from PIL import Image

from ganbench.contracts.data import Dataset
from ganbench.errors import DataError
from ganbench.plugins.protocols import load_protocol
from ganbench.runs.setup import prepare
from ganbench_baselines.dataset import folder_pair, image_files


def pair(a: Path, b: Path) -> Dataset:
    return folder_pair.ganbench_dataset(argument=f"{a},{b}", resolution=None)


def refusal(path: Path, resolution: int | None = None) -> DataError:
    with pytest.raises(DataError) as caught:
        load(path, resolution)
    assert caught.value.hint
    assert "\n" not in caught.value.message
    return caught.value


# -- what is left out --------------------------------------------------------------------------------------------------


def test_images_of_which_nothing_is_lost_come_without_a_sentence(tmp_path):
    paint_many(tmp_path / "a")
    paint_many(tmp_path / "b")
    assert load(tmp_path).notes == ()


@pytest.mark.parametrize("suffix", [".jfif", ".JPG", ".jp2", ".avif", ".tga", ".pcx", ".qoi", ".webp"])
def test_every_format_that_pillow_reads_is_read(tmp_path, suffix):
    if suffix.lower() not in image_files.readable():
        pytest.skip(f"this Pillow has no {suffix}")
    kind = "jpeg" if suffix == ".jfif" else None
    paint_many(tmp_path / "a")
    paint_many(tmp_path / "b", suffix=suffix, **({"format": kind} if kind else {}))
    data = load(tmp_path)
    assert data.spec.classes == 2
    assert len(data.part("all")) == 20
    assert data.notes == ()


def test_files_of_other_formats_are_counted_by_suffix_and_lost_classes_named(tmp_path):
    paint_many(tmp_path / "a")
    paint_many(tmp_path / "b")
    (tmp_path / "c").mkdir()
    (tmp_path / "d").mkdir()
    for i in range(3):
        (tmp_path / "c" / f"{i}.HEIC").write_bytes(b"a phone's")
    (tmp_path / "a" / "drawn.svg").write_text("<svg/>")
    (tmp_path / "a" / ".preview.png").write_bytes(b"")
    (tmp_path / "a" / "IMG_0001").write_bytes(b"which format?")
    data = load(tmp_path)
    assert data.spec.classes == 2
    assert data.notes == (
        f"20 of 26 files in the folder {tmp_path.name} are used, and 6 left out (3 .heic, 1 hidden, 1 without a "
        "suffix, 1 .svg; the first is a/.preview.png)",
        f"the sub-folders c, d of the folder {tmp_path.name} are left out, without an image that can be read",
    )


def test_texts_and_what_systems_leave_behind_are_ignored_in_silence(tmp_path):
    paint_many(tmp_path)
    for name in ("README", "labels.csv", ".DS_Store", "Thumbs.db", "desktop.ini", "._00.png", "notes.txt"):
        (tmp_path / name).write_text("not an image")
    (tmp_path / "__MACOSX").mkdir()
    (tmp_path / ".ipynb_checkpoints").mkdir()
    paint(tmp_path / ".ipynb_checkpoints" / "0.png")
    assert load(tmp_path).notes == ()


def test_a_folder_of_other_formats_only_says_which(tmp_path):
    for i in range(3):
        (tmp_path / f"{i}.heic").write_bytes(b"a phone's")
    error = refusal(tmp_path)
    assert "no images that can be read, but 3 other files (3 .heic), the first 0.heic" in error.message
    assert "convert" in error.hint


@pytest.mark.parametrize("where", ["class/dead.png", "dead", "dead.jpg", "class/deeper/dead.png"])
def test_links_that_lead_nowhere_are_refused(tmp_path, where):
    paint_many(tmp_path / "class")
    link = tmp_path / where
    link.parent.mkdir(exist_ok=True)
    link.symlink_to("/not/mounted.png")
    assert f"has 1 broken link, the first {where}" in refusal(tmp_path).message


def test_a_link_to_itself_is_refused_too(tmp_path):
    paint_many(tmp_path)
    (tmp_path / "loop.png").symlink_to(tmp_path / "loop.png")
    assert "1 broken link" in refusal(tmp_path).message


def test_links_to_images_and_to_class_folders_are_followed(tmp_path):
    files = paint_many(tmp_path / "elsewhere")
    (tmp_path / "imgs" / "a").mkdir(parents=True)
    (tmp_path / "imgs" / "b").symlink_to(tmp_path / "elsewhere")
    for file in files:
        (tmp_path / "imgs" / "a" / file.name).symlink_to(file)
    data = load(tmp_path / "imgs")
    assert (data.spec.classes, len(data.part("all"))) == (2, 20)
    assert data.notes == (
        "10 of 20 images in the folder imgs are copies of others, so the same one may be trained on and held out; the "
        "first is b/00.png",
    )


def test_a_single_copy_is_mentioned_whatever_its_name_and_format(tmp_path):
    first = paint_many(tmp_path)[3]
    Image.open(first).save(tmp_path / "zz.bmp")
    assert load(tmp_path).notes == (
        f"1 of 11 images in the folder {tmp_path.name} is a copy of another, so the same one may be trained on and "
        "held out; the first is zz.bmp",
    )


@pytest.mark.parametrize(
    ("where", "says"),
    [
        ("c/part1", "has 10 images two levels down, in c/part1"),
        ("c/part1/x", "has 10 images three levels down, in c/part1/x"),
        ("c/part1/x/y", "has 10 images four levels down, in c/part1/x/y"),
    ],
)
def test_images_below_the_class_folders_are_refused(tmp_path, where, says):
    paint_many(tmp_path / "a")
    paint_many(tmp_path / where)
    assert says in refusal(tmp_path).message


def test_a_link_back_up_does_not_go_round_for_ever(tmp_path):
    paint_many(tmp_path / "a")
    (tmp_path / "a" / "back").symlink_to(tmp_path)
    assert len(load(tmp_path).part("all")) == 10


def test_a_name_that_is_not_unicode_can_be_printed(tmp_path):
    paint_many(tmp_path)
    try:
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/na\xefve.heic")).write_bytes(b"")
    except OSError:
        pytest.skip("this disk takes Unicode only")
    (said,) = load(tmp_path).notes
    assert said.isascii()


# -- bits --------------------------------------------------------------------------------------------------------------


def png16(path: Path, x: np.ndarray) -> None:
    """A PNG of 16 bits a channel; Pillow writes gray ones only."""
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[x.shape[2]]
    raw = b"".join(b"\0" + row.astype(">u2").tobytes() for row in x)

    def chunk(tag: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + tag + data + struct.pack(">I", zlib.crc32(tag + data))

    header = struct.pack(">IIBBBBB", x.shape[1], x.shape[0], 16, kind, 0, 0, 0)
    parts = [(b"IHDR", header), (b"IDAT", zlib.compress(raw)), (b"IEND", b"")]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunk(tag, data) for tag, data in parts))


def ppm16(path: Path, x: np.ndarray) -> None:
    path.write_bytes(b"P6 8 8 4095\n" + (x[..., :3] % 4096).astype(">u2").tobytes())


def plain_ppm16(path: Path, x: np.ndarray) -> None:
    path.write_text("P3 8 8 65535\n" + " ".join(map(str, x[..., :3].flatten())) + "\n")


def tiff16(path: Path, x: np.ndarray) -> None:
    """One strip of RGB;16, little-endian."""
    data = x[..., :3].astype("<u2").tobytes()
    bits = struct.pack("<3H", 16, 16, 16)
    tags = [(256, 8), (257, 8), (258, None), (259, 1), (262, 2), (273, 8), (277, 3), (278, 8), (279, len(data))]
    body = struct.pack("<H", len(tags))
    for tag, value in tags:
        body += (
            struct.pack("<HHII", tag, 3, 3, 8 + len(data)) if value is None else struct.pack("<HHII", tag, 4, 1, value)
        )
    offset = 8 + len(data) + len(bits)
    path.write_bytes(b"II*\0" + struct.pack("<I", offset) + data + bits + body + struct.pack("<I", 0))


def sgi16(path: Path, x: np.ndarray) -> None:
    header = struct.pack(">hBBHHHH", 474, 0, 2, 3, 8, 8, 3).ljust(512, b"\0")
    path.write_bytes(header + x[..., :3].transpose(2, 0, 1).astype(">u2").tobytes())


def gray16(path: Path, x: np.ndarray) -> None:
    Image.fromarray(x[..., 0].astype(np.uint16)).save(path)


DEEP: list[tuple[str, Callable[[Path, np.ndarray], None], int]] = [
    ("gray.png", gray16, 1),
    ("gray.tif", gray16, 1),
    ("gray.jp2", gray16, 1),
    ("alpha.png", png16, 2),
    ("colour.png", png16, 3),
    ("both.png", png16, 4),
    ("colour.ppm", ppm16, 3),
    ("plain.ppm", plain_ppm16, 3),
    ("colour.tif", tiff16, 3),
    ("colour.sgi", sgi16, 3),
]


@pytest.mark.parametrize(("name", "write", "channels"), DEEP, ids=[name for name, _, _ in DEEP])
def test_more_than_8_bits_a_channel_are_refused_in_every_format(tmp_path, name, write, channels):
    paint_many(tmp_path)
    write(tmp_path / name, np.random.default_rng(0).integers(0, 65536, (8, 8, channels)))
    with Image.open(tmp_path / name) as image:
        image.load()  # Pillow itself reads it
    error = refusal(tmp_path)
    assert f"1 of 11 images in '{tmp_path}' has more than 8 bits a channel: {name} (" in error.message
    assert "convert these files to 8 bits" in error.hint


def test_the_header_of_a_jpeg_2000_tells_the_bits(tmp_path):
    paint_many(tmp_path)
    file = paint(tmp_path / "odd.jp2")
    assert len(load(tmp_path).part("all")) == 11
    content = bytearray(file.read_bytes())
    content[content.find(b"\xff\x4f\xff\x51") + 45] = 15  # one less than the bits of the second component
    file.write_bytes(content)
    assert "odd.jp2 (16 bits)" in refusal(tmp_path).message


@pytest.mark.skipif(".avif" not in image_files.readable(), reason="this Pillow reads no AVIF")
def test_the_header_of_an_avif_tells_the_bits(tmp_path):
    paint_many(tmp_path)
    file = paint(tmp_path / "odd.avif")
    assert len(load(tmp_path).part("all")) == 11
    content = bytearray(file.read_bytes())
    content[content.find(b"av1C") + 6] |= 0x40  # more than 8
    place = content.find(b"pixi") + 8
    content[place + 1 : place + 1 + content[place]] = [10] * content[place]  # of every channel
    file.write_bytes(content)
    assert "odd.avif (10 bits)" in refusal(tmp_path).message


def test_bitmaps_of_16_bits_a_pixel_are_read(tmp_path):
    header = (
        b"BM"
        + struct.pack("<IHHI", 54 + 128, 0, 0, 54)
        + struct.pack("<IiiHHIIiiII", 40, 8, 8, 1, 16, 0, 128, 0, 0, 0, 0)
    )
    for i in range(5):
        values = np.random.default_rng(i).integers(0, 1 << 15, 64).astype("<u2")
        (tmp_path / f"{i}.bmp").write_bytes(header + values.tobytes())
    assert len(load(tmp_path).part("all")) == 5


# -- frames, pages, conversions ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["gif", "tif", "webp", "png", "avif"])
def test_animations_and_pages_are_refused(tmp_path, suffix):
    if f".{suffix}" not in image_files.readable():
        pytest.skip(f"this Pillow has no {suffix}")
    paint_many(tmp_path)
    frames = [Image.fromarray(pixels(i, (32, 32))) for i in range(3)]
    frames[0].save(tmp_path / f"moving.{suffix}", save_all=True, append_images=frames[1:])
    message = refusal(tmp_path, 8).message
    assert f"1 of 11 images in '{tmp_path}' holds several frames or pages: moving.{suffix} (3 frames)" in message


def test_gifs_and_tiffs_of_one_frame_are_read(tmp_path):
    paint_many(tmp_path, 5, ".gif")
    paint_many(tmp_path / "elsewhere", 5, ".tif")
    for file in (tmp_path / "elsewhere").iterdir():
        file.rename(tmp_path / file.name)
    (tmp_path / "elsewhere").rmdir()
    data = load(tmp_path)
    assert (len(data.part("all")), data.notes) == (10, ())


def test_further_pictures_of_a_photograph_are_said_to_be_left_out(tmp_path):
    paint_many(tmp_path)
    views = [Image.fromarray(pixels(i)) for i in range(2)]
    views[0].save(tmp_path / "00.jpg", format="MPO", save_all=True, append_images=views[1:])
    assert load(tmp_path).notes == (
        f"1 of 11 images in the folder {tmp_path.name} came with further pictures, which are left out; "
        "the first is 00.jpg",
    )


def test_what_conversion_costs_is_said_a_sentence_a_kind(tmp_path):
    paint_many(tmp_path)
    Image.fromarray(pixels(0, channels=4)).save(tmp_path / "see-through.png")
    Image.fromarray(pixels(0)).convert("CMYK").save(tmp_path / "print.jpg")
    paint(tmp_path / "wide.png", size=(12, 8))
    paint(tmp_path / "tiny.png", size=(4, 4))
    of = f"1 of 14 images in the folder {tmp_path.name}"
    assert load(tmp_path, 8).notes == (
        f"{of} had to be laid on black, as they are transparent; the first is see-through.png",
        f"{of} came in other colours than RGB (CMYK), and had to be converted without a profile; "
        "the first is print.jpg",
        f"{of} had to be cut to the central square; the first is wide.png",
        f"{of} had to be enlarged to 8 pixels a side; the first is tiny.png",
    )


def test_an_alpha_channel_that_hides_nothing_costs_nothing(tmp_path):
    for i in range(5):
        x = pixels(i, channels=4)
        x[..., 3] = 255
        Image.fromarray(x).save(tmp_path / f"{i}.png")
    assert load(tmp_path).notes == ()


def test_warnings_of_pillow_name_the_file(tmp_path, monkeypatch):
    paint_many(tmp_path, 10, ".jpg")
    Image.fromarray(pixels(0)).save(tmp_path / "odd.jpg", exif=b"Exif\0\0II*\0\x08\0\0\0\x09\0\x12\x01")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    paint(tmp_path / "big.jpg", size=(12, 12))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        notes = load(tmp_path, 8).notes
    (said,) = [note for note in notes if "Pillow warn" in note]
    assert "2 of 12 images" in said
    assert "big.jpg" in said
    assert "decompression bomb" in said


def test_an_image_too_large_to_open_is_refused_by_name(tmp_path, monkeypatch):
    paint_many(tmp_path)
    paint(tmp_path / "huge.png", size=(40, 40))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert "1 of 11 images" in (message := refusal(tmp_path, 8).message)
    assert "huge.png (larger than Pillow opens" in message


# -- pairs -------------------------------------------------------------------------------------------------------------


def two_folders(root: Path, one: Sequence[str], other: Sequence[str]) -> tuple[Path, Path]:
    for side, names in (("A", one), ("B", other)):
        for i, name in enumerate(names):
            paint(root / side / name, seed=1000 * (side == "B") + i, **({"format": "png"}))
    return root / "A", root / "B"


@pytest.mark.parametrize(
    "spell",
    [
        lambda i: (f"{i:02d}.JPG", f"{i:02d}.jpg"),
        lambda i: (f"{i:02d}.jpg", f"{i:02d}.png"),
        lambda i: (f"\u00e9t\u00e9{i:02d}.png", unicodedata.normalize("NFD", f"\u00e9t\u00e9{i:02d}.png")),
    ],
    ids=["case", "format", "Unicode"],
)
def test_names_that_differ_in_suffix_or_unicode_form_are_pairs(tmp_path, spell):
    spelt = [spell(i) for i in range(40)]
    a, b = two_folders(tmp_path, [one for one, _ in spelt], [other for _, other in spelt])
    data = pair(a, b)
    assert data.test.paired
    assert (len(data.test), len(data.selection)) == (8, 4)
    assert data.notes == ("the folders A and B have 40 pairs, no name without a partner",)
    first = {pixels(i).transpose(2, 0, 1).tobytes(): i for i in range(40)}
    second = {pixels(1000 + i).transpose(2, 0, 1).tobytes(): i for i in range(40)}
    assert [first[x.numpy().tobytes()] for x in data.test.source] == [second[x.numpy().tobytes()] for x in data.test.x]


def test_names_without_a_partner_are_counted(tmp_path):
    names = [f"{i:02d}.png" for i in range(40)]
    data = pair(*two_folders(tmp_path, [*names, "x.png"], [*names, "y.png", "z.png"]))
    assert data.notes == ("the folders A and B have 40 pairs, 3 names without a partner (the first is x.png)",)


def test_pairs_too_few_to_hold_any_out_are_said_not_to_be_used(tmp_path):
    names = [f"{i:02d}.png" for i in range(4)]
    data = pair(
        *two_folders(
            tmp_path,
            [*names, *(f"a{i}.png" for i in range(8))],
            [*names, *(f"b{i}.png" for i in range(8))],
        )
    )
    assert not data.test.paired
    assert data.notes == (
        "the folders A and B have 4 pairs, 16 names without a partner (the first is a0.png); that is too few to "
        "hold any out, so no pairs are used",
    )


def test_the_same_name_comes_before_another_suffix(tmp_path):
    names = [f"{i:02d}.png" for i in range(20)]
    data = pair(*two_folders(tmp_path, [*names, "00.jpg"], [*names, "01.webp"]))
    assert data.notes == ("the folders A and B have 20 pairs, 2 names without a partner (the first is 00.jpg)",)


def test_a_name_with_two_partners_is_refused(tmp_path):
    a, b = two_folders(tmp_path, ["00.jpg", "00.webp", "01.png"], ["00.png", "01.png"])
    with pytest.raises(DataError, match=r"unclear, as files in '.*A' differ in their suffixes only: 00.jpg, 00.webp"):
        pair(a, b)


def test_paths_of_pairs_may_hold_commas(tmp_path):
    names = [f"{i:02d}.png" for i in range(10)]
    a, b = two_folders(tmp_path, names, names)
    odd, year = a.rename(tmp_path / "one, two"), b.rename(tmp_path / "2024")
    assert pair(odd, year).name == "folder-pair:one, two,2024"
    assert pair(year, odd).name == "folder-pair:2024,one, two"
    assert load(odd).name == "folder:one, two"
    assert load(year).name == "folder:2024"


def test_two_readings_of_the_commas_are_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a", "a,b", "b,c", "c"):
        (tmp_path / name).mkdir()
    with pytest.raises(DataError, match="'a,b,c' may mean 'a' and 'b,c' or 'a,b' and 'c'") as caught:
        folder_pair.ganbench_dataset(argument="a,b,c", resolution=None)
    assert "rename" in caught.value.hint


# -- what becomes of the sentences -------------------------------------------------------------------------------------


def test_notes_are_warnings_before_training_and_doubts_in_records(tmp_path):
    (tmp_path / "a").mkdir()
    for i in range(20):
        Image.fromarray(pixels(i, (16, 16))[..., 0]).save(tmp_path / "a" / f"{i}.png")
    (tmp_path / "a" / "phone.heic").write_bytes(b"")
    rules = replace(load_protocol("smoke-v1"), dataset=f"folder:{tmp_path}", resolution=16)
    rules = replace(rules, evaluation=replace(rules.evaluation, samples=10))
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        bench = prepare(rules, "cpu")
    assert "1 left out (1 .heic; the first is a/phone.heic)" in bench.doubts[0]
    assert [str(one.message) for one in said] == list(bench.doubts)
    assert str(tmp_path.parent) not in bench.doubts[0]


def test_inputs_of_a_translator_that_are_all_alike_are_refused(tmp_path) -> None:
    for number in range(40):
        paint(tmp_path / "flat" / f"{number}.png", seed=0, size=(16, 16))
        paint(tmp_path / "varied" / f"{number}.png", seed=number, size=(16, 16))
    rules = replace(load_protocol("digits-edges-v1"), dataset=f"folder-pair:{tmp_path / 'flat'},{tmp_path / 'varied'}")
    with pytest.raises(DataError, match="all inputs of 'folder-pair:flat,varied' are alike"):
        prepare(rules, "cpu")


def test_an_unreadable_image_is_described_without_a_librarys_words(tmp_path):
    good = paint_many(tmp_path)
    good[0].write_bytes(b"")
    content = bytearray(good[1].read_bytes())
    content[-30] ^= 255
    good[1].write_bytes(content)
    message = refusal(tmp_path).message
    assert "00.png (an empty file)" in message
    assert "01.png (damaged: " in message
    assert "Error" not in message
