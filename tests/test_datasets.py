"""The built-in datasets: what is in them, what is known about their modes, and what a folder may look like."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from painted import load, paint, paint_many, rows
from PIL import Image

from ganbench.contracts.data import Dataset
from ganbench.errors import DataError, GanbenchError, Unsupported
from ganbench_baselines.dataset import digits, folder, gaussian_1d, grid, ring, stacked_digits, unit_grid, unit_ring

POINTS: dict[str, Callable[..., Dataset]] = {
    "ring": ring.ganbench_dataset,
    "grid": grid.ganbench_dataset,
    "gaussian-1d": gaussian_1d.ganbench_dataset,
}


@pytest.fixture(scope="module")
def stacked() -> Dataset:
    return stacked_digits.ganbench_dataset(resolution=None)


# --- digits -------------------------------------------------------------------------------------------------


def test_digits_have_their_published_size_range_and_type():
    data = digits.ganbench_dataset(resolution=None)
    assert (len(data.train), len(data.test)) == (1438, 359)
    assert data.spec.shape == (1, 16, 16)
    assert data.spec.classes == 10
    assert data.train.x.dtype == torch.uint8
    assert data.train.labels.dtype == torch.int64
    assert (data.train.x.min().item(), data.train.x.max().item()) == (0, 255)


def test_digits_are_the_same_bits_on_every_call_and_machine():
    first, again = (digits.ganbench_dataset(resolution=16) for _ in range(2))
    assert first.fingerprint == again.fingerprint == "a94590fdfad33dd4"


def test_digits_at_their_own_size_are_scikit_learns_numbers_scaled_to_255():
    data = digits.ganbench_dataset(resolution=8).part("all")
    from sklearn.datasets import load_digits

    raw = load_digits()
    expected = np.round(raw.images / 16 * 255).astype(np.uint8)
    assert rows(data.x) == {image.tobytes() for image in expected}
    # not one label came loose from its image
    label_of = {image.tobytes(): label for image, label in zip(expected, raw.target, strict=True)}
    assert all(label_of[x.numpy().tobytes()] == y for x, y in zip(data.x, data.labels, strict=True))


def test_digits_are_enlarged_by_bilinear_interpolation_and_rounded_once():
    small, large = (digits.load(size)[0].x for size in (8, 16))
    exact = small[:, 0].double()
    # the second pixel of a doubled row is 3/4 of the first and 1/4 of the second original, in both directions
    top = 0.75 * exact[:, 0] + 0.25 * exact[:, 1]
    pixel = 0.75 * top[:, 0] + 0.25 * top[:, 1]
    assert (large[:, 0, 1, 1].double() - pixel).abs().max() <= 1.0  # rounding of the small image included


@pytest.mark.parametrize("resolution", [8, 16, 28])
def test_digits_come_at_any_resolution_from_8(resolution):
    assert digits.ganbench_dataset(resolution=resolution).spec.shape == (1, resolution, resolution)


@pytest.mark.parametrize("module", [digits, stacked_digits])
def test_digits_below_their_own_size_are_unsupported(module):
    with pytest.raises(Unsupported, match="resolution 7"):
        module.ganbench_dataset(resolution=7)


def test_digits_split_keeps_every_class_at_one_fifth_and_shares_no_row():
    data = digits.ganbench_dataset(resolution=None)
    train, test = data.train.labels.bincount(), data.test.labels.bincount()
    assert ((test / (train + test) - 0.2).abs() < 0.005).all()
    assert len(data.part("all")) == 1797
    assert rows(data.train.x).isdisjoint(rows(data.test.x))
    assert not torch.equal(data.train.labels, data.train.labels.sort().values)  # shuffled, not class by class


def test_digits_oracle_gives_class_frequencies_and_leaves_judging_to_the_classifier():
    data = digits.ganbench_dataset(resolution=None)
    expected = data.part("all").labels.bincount().double() / 1797
    assert torch.equal(data.oracle.probabilities, expected)
    assert data.oracle.assign is None


# --- stacked digits -----------------------------------------------------------------------------------------


def test_stacked_digits_have_1000_modes_that_all_occur(stacked):
    assert stacked.spec.shape == (3, 16, 16)
    assert stacked.spec.classes == 1000
    assert (len(stacked.train), len(stacked.test)) == (50_000, 26_000)
    for split in (stacked.train, stacked.test):
        assert len(split.labels.unique()) == 1000
        assert split.x.dtype == torch.uint8


def test_stacked_digits_put_hundreds_in_red_tens_in_green_and_ones_in_blue(stacked):
    train, test = digits.load(16)
    for split, source in ((stacked.train, train), (stacked.test, test)):
        digit_of = {x.numpy().tobytes(): int(y) for x, y in zip(source.x, source.labels, strict=True)}
        for triple, label in zip(split.x[:500], split.labels[:500].tolist(), strict=True):
            assert [digit_of[channel.numpy().tobytes()] for channel in triple] == [int(c) for c in f"{label:03d}"]


def test_stacked_digits_train_on_training_digits_and_hold_out_held_out_ones(stacked):
    train, test = digits.load(16)
    assert rows(stacked.train.x.flatten(0, 1)) == rows(train.x)
    assert rows(stacked.test.x.flatten(0, 1)) == rows(test.x)


def test_stacked_digits_probabilities_are_those_the_triples_are_drawn_with(stacked):
    p = stacked.oracle.probabilities
    shares = digits.class_frequencies(digits.load(16)[0].labels)
    assert p.sum().item() == pytest.approx(1, abs=1e-12)
    assert p[123].item() == pytest.approx((shares[1] * shares[2] * shares[3]).item(), rel=1e-12)
    counts = stacked.train.labels.bincount(minlength=1000)
    chi2 = ((counts - 50_000 * p) ** 2 / (50_000 * p)).sum()
    assert abs(chi2 - 999) < 4 * math.sqrt(2 * 999)


def test_stacked_digits_are_the_same_bits_on_every_call(stacked):
    again = stacked_digits.ganbench_dataset(resolution=None)
    assert torch.equal(again.train.x, stacked.train.x)
    assert torch.equal(again.test.labels, stacked.test.labels)


# --- points -------------------------------------------------------------------------------------------------


def test_ring_has_eight_different_modes_on_the_unit_circle():
    centres = ring.centres()
    distance = torch.cdist(centres, centres)
    apart = distance[~torch.eye(8, dtype=torch.bool)]
    assert apart.min().item() == pytest.approx(2 * math.sin(math.pi / 8))
    assert torch.allclose(centres.norm(dim=1), torch.ones(8, dtype=torch.float64))


def test_grid_has_the_25_even_points_from_minus_4_to_4():
    expected = {(float(x), float(y)) for x in range(-4, 5, 2) for y in range(-4, 5, 2)}
    assert {tuple(point) for point in grid.centres().tolist()} == expected


@pytest.mark.parametrize(("module", "std"), [(ring, 0.01), (grid, 0.05)])
def test_mixture_samples_have_the_stated_centres_and_spread(module, std):
    data = module.ganbench_dataset(resolution=None)
    for split in (data.train, data.test):
        assert split.x.shape == (50_000, 2)
        assert split.x.dtype == torch.float32
        rest = split.x.double() - module.centres()[split.labels]
        assert rest.std(dim=0).tolist() == pytest.approx([std, std], rel=0.02)
        assert rest.mean(dim=0).abs().max() < 5 * std / math.sqrt(50_000)
        share = split.labels.bincount() / 50_000
        assert (share * len(share) - 1).abs().max() < 0.1
    assert not torch.equal(data.train.x, data.test.x)
    assert not data.spec.bounded


@pytest.mark.parametrize("module", [ring, grid])
def test_mixture_oracle_finds_the_mode_of_real_samples_at_its_published_ceiling(module):
    data = module.ganbench_dataset(resolution=None)
    mode = data.oracle.assign(data.test.x)
    good = mode >= 0
    assert torch.equal(mode[good], data.test.labels[good])
    assert data.oracle.ceiling == pytest.approx(0.98889, abs=5e-6)
    error = math.sqrt(data.oracle.ceiling * (1 - data.oracle.ceiling) / 50_000)
    assert abs(good.double().mean().item() - data.oracle.ceiling) < 4 * error
    assert data.oracle.probabilities.sum().item() == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize(("module", "std"), [(ring, 0.01), (grid, 0.05)])
def test_mixture_oracle_draws_the_line_at_three_standard_deviations(module, std):
    data = module.ganbench_dataset(resolution=None)
    centres = module.centres()
    step = torch.tensor([0.6, 0.8], dtype=torch.float64) * std
    inside, outside = (centres + 2.999 * step).float(), (centres + 3.001 * step).float()
    assert torch.equal(data.oracle.assign(inside), torch.arange(len(centres)))
    assert (data.oracle.assign(outside) == -1).all()


@pytest.mark.parametrize(("module", "plain", "divisor"), [(unit_ring, ring, 1.414 / 2), (unit_grid, grid, 2.828)])
def test_data_of_unit_spread_are_those_of_the_paper(module, plain, divisor):
    """The authors' toy script divides the grid by 2.828, and a ring of radius 2 by 1.414."""
    data, known = module.ganbench_dataset(resolution=None), plain.ganbench_dataset(resolution=None)
    assert data.train.x.std(dim=0).tolist() == pytest.approx([1, 1], rel=0.01)
    torch.testing.assert_close(data.train.x * divisor, known.train.x, rtol=3e-4, atol=3e-4)
    assert data.train.labels.equal(known.train.labels)
    assert data.oracle.assign(data.test.x).equal(known.oracle.assign(known.test.x))


