"""Sets too large for memory, and the well-known ones among them, from small files in the layouts that people have."""

from __future__ import annotations

import shutil
import zipfile
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch
from painted import load, paint, paint_many
from painted import pixels as random_pixels
from PIL import Image
from standard_files import TEST as TEST_IMAGES
from standard_files import TRAIN, write_stl10
from standard_files import pixels as standard_pixels

import ganbench
from ganbench import DataError, Dataset, GanbenchWarning, Unsupported
from ganbench.testing import check_dataset
from ganbench_baselines.dataset import image_pixels, pixels


@pytest.fixture(autouse=True)
def root(tmp_path, monkeypatch) -> Path:
    """The data folder."""
    monkeypatch.setenv("GANBENCH_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


@pytest.fixture(params=["in memory", "on disk"])
def anywhere(request, monkeypatch) -> str:
    """Once as small sets are read, and once as large ones."""
    if request.param == "on disk":
        monkeypatch.setattr(pixels, "LARGEST_IN_MEMORY", 0)
    return request.param


def named(dataset: str, resolution: int | None = None, **argument: str) -> Dataset:
    return import_module(f"ganbench_baselines.dataset.{dataset}").ganbench_dataset(resolution=resolution, **argument)


def expected(path: Path, side: int) -> np.ndarray:
    """``[3, side, side]``: the largest central square, resized by hand."""
    with Image.open(path) as opened:
        image = opened.convert("RGB")
    square = min(image.size)
    left, top = (image.width - square) // 2, (image.height - square) // 2
    cropped = image.crop((left, top, left + square, top + square))
    return np.asarray(cropped.resize((side, side), Image.Resampling.LANCZOS)).transpose(2, 0, 1)


def zip_of(folder: Path, target: Path) -> None:
    with zipfile.ZipFile(target, "w") as opened:
        for file in sorted(folder.rglob("*.*")):
            opened.write(file, file.relative_to(folder.parent))
    shutil.rmtree(folder)


# -- in memory or on disk ----------------------------------------------------------------------------------------------


def mixed(folder: Path) -> None:
    """Images of all sorts: gray, transparent, oblong, small, in other colours."""
    paint_many(folder, 12, size=(12, 12))
    paint(folder / "gray.png", 50, (12, 12), "L")
    paint(folder / "wide.png", 51, (20, 12))
    paint(folder / "small.png", 52, (4, 4))
    Image.fromarray(random_pixels(53, (12, 12))).convert("CMYK").save(folder / "print.jpg")
    shutil.copy(folder / "00.png", folder / "zz.png")
    for i in range(3):
        seen = random_pixels(60 + i, (12, 12), 4)
        seen[..., :3] = seen[..., :3] // 4 + 190  # bright: laid on black
        Image.fromarray(seen).save(folder / f"icon{i}.png")


def test_both_ways_give_the_same_pixels_and_notes(tmp_path, monkeypatch) -> None:
    mixed(tmp_path / "images")
    small = load(tmp_path / "images", 8)
    monkeypatch.setattr(pixels, "LARGEST_IN_MEMORY", 0)
    large = load(tmp_path / "images", 8)
    assert large.fingerprint == small.fingerprint
    assert large.notes == small.notes
    assert [note.partition("images in the folder images ")[2].partition(";")[0] for note in small.notes] == [
        "had to be laid on black, as they are transparent",
        "came in other colours than RGB (CMYK), and had to be converted without a profile",
        "had to be cut to the central square",
        "had to be enlarged to 8 pixels a side",
        "is a copy of another, so the same one may be trained on and held out",
    ]


def test_a_second_start_opens_no_image(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(pixels, "LARGEST_IN_MEMORY", 0)
    mixed(tmp_path / "images")
    before = load(tmp_path / "images", 8)
    opened = []
    monkeypatch.setattr(Image, "open", lambda file: opened.append(Path(file).name))
    assert load(tmp_path / "images", 8).fingerprint == before.fingerprint
    assert {*opened} <= {"00.png"}  # whether the first is gray


def test_a_changed_image_is_prepared_again(anywhere, tmp_path) -> None:
    paint_many(tmp_path / "images")
    before = load(tmp_path / "images").fingerprint
    paint(tmp_path / "images" / "00.png", 99)
    assert load(tmp_path / "images").fingerprint != before


def test_gray_images_have_one_channel(anywhere, tmp_path) -> None:
    paint_many(tmp_path / "images", mode="L")
    assert load(tmp_path / "images").spec.shape == (1, 8, 8)
    paint(tmp_path / "images" / "x.png", 9)
    assert load(tmp_path / "images").spec.shape == (3, 8, 8)


def pairs(one: Path, other: Path) -> Dataset:
    return named("folder_pair", argument=f"{one},{other}")


def test_both_ways_give_the_same_pairs_in_colour_if_one_domain_is(tmp_path, monkeypatch) -> None:
    paint_many(tmp_path / "gray", 30, mode="L")
    paint_many(tmp_path / "colour", 34)
    small = pairs(tmp_path / "gray", tmp_path / "colour")
    monkeypatch.setattr(pixels, "LARGEST_IN_MEMORY", 0)
    large = pairs(tmp_path / "gray", tmp_path / "colour")
    assert large.fingerprint == small.fingerprint
    assert large.spec.shape == large.spec.source == (3, 8, 8)
    assert large.test.paired
    assert large.selection is not None


def test_a_renamed_partner_moves_images_of_a_large_set_between_splits(tmp_path, monkeypatch) -> None:
    for folder in ("one", "other"):
        paint_many(tmp_path / folder, 30)
    monkeypatch.setattr(pixels, "LARGEST_IN_MEMORY", 0)
    before = pairs(tmp_path / "one", tmp_path / "other")
    (tmp_path / "other" / "00.png").rename(tmp_path / "other" / "alone.png")
    after = pairs(tmp_path / "one", tmp_path / "other")
    assert len(after.test) == len(before.test)
    monkeypatch.setattr(pixels, "LARGEST_IN_MEMORY", 1 << 28)
    assert after.fingerprint == pairs(tmp_path / "one", tmp_path / "other").fingerprint != before.fingerprint


def test_stl10_is_the_same_from_disk(anywhere, root) -> None:
    write_stl10(root / "stl10_binary")
    found = named("stl10", 48)
    stored = standard_pixels(TRAIN, 96, 96, 3)[3]
    small = np.asarray(Image.fromarray(stored).resize((48, 48), Image.Resampling.LANCZOS))
    assert np.array_equal(found.train.x[3].numpy(), small.transpose(2, 0, 1))
    assert (len(found.train), len(found.test)) == (TRAIN, TEST_IMAGES)


def test_dark_icons_are_laid_on_white(anywhere, tmp_path) -> None:
    for i in range(5):
        x = random_pixels(i, channels=4) // 4
        x[0, 0, 3] = 0
        Image.fromarray(x).save(tmp_path / f"{i}.png")
    data = load(tmp_path)
    assert bool((data.train.x[:, :, 0, 0] == 255).all())


def test_only_images_whose_header_speaks_of_transparency_are_read_twice(tmp_path, monkeypatch) -> None:
    mixed(tmp_path)
    decoded = []
    monkeypatch.setattr(image_pixels, "_unfolded", lambda image: decoded.append(1) or image)
    load(tmp_path, 8)
    assert len(decoded) == 20 + 3


def test_a_damaged_image_ends_the_preparation_at_once_with_its_name(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(pixels, "LARGEST_IN_MEMORY", 0)
    paint_many(tmp_path / "images")
    (tmp_path / "images" / "04.png").write_bytes(b"damaged")
    with pytest.raises(
        DataError, match=r"1 of 10 images in .* cannot be read: 04.png \(not an image that Pillow knows"
    ):
        load(tmp_path / "images")
    paint(tmp_path / "images" / "04.png", 77)
    assert len(load(tmp_path / "images").part("all")) == 10


def test_the_cores_warnings_about_a_preparation_reach_the_user(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(pixels, "LARGEST_IN_MEMORY", 0)
    paint_many(tmp_path / "images")

    def slow(*arguments: object) -> ganbench.Prepared:
        import warnings

        warnings.warn(GanbenchWarning("another process is preparing"), stacklevel=2)
        return ganbench.prepared(*arguments)

    monkeypatch.setattr(pixels, "prepared", slow)
    with pytest.warns(GanbenchWarning, match="another process is preparing"):
        assert load(tmp_path / "images").notes == ()


def test_a_large_archive_is_prepared_too(tmp_path, monkeypatch) -> None:
    mixed(tmp_path / "images")
    wanted = load(tmp_path / "images", 8)
    zip_of(tmp_path / "images", tmp_path / "images.zip")
    monkeypatch.setattr(pixels, "LARGEST_IN_MEMORY", 0)
    assert load(tmp_path / "images.zip", 8).fingerprint == wanted.fingerprint


# -- CelebA ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def celeba(root) -> Path:
    """Eight faces: five to train on, one for selection, two for the test."""
    folder = root / "celeba" / "img_align_celeba"
    for i in range(8):
        paint(folder / f"{i + 1:06}.jpg", i, (178, 218))
    parts = "00000122"
    lines = "".join(f"{i + 1:06}.jpg {part}\n" for i, part in enumerate(parts))
    (root / "celeba" / "list_eval_partition.txt").write_text(lines)
    return folder


def test_celeba_has_its_official_partition_and_central_squares(anywhere, celeba) -> None:
    data = named("celeba", 64)
    assert (data.name, data.spec.shape, data.spec.classes, data.notes) == ("celeba", (3, 64, 64), 0, ())
    assert data.selection is not None
    assert [len(part) for part in (data.train, data.selection, data.test)] == [5, 1, 2]
    assert np.array_equal(data.train.x[4].numpy(), expected(celeba / "000005.jpg", 64))
    assert np.array_equal(data.selection.x[0].numpy(), expected(celeba / "000006.jpg", 64))
    assert np.array_equal(data.test.x[1].numpy(), expected(celeba / "000008.jpg", 64))


def test_celeba_without_a_resolution_is_178_pixels_and_larger_ones_are_said(celeba) -> None:
    assert named("celeba").spec.shape == (3, 178, 178)
    (note,) = named("celeba", 200).notes
    assert note == "8 of 8 images in celeba had to be enlarged to 200 pixels a side; the first is 000001.jpg"


@pytest.mark.parametrize("layout", ["zip", "zip above", "twice", "csv", "above"])
def test_celeba_is_found_as_torchvision_and_kaggle_pack_it(layout, celeba, root) -> None:
    wanted = named("celeba", 16).fingerprint
    listed = root / "celeba" / "list_eval_partition.txt"
    if layout.startswith("zip"):
        zip_of(celeba, root / ("" if "above" in layout else "celeba") / "img_align_celeba.zip")
    elif layout == "twice":
        celeba.rename(root / "faces")
        celeba.mkdir()
        (root / "faces").rename(celeba / "img_align_celeba")
    elif layout == "csv":
        rows = ["image_id,partition", *listed.read_text().replace(" ", ",").splitlines()]
        listed.with_suffix(".csv").write_text("\n".join(rows))
        listed.unlink()
    else:
        celeba.rename(root / "img_align_celeba")
        listed.rename(root / "list_eval_partition.txt")
    assert named("celeba", 16).fingerprint == wanted


def test_what_celeba_lacks_is_named(celeba, root) -> None:
    (celeba / "000003.jpg").unlink()
    with pytest.raises(DataError, match=r"1 of 8 images of 'celeba' are not in .*: 000003.jpg"):
        named("celeba", 16)
    (root / "celeba" / "list_eval_partition.txt").write_text("000001.jpg 7\n")
    with pytest.raises(DataError, match=r"holds the line '000001.jpg 7', not images and their parts"):
        named("celeba", 16)
    (root / "celeba" / "list_eval_partition.txt").write_text("000001.jpg 0\n")
    with pytest.raises(DataError, match="names no test images"):
        named("celeba", 16)


# -- FFHQ --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def ffhq(root) -> Path:
    for i, number in enumerate([0, 1, 59_999, 60_000, 69_999]):
        paint(root / "ffhq" / "thumbnails128x128" / f"{number // 1000 * 1000:05}" / f"{number:05}.png", i, (16, 16))
    return root / "ffhq"


def test_ffhq_is_split_at_its_60_000th_image(anywhere, ffhq) -> None:
    data = named("ffhq")
    assert (data.name, data.spec.shape, len(data.train), len(data.test)) == ("ffhq", (3, 16, 16), 3, 2)
    assert data.notes == ("ffhq has 5 of 70,000 images here",)
    assert np.array_equal(data.train.x[2].numpy(), expected(next(ffhq.rglob("59999.png")), 16))
    assert np.array_equal(data.test.x[1].numpy(), expected(next(ffhq.rglob("69999.png")), 16))


def test_ffhq_is_found_in_any_folder_and_in_a_zip(ffhq, root) -> None:
    wanted = named("ffhq", 8).fingerprint
    (ffhq / "thumbnails128x128").rename(ffhq / "small")
    assert named("ffhq", 8).fingerprint == wanted
    zip_of(ffhq, root / "ffhq.zip")
    assert named("ffhq", 8).fingerprint == wanted


def test_half_of_ffhq_and_two_images_of_a_number_are_refused(ffhq) -> None:
    paint(ffhq / "thumbnails128x128" / "other" / "59999.png", 9, (16, 16))
    with pytest.raises(DataError, match="have the number 59999"):
        named("ffhq")
    shutil.rmtree(ffhq / "thumbnails128x128" / "other")
    for name in ("60000.png", "69999.png"):
        next(ffhq.rglob(name)).unlink()
    with pytest.raises(DataError, match="there is no image numbered 60000 or higher"):
        named("ffhq")


# -- ImageNet ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def imagenet(root) -> Path:
    for split, n in (("train", 4), ("val", 2)):
        for k, name in enumerate(("n01440764", "n02012849", "n03126707")):
            for i in range(n):
                paint(root / "imagenet" / split / name / f"{name}_{i}.JPEG", 100 * k + 10 * n + i, (20 + i, 16))
    return root / "imagenet"


def test_imagenet_has_its_classes_and_its_validation_images_as_test(anywhere, imagenet) -> None:
    paint(imagenet / "train" / "n01440764" / "gray.JPEG", 7, (16, 16), "L")
    data = named("imagenet", 8)
    assert (data.spec.shape, data.spec.classes, data.notes) == ((3, 8, 8), 3, ())
    assert data.class_names == ("n01440764", "n02012849", "n03126707")
    assert data.train.labels.bincount().tolist() == [5, 4, 4]
    assert data.test.labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert np.array_equal(data.test.x[3].numpy(), expected(imagenet / "val" / "n02012849" / "n02012849_1.JPEG", 8))


def test_imagenets_words_name_its_classes_and_stay_distinct(imagenet) -> None:
    words = "n01440764 tench, Tinca tinca\nn02012849 crane\nn03126707 crane\n"
    (imagenet / "LOC_synset_mapping.txt").write_text(words)
    assert named("imagenet", 8).class_names == ("tench", "crane (n02012849)", "crane (n03126707)")


def test_imagenet_that_is_not_sorted_or_not_whole_is_refused(imagenet) -> None:
    with pytest.raises(Unsupported, match="name the resolution"):
        named("imagenet")
    shutil.rmtree(imagenet / "val" / "n02012849")
    with pytest.raises(DataError, match="only one of 'train' and 'val' has the class n02012849"):
        named("imagenet", 8)
    shutil.rmtree(imagenet / "val")
    with pytest.raises(DataError, match="there is no val in imagenet"):
        named("imagenet", 8)
    paint_many(imagenet / "val")
    with pytest.raises(DataError, match="are not sorted into classes"):
        named("imagenet", 8)


# -- LSUN --------------------------------------------------------------------------------------------------------------


def database(folder: Path, n: int, first: int = 0) -> list[Path]:
    """An LMDB of WebP files, and the same images as PNG."""
    lmdb = pytest.importorskip("lmdb")
    folder.mkdir(parents=True)
    drawn = [paint(folder.parent / "png" / f"{first + i}.png", first + i, (20, 16)) for i in range(n)]
    with lmdb.open(str(folder), map_size=1 << 24) as opened, opened.begin(write=True) as turn:
        for i, path in enumerate(drawn):
            Image.open(path).save(path.with_suffix(".webp"), lossless=True)
            turn.put(f"{i:040x}".encode(), path.with_suffix(".webp").read_bytes())
    return drawn


@pytest.mark.parametrize("above", ["lsun", "."])
def test_lsun_is_read_from_its_databases(above, anywhere, root) -> None:
    train = database(root / above / "bedroom_train_lmdb", 6)
    test = database(root / above / "bedroom_val_lmdb", 3, 6)
    data = named("lsun", 8, argument="bedroom")
    assert (data.name, data.spec.shape, data.notes) == ("lsun:bedroom", (3, 8, 8), ())
    for split, files in ((data.train, train), (data.test, test)):
        assert np.array_equal(split.x.numpy(), np.stack([expected(file, 8) for file in files]))


def test_lsun_is_read_from_a_folder_of_images_of_any_depth(anywhere, root) -> None:
    for i in range(10):
        paint(root / "lsun" / "church" / f"{i % 3}" / f"{i}.webp", i, (20, 16), lossless=True)
    data = named("lsun", 8, argument="church")
    assert (len(data.train), len(data.test)) == (8, 2)
    images = [expected(file, 8).tobytes() for file in (root / "lsun").rglob("*.webp")]
    assert sorted(row.numpy().tobytes() for row in data.part("all").x) == sorted(images)


def test_a_damaged_value_of_a_database_is_named_by_its_key(root) -> None:
    lmdb = pytest.importorskip("lmdb")
    database(root / "bedroom_train_lmdb", 3)
    database(root / "bedroom_val_lmdb", 3, 6)
    with lmdb.open(str(root / "bedroom_val_lmdb"), map_size=1 << 24) as opened, opened.begin(write=True) as turn:
        turn.put(b"damaged", b"no image")
    with pytest.raises(DataError, match=r"1 of 7 images in .* cannot be read: damaged \(not an image"):
        named("lsun", 8, argument="bedroom")
    (root / "bedroom_val_lmdb" / "data.mdb").write_bytes(b"no database")
    with pytest.raises(DataError, match=r"bedroom_val_lmdb' cannot be read"):
        named("lsun", 8, argument="bedroom")


def test_what_lsun_lacks_is_said(root, monkeypatch) -> None:
    with pytest.raises(DataError, match="'lsun:bedroom' is not on this machine"):
        named("lsun", 8, argument="bedroom")
    with pytest.raises(DataError, match="needs the name of a class"):
        named("lsun", 8, argument="")
    with pytest.raises(Unsupported, match="name the resolution"):
        named("lsun", argument="bedroom")
    (root / "bedroom_train_lmdb").mkdir(parents=True)
    with pytest.raises(DataError, match="but no bedroom_val_lmdb"):
        named("lsun", 8, argument="bedroom")
    (root / "bedroom_val_lmdb").mkdir()
    monkeypatch.setitem(__import__("sys").modules, "lmdb", None)
    with pytest.raises(DataError, match="needs the package lmdb") as caught:
        named("lsun", 8, argument="bedroom")
    assert caught.value.hint == "pip install 'ganbench[lsun]'"


# -- Hugging Face ------------------------------------------------------------------------------------------------------


def table(n: int, first: int = 0, classes: int = 2):
    """``n`` images of 10x8 pixels, with labels in turn."""
    datasets = pytest.importorskip("datasets")
    datasets.disable_progress_bars()
    features = {"image": datasets.Image(), "label": datasets.ClassLabel(names=["cat", "dog"][:classes])}
    held = {
        "image": [Image.fromarray(random_pixels(first + i, (10, 8))) for i in range(n)],
        "label": [i % 2 for i in range(n)],
    }
    return datasets.Dataset.from_dict(held, features=datasets.Features(features))


def square(seed: int) -> np.ndarray:
    return random_pixels(seed, (10, 8))[:, 1:9].transpose(2, 0, 1)


@pytest.mark.parametrize("held_out", ["test", "validation"])
def test_a_dataset_of_hugging_face_keeps_its_split_and_classes(held_out, anywhere, root) -> None:
    datasets = pytest.importorskip("datasets")
    datasets.DatasetDict({"train": table(6), held_out: table(4, 6)}).save_to_disk(root / "hf" / "user" / "name")
    data = named("hf", 8, argument="user/name")
    assert (data.name, data.spec.shape, data.class_names) == ("hf:user/name", (3, 8, 8), ("cat", "dog"))
    assert data.train.labels.tolist() == [0, 1, 0, 1, 0, 1]
    assert (len(data.train), len(data.test)) == (6, 4)
    assert np.array_equal(data.test.x.numpy(), np.stack([square(6 + i) for i in range(4)]))
    assert data.notes == (
        "10 of 10 images in hf:user/name had to be cut to the central square; the first is row 0 of train",
    )


def test_a_table_without_splits_is_split_with_the_same_shares(anywhere, root) -> None:
    table(20).save_to_disk(root / "user" / "name")
    data = named("hf", 8, argument="user/name")
    assert data.train.labels.bincount().tolist() == [8, 8]
    assert data.test.labels.bincount().tolist() == [2, 2]
    images = sorted(square(i).tobytes() for i in range(20))
    assert sorted(row.numpy().tobytes() for row in data.part("all").x) == images


def test_a_folder_of_save_to_disk_may_be_anywhere(tmp_path) -> None:
    table(20).save_to_disk(tmp_path / "mine")
    assert named("hf", 8, argument=str(tmp_path / "mine")).name == "hf:mine"


def test_a_test_split_whose_labels_are_secret_is_not_held_out(root) -> None:
    datasets = pytest.importorskip("datasets")
    secret = table(4, 6).map(lambda row: {"label": -1})
    known = table(4, 10)
    datasets.DatasetDict({"train": table(6), "test": secret, "validation": known}).save_to_disk(root / "name")
    data = named("hf", 8, argument="name")
    assert np.array_equal(data.test.x[0].numpy(), square(10))


def test_what_is_no_dataset_of_images_is_refused(root) -> None:
    datasets = pytest.importorskip("datasets")
    datasets.Dataset.from_dict({"text": ["a", "b"]}).save_to_disk(root / "texts")
    with pytest.raises(DataError, match="has no column of images, only text"):
        named("hf", 8, argument="texts")
    datasets.DatasetDict({"dev": table(4)}).save_to_disk(root / "dev")
    with pytest.raises(DataError, match="has no split 'train', only dev"):
        named("hf", 8, argument="dev")
    drawn = [Image.fromarray(random_pixels(i)) for i in range(6)]
    kinds = datasets.Features({"one": datasets.Image(), "other": datasets.Image()})
    datasets.Dataset.from_dict({"one": drawn, "other": drawn}, features=kinds).save_to_disk(root / "two")
    with pytest.raises(DataError, match="has 2 columns of type Image: one, other"):
        named("hf", 8, argument="two")


def test_without_a_copy_or_the_package_hf_says_what_to_do(root, monkeypatch, tmp_path) -> None:
    pytest.importorskip("datasets")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(DataError, match="'hf:user/none' is not on this machine") as caught:
        named("hf", 8, argument="user/none")
    assert "load_dataset('user/none').save_to_disk" in caught.value.hint
    with pytest.raises(DataError, match="needs a name"):
        named("hf", 8, argument="")
    monkeypatch.setitem(__import__("sys").modules, "datasets", None)
    with pytest.raises(DataError, match="need the package datasets") as caught:
        named("hf", 8, argument="user/none")
    assert caught.value.hint == "pip install 'ganbench[hf]'"


# -- all of them -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "argument"), [("celeba", {}), ("ffhq", {}), ("imagenet", {}), ("lsun", {"argument": "bedroom"})]
)
def test_a_set_that_is_not_there_says_what_to_get_and_where_to_put_it(name, argument, root) -> None:
    with pytest.raises(DataError) as caught:
        named(name, 8, **argument)
    assert f"'{name}" in caught.value.message
    assert str(root) in caught.value.message
    assert "http" in caught.value.hint
    assert f"{name}/" in caught.value.hint
    assert "GANBENCH_DATA" in caught.value.hint


def test_sets_that_need_an_argument_or_a_resolution_keep_the_contract(anywhere, imagenet, root) -> None:
    for i in range(20):
        paint(root / "lsun" / "church" / f"{i}.png", i, (20, 16))
    database(root / "tower_train_lmdb", 20)
    database(root / "tower_val_lmdb", 10, 20)
    check_dataset(lambda: named("imagenet", 8))
    check_dataset(lambda: named("lsun", 8, argument="tower"))
    check_dataset(lambda: named("lsun", 8, argument="church"))


def test_a_dataset_of_hugging_face_keeps_the_contract(anywhere, root) -> None:
    table(20).save_to_disk(root / "hf" / "name")
    check_dataset(lambda: named("hf", 8, argument="name"))


def test_arrays_on_disk_are_read_by_the_trainer_like_those_in_memory(tmp_path, monkeypatch) -> None:
    paint_many(tmp_path / "images")
    monkeypatch.setattr(pixels, "LARGEST_IN_MEMORY", 0)
    data = load(tmp_path / "images")
    assert data.train[torch.tensor([0, 3])].x.shape == (2, 3, 8, 8)
    assert len(data.part("all")) == 10
