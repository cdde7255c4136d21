"""The emoji data set, the script that made it, the extractor that judges it, and their protocols."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ganbench.contracts.data import Dataset, Split
from ganbench.contracts.extractor import extract
from ganbench.errors import DataError, Unsupported
from ganbench.plugins.protocols import load_protocol
from ganbench.testing import check_dataset, check_extractor
from ganbench_baselines.dataset import emoji, make_emoji
from ganbench_baselines.extractor import emoji_cnn, train_emoji_cnn
from ganbench_baselines.extractor.train_cnn import judged, share

CPU = torch.device("cpu")
COUNTS = [172, 184, 161, 132, 221, 85, 268, 251]


@pytest.fixture(scope="module")
def data() -> Dataset:
    return emoji.ganbench_dataset(resolution=None)


@pytest.fixture(scope="module")
def cnn() -> emoji_cnn.EmojiCNN:
    return emoji_cnn.load()


@pytest.fixture(scope="module")
def published() -> dict:
    return json.loads(emoji_cnn.WEIGHTS.with_suffix(".json").read_text("utf-8"))


# -- the data ----------------------------------------------------------------------------------------------------------


def test_the_pictures_are_the_published_ones(data) -> None:
    assert data.fingerprint == "4381da5076148349"
    assert emoji.PICTURES.stat().st_size < 2_000_000


def test_each_group_has_its_pictures_and_its_share_of_both_parts(data) -> None:
    whole = emoji.load()
    assert whole.x.shape == (1474, 3, 32, 32)
    assert whole.x.dtype == torch.uint8
    assert whole.labels.bincount().tolist() == COUNTS
    assert data.test.labels.bincount().tolist() == [round(0.2 * count) for count in COUNTS]
    assert (data.train.labels.bincount() + data.test.labels.bincount()).tolist() == COUNTS
    assert data.oracle.probabilities.tolist() == pytest.approx([count / 1474 for count in COUNTS])
    assert len(data.class_names) == 8


def test_no_picture_occurs_twice_or_in_both_parts(data) -> None:
    train, test = ({picture.numpy().tobytes() for picture in part.x} for part in (data.train, data.test))
    assert (len(train), len(test)) == (len(data.train), len(data.test)) == (1180, 294)
    assert not train & test


def test_the_background_is_white() -> None:
    corners = emoji.load().x[:, :, [0, 0, -1, -1], [0, -1, 0, -1]]
    assert (corners == 255).all(dim=1).double().mean() > 0.9  # some pictures are full squares
    assert (emoji.load().x.amin(dim=(1, 2, 3)) < 250).all()  # and no picture is blank


def test_names_stand_in_the_order_of_the_pictures() -> None:
    names = [name for group in emoji.names() for name in group]
    red, black = emoji.load().x[[names.index("red-heart"), names.index("black-large-square")], :, 16, 16].tolist()
    assert red[0] > 200
    assert max(red[1:]) < 100
    assert max(black) < 100


def test_flags_skin_tones_and_variants_by_gender_are_left_out() -> None:
    names = {name for group in emoji.names() for name in group}
    assert not {"black-flag", "crossed-flags", "flag-france", "rainbow-flag"} & names
    assert not [name for name in names if "skin-tone" in name]
    assert {"artist", "person-running", "woman-dancing", "folded-hands"} <= names
    assert not {"man-artist", "woman-running", "person-running-facing-right", "family-man-boy", "man", "boy"} & names


def test_another_resolution_is_made_with_pillows_lanczos_filter() -> None:
    small = emoji.ganbench_dataset(resolution=16)
    assert small.spec.shape == (3, 16, 16)
    picture = Image.fromarray(emoji.load().x[7].permute(1, 2, 0).numpy())
    expected = np.asarray(picture.resize((16, 16), Image.Resampling.LANCZOS))
    assert np.array_equal(emoji.load(16).x[7].permute(1, 2, 0).numpy(), expected)


@pytest.mark.parametrize("damaged", ["emoji.png", "emoji.json"])
def test_damaged_or_missing_pictures_are_a_sentence(damaged, tmp_path) -> None:
    for name in {"emoji.png", "emoji.json"} - {damaged}:
        (tmp_path / name).write_bytes(emoji.PICTURES.with_name(name).read_bytes())
    for content in (None, b"damaged"):
        if content:
            (tmp_path / damaged).write_bytes(content)
        with pytest.raises(DataError, match=f"{damaged}.*cannot be read"):
            emoji.load(file=tmp_path / "emoji.png")


def test_emoji_keep_the_contract_of_data_sets() -> None:
    check_dataset("emoji")


def test_the_licence_lies_beside_the_pictures() -> None:
    text = emoji.PICTURES.with_name("emoji-LICENSE.txt").read_text()
    for words in ("Noto Emoji", "GANBench changed", "Apache License", "END OF TERMS AND CONDITIONS"):
        assert words in text


# -- the script --------------------------------------------------------------------------------------------------------


def test_gendered_and_mirrored_variants_give_way_to_what_they_are_variants_of() -> None:
    names = (
        *("artist", "man-artist", "woman-artist", "artist-dark-skin-tone"),
        *("person-running", "man-running", "person-running-facing-right", "woman-running-facing-right"),
        *("people-holding-hands", "women-holding-hands", "woman-dancing", "man-dancing"),
        *("child", "boy", "family", "family-woman-boy", "superhero", "facing-right"),
    )
    assert make_emoji.chosen(names) == [
        *("artist", "person-running", "people-holding-hands", "woman-dancing", "man-dancing"),
        *("child", "family", "superhero", "facing-right"),
    ]


def painted(body: str) -> np.ndarray:
    """A picture of one colour, named in hexadecimal, with a white border."""
    picture = np.full((make_emoji.DRAWN, make_emoji.DRAWN, 3), 255, dtype=np.uint8)
    picture[8:-8, 8:-8] = list(bytes.fromhex(body))
    return picture


def test_a_package_becomes_one_sheet_without_flags_and_equal_pictures(tmp_path, monkeypatch) -> None:
    groups = {group: [f"{group[:3]}-{i}" for i in range(8)] for group in ("Flags", *make_emoji.GROUPS)}
    groups["Symbols"] = ["child", "boy", "girl-dark-skin-tone", "Act-0-again"]
    names = [name for group in groups.values() for name in group]
    bodies = {name: f"{number:02x}8040" for number, name in enumerate(names)}
    bodies["Act-0-again"] = bodies["Act-0"]
    (tmp_path / "metadata.json").write_text(json.dumps({"categories": groups}))
    (tmp_path / "icons.json").write_text(json.dumps({"icons": {name: {"body": of} for name, of in bodies.items()}}))
    monkeypatch.chdir(tmp_path)
    make_emoji.write(tmp_path, painted)
    first = Path("emoji.png").read_bytes()
    made, listed = emoji.load(file=tmp_path / "emoji.png"), emoji.names(tmp_path / "emoji.png")
    assert made.labels.bincount().tolist() == [8] * 7 + [1]
    assert listed == [groups[group] for group in make_emoji.GROUPS[:-1]] + [["child"]]
    assert made.x.shape == (57, 3, 32, 32)
    for name, picture in zip((name for group in listed for name in group), made.x, strict=True):
        assert picture[:, 16, 16].tolist() == list(bytes.fromhex(bodies[name]))
        assert (picture[:, 0] == 255).all()
    make_emoji.write(tmp_path, painted)
    assert Path("emoji.png").read_bytes() == first


# -- the extractor -----------------------------------------------------------------------------------------------------


def test_published_file_speaks_of_the_weights_that_ship(cnn, published) -> None:
    assert published["weights"] == cnn.weights_hash
    assert emoji_cnn.WEIGHTS.stat().st_size <= 500_000


def test_accuracy_on_pictures_never_seen_is_the_published_one(cnn, data, published) -> None:
    accuracy = share(judged(cnn, data.test.x)[1] == data.test.labels)
    assert accuracy == pytest.approx(published["held_out_accuracy"], abs=0.011)
    assert accuracy > 0.6


def test_features_of_the_training_pictures_have_mean_zero_and_variance_one(cnn, data) -> None:
    features, logits = extract(cnn, data.train.x, CPU)
    assert features.shape == (1180, 32)
    assert logits.shape == (1180, 8)
    assert features.mean(dim=0).abs().max() < 1e-4
    assert (features.std(dim=0) - 1).abs().max() < 1e-4


def test_distances_of_damaged_pictures_are_the_published_ones(cnn, data, published) -> None:
    train = train_emoji_cnn.seen(cnn, data.train.x)
    told = published["frechet_distance"]
    few = {name: train_emoji_cnn.FAULTS[name] for name in told if name.startswith(("blur", "gray", "100"))}
    assert len(few) == 3
    for name, faults in few.items():
        measured = [train_emoji_cnn.distance(train, train_emoji_cnn.seen(cnn, fault(data.test.x))) for fault in faults]
        assert measured == pytest.approx(told[name], rel=0.02)


def test_published_distances_rise_with_every_fault_and_little_with_a_shift(published) -> None:
    told = published["frechet_distance"]
    (floor,) = told["as they are"]
    assert train_emoji_cnn.rises(told)
    assert all(told[name][-1] > 4 * floor for name in train_emoji_cnn.FAULTS)
    assert told["mirrored"][0] < 1.1 * floor
    assert told["shifted by 1, 2, 4 pixels"][1] < 1.5 * floor


def test_features_of_groups_would_have_been_the_worse_choice(published) -> None:
    told = published["frechet_distance_of_groups"]
    assert not train_emoji_cnn.rises(told)
    assert told["shifted by 1, 2, 4 pixels"][1] > 10 * told["as they are"][0]


def test_tiles_and_repetitions_only_rearrange(data) -> None:
    x = data.test.x[:40]
    tiled = train_emoji_cnn.in_tiles(x, 8)
    assert not torch.equal(tiled, x)
    assert torch.equal(tiled.flatten(2).sort().values, x.flatten(2).sort().values)
    assert torch.equal(train_emoji_cnn.in_tiles(x, 32), x)
    assert len(train_emoji_cnn.repeated(x, 10).unique(dim=0)) == 10


def test_the_weights_can_be_fitted_again(data) -> None:
    recipe = replace(train_emoji_cnn.Recipe(), copies=2)
    some = data.train[torch.arange(500)]
    with torch.no_grad():
        one, again = (train_emoji_cnn.fitted(some, recipe) for _ in range(2))
    assert one.weights_hash == again.weights_hash
    assert share(judged(one, data.test.x)[1] == data.test.labels) > 0.5


@pytest.mark.parametrize("resolution", [16, 64])
def test_emoji_of_another_size_are_resized(cnn, data, resolution) -> None:
    other = emoji.ganbench_dataset(resolution)
    agreeing = judged(cnn, other.test.x)[1] == judged(cnn, data.test.x)[1]
    assert share(agreeing) > {16: 0.6, 64: 0.8}[resolution]


@pytest.mark.parametrize(
    "x",
    [
        torch.zeros(2, 1, 32, 32, dtype=torch.uint8),
        torch.zeros(2, 3, 32, 16, dtype=torch.uint8),
        torch.zeros(2, 3, 32, 32),
    ],
    ids=["gray", "oblong", "float"],
)
def test_emoji_cnn_refuses_what_it_would_judge_wrongly(cnn, x) -> None:
    with pytest.raises(Unsupported, match="emoji-cnn"):
        cnn(x)


def test_damaged_or_missing_weights_are_a_sentence(tmp_path) -> None:
    (tmp_path / "damaged").write_bytes(emoji_cnn.WEIGHTS.read_bytes()[:5000])
    for name in ("damaged", "missing"):
        with pytest.raises(DataError, match=name):
            emoji_cnn.load(tmp_path / name)


def test_emoji_cnn_keeps_the_contract_of_extractors(data) -> None:
    check_extractor("emoji-cnn", data=data.spec)


# -- the protocols -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["emoji-32-v1", "emoji-32-cond-v1"])
def test_a_protocol_scores_as_many_fakes_as_there_are_pictures(name, data) -> None:
    rules = load_protocol(name)
    part: Split = data.part(rules.evaluation.reference)
    assert rules.evaluation.samples == len(part)
    assert rules.evaluation.extractor == "emoji-cnn"
    smallest = int(part.labels.bincount().min())
    assert smallest > emoji_cnn.FEATURES  # so that intra-FID is not mostly bias