def test_mixture_oracle_calls_nan_and_infinity_low_quality():
    assign = ring.ganbench_dataset(resolution=None).oracle.assign
    assert assign(torch.tensor([[math.nan, 0.0], [math.inf, 0.0], [1.0, 0.0]])).tolist() == [-1, -1, 0]


def test_gaussian_1d_is_the_tutorials():
    data = gaussian_1d.ganbench_dataset(resolution=None)
    assert data.spec.shape == (1,)
    assert data.oracle is None
    for split in (data.train, data.test):
        assert split.x.shape == (50_000, 1)
        assert split.x.mean().item() == pytest.approx(4, abs=0.03)
        assert split.x.std().item() == pytest.approx(1.25, abs=0.02)
    assert not torch.equal(data.train.x, data.test.x)


@pytest.mark.parametrize("name", POINTS)
def test_points_refuse_a_resolution(name):
    with pytest.raises(Unsupported, match=name):
        POINTS[name](resolution=16)


@pytest.mark.parametrize("name", POINTS)
def test_points_are_the_same_bits_on_every_call(name):
    assert POINTS[name](resolution=None).fingerprint == POINTS[name](resolution=None).fingerprint


# --- folder -------------------------------------------------------------------------------------------------


def pixels_of(path: Path) -> bytes:
    return np.asarray(Image.open(path)).transpose(2, 0, 1).tobytes()


def test_folder_without_classes_gives_unlabelled_images_as_they_are(tmp_path):
    files = paint_many(tmp_path)
    data = load(tmp_path)
    assert data.spec.shape == (3, 8, 8)
    assert data.spec.classes == 0
    assert data.train.labels is None
    assert (len(data.train), len(data.test)) == (8, 2)
    assert rows(data.part("all").x) == {pixels_of(file) for file in files}


def test_folder_takes_class_sub_folders_by_sorted_name_and_splits_each_80_20(tmp_path):
    ants = [paint(tmp_path / "ant" / f"{i}.png", seed=i) for i in range(10)]
    zebras = [paint(tmp_path / "zebra" / f"{i}.png", seed=100 + i) for i in range(20)]
    data = load(tmp_path)
    assert data.spec.classes == 2
    assert data.test.labels.bincount().tolist() == [2, 4]
    everything = data.part("all")
    assert rows(everything.x[everything.labels == 0]) == {pixels_of(file) for file in ants}
    assert rows(everything.x[everything.labels == 1]) == {pixels_of(file) for file in zebras}


def test_folder_does_not_depend_on_the_order_of_the_file_system(tmp_path):
    for i in range(10):
        paint(tmp_path / "up" / f"{i}.png", seed=i)
    for i in reversed(range(10)):
        paint(tmp_path / "down" / f"{i}.png", seed=i)
    assert load(tmp_path / "up").fingerprint == load(tmp_path / "down").fingerprint


def test_folder_ignores_hidden_files_other_files_and_folders_without_images(tmp_path):
    paint_many(tmp_path)
    (tmp_path / "README.txt").write_text("where these come from")
    (tmp_path / "._00.png").write_bytes(b"what a Mac leaves in an archive")
    (tmp_path / "__MACOSX").mkdir()
    assert len(load(tmp_path).part("all")) == 10


def test_folder_cuts_the_central_square_and_resizes_with_lanczos(tmp_path):
    files = [paint(tmp_path / f"{i}.png", size=(20, 12), seed=i) for i in range(5)]
    data = load(tmp_path, resolution=6)
    assert data.spec.shape == (3, 6, 6)
    expected = set()
    for file in files:
        square = Image.open(file).crop((4, 0, 16, 12)).resize((6, 6), Image.Resampling.LANCZOS)
        expected.add(np.asarray(square).transpose(2, 0, 1).tobytes())
    assert rows(data.part("all").x) == expected


def test_folder_leaves_images_of_the_right_size_untouched(tmp_path):
    paint_many(tmp_path)
    assert load(tmp_path, resolution=8).fingerprint == load(tmp_path).fingerprint


def test_folder_of_grayscale_images_has_one_channel(tmp_path):
    files = paint_many(tmp_path, mode="L")
    data = load(tmp_path)
    assert data.spec.shape == (1, 8, 8)
    assert rows(data.part("all").x) == {np.asarray(Image.open(file)).tobytes() for file in files}


def test_folder_with_one_colour_image_has_three_channels(tmp_path):
    paint_many(tmp_path, mode="L")
    paint(tmp_path / "colour.png")
    assert load(tmp_path).spec.shape == (3, 8, 8)


def icons(folder, light, n=6):
    """Squares of one colour whose places are in the alpha channel alone; below it, all is red or cyan."""
    folder.mkdir()
    for i in range(n):
        x = np.zeros((8, 8, 4), dtype=np.uint8)
        x[..., 0 if light < 128 else 1] = 255
        x[i : i + 2, 2:6] = (light, light, light, 255)
        Image.fromarray(x).save(folder / f"{i}.png")
    return folder


@pytest.mark.parametrize(("light", "ground"), [(20, 255), (230, 0)])
def test_icons_are_laid_on_white_or_on_black_so_that_they_can_be_seen(tmp_path, light, ground):
    x = load(icons(tmp_path / "icons", light)).part("all").x
    assert x.unique().tolist() == sorted([light, ground])
    assert (x == light).sum(dim=(1, 2, 3)).tolist() == [3 * 8] * 6


def test_folder_lays_half_transparent_pixels_on_the_ground(tmp_path):
    for i in range(5):
        Image.fromarray(np.full((8, 8, 4), (10 * i, 0, 0, 51), dtype=np.uint8)).save(tmp_path / f"{i}.png")
    x = load(tmp_path).part("all").x
    assert x[:, 0, 0, 0].sort().values.tolist() == [204 + 2 * i for i in range(5)]
    assert (x[:, 1] == 204).all()


def test_folder_reads_palettes_with_transparency_without_a_warning(tmp_path):
    for i in range(5):
        pixels = np.full((8, 8, 3), 50 * i, dtype=np.uint8)
        pixels[:, 4:] = 255
        image = Image.fromarray(pixels).quantize(4)
        image.save(tmp_path / f"{i}.png", transparency=bytes([100, 200, 255, 255]))
        with Image.open(tmp_path / f"{i}.png") as saved:
            assert isinstance(saved.info["transparency"], bytes)
    assert load(tmp_path).part("all").x[:, 0, 0, 0].sort().values.tolist() == [0, 39, 78, 118, 157]  # of 200 in 255


def test_folder_turns_images_upright_as_their_exif_says(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: show after a quarter turn clockwise
    for i in range(5):
        paint(tmp_path / "tagged" / f"{i}.png", seed=i, size=(12, 8), exif=exif)
        turned = Image.open(tmp_path / "tagged" / f"{i}.png").transpose(Image.Transpose.ROTATE_270)
        (tmp_path / "plain").mkdir(exist_ok=True)
        turned.save(tmp_path / "plain" / f"{i}.png", exif=Image.Exif())
    assert torch.equal(load(tmp_path / "tagged", 8).train.x, load(tmp_path / "plain", 8).train.x)
    with pytest.raises(DataError, match="8x12"):
        load(tmp_path / "tagged")


def test_folder_of_several_sizes_asks_for_a_resolution(tmp_path):
    paint_many(tmp_path)
    paint(tmp_path / "large.png", size=(9, 9))
    with pytest.raises(DataError, match=r"8x8, 9x9") as caught:
        load(tmp_path)
    assert "resolution" in caught.value.hint
    assert load(tmp_path, resolution=8).spec.shape == (3, 8, 8)


def test_folder_of_oblong_images_asks_for_a_resolution(tmp_path):
    paint_many(tmp_path, size=(8, 6))
    with pytest.raises(DataError, match="8x6"):
        load(tmp_path)
    paint(tmp_path / "square.png", size=(8, 8))
    with pytest.raises(DataError, match="8x6, 8x8"):
        load(tmp_path)


@pytest.mark.parametrize("resolution", [None, 8])
def test_folder_names_the_files_it_cannot_read_all_at_once(tmp_path, resolution):
    files = paint_many(tmp_path, n=20)
    files[3].write_bytes(b"not a picture")
    for file in files[10:17]:
        file.write_bytes(file.read_bytes()[:100])  # a header, and pixels that break off
    with pytest.raises(DataError) as caught:
        load(tmp_path, resolution)
    message = caught.value.message
    assert "8 of 20 images" in message
    assert "03.png (not an image that Pillow knows)" in message
    assert "10.png (cut off)" in message
    assert "and 3 more" in message


def test_folder_refuses_16_bit_images_rather_than_clip_them(tmp_path):
    paint_many(tmp_path, mode="L")
    Image.fromarray(np.full((8, 8), 40_000, dtype=np.uint16)).save(tmp_path / "deep.png")
    with pytest.raises(DataError, match=r"deep\.png \(mode I(;16)?\b"):
        load(tmp_path)


def test_folder_of_unreadable_files_only_says_so(tmp_path):
    for i in range(5):
        (tmp_path / f"{i}.png").write_bytes(b"")
    with pytest.raises(DataError, match="5 of 5 images"):
        load(tmp_path)


def missing(root: Path) -> Path:
    return root / "nowhere"


def a_file(root: Path) -> Path:
    return paint(root / "one.png")


def empty(root: Path) -> Path:
    (root / "class").mkdir()
    return root


def mixed(root: Path) -> Path:
    paint(root / "loose.png")
    paint(root / "class" / "0.png")
    return root


def too_deep(root: Path) -> Path:
    paint(root / "train" / "cat" / "0.png")
    return root


def too_few(root: Path) -> Path:
    paint_many(root, n=2)
    return root


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (missing, "nowhere' does not exist"),
        (a_file, "one.png' is not a folder"),
        (empty, "holds no images"),
        (mixed, "1 image beside the class folders class"),
        (too_deep, "two levels down, in train/cat"),
        (too_few, "too few to hold any out"),
    ],
)
def test_folder_that_cannot_be_used_is_a_sentence_and_a_next_step(tmp_path, make, says):
    with pytest.raises(DataError) as caught:
        load(make(tmp_path))
    assert says in caught.value.message
    assert caught.value.hint


def test_folder_without_a_path_asks_for_one():
    with pytest.raises(GanbenchError, match="folder:PATH"):
        folder.ganbench_dataset(argument="", resolution=None)
