"""Pillow's resizing as products of matrices, and Inception with clean-fid's."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from random_inception import random_inception_weights
from torch import Tensor, nn

from ganbench.errors import DataError, Unsupported
from ganbench_baselines.extractor import inception, inception_clean
from ganbench_baselines.extractor.resizing import as_bytes, as_floats, weights

SIZES = [(8, 8), (32, 32), (64, 64), (299, 299), (400, 400), (37, 301)]


def noise(*shape: int) -> Tensor:
    return torch.randint(256, shape, generator=torch.Generator().manual_seed(7), dtype=torch.uint8)


def pictures(x: Tensor) -> list[np.ndarray]:
    return [image.permute(1, 2, 0).numpy() for image in x]


@pytest.fixture(scope="module")
def random_inception(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "random.pth"
    torch.save(random_inception_weights(), path)
    return path


@pytest.fixture(scope="module")
def clean(random_inception) -> inception_clean.InceptionClean:
    return inception_clean.ganbench_extractor(argument=str(random_inception))


@pytest.fixture(scope="module")
def plain(random_inception) -> inception.Inception:
    return inception.ganbench_extractor(argument=str(random_inception))


# --- resizing -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
def test_images_are_resized_as_clean_fid_resizes_them(size):
    from cleanfid.resize import build_resizer

    x = noise(2, 3, *size)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "'mode' parameter", DeprecationWarning)  # clean-fid is older than Pillow 11.3
        theirs = np.stack([build_resizer("clean")(picture) for picture in pictures(x)])
    ours = as_floats(x, 299).clamp(0, 255).permute(0, 2, 3, 1).numpy()
    assert ours.dtype == np.float32
    assert np.abs(ours - theirs).max() < 2e-4  # of 255


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("side", [224, 336])
def test_bytes_are_resized_to_the_bits_of_pillow(size, side):
    x = noise(2, 3, *size)
    theirs = [
        np.asarray(Image.fromarray(picture).resize((side, side), Image.Resampling.BICUBIC)) for picture in pictures(x)
    ]
    assert np.array_equal(as_bytes(x, side).permute(0, 2, 3, 1).numpy(), np.stack(theirs))


def test_every_new_pixel_is_a_mean_of_old_ones():
    for old, new in ((8, 299), (299, 8), (1, 5)):
        assert weights(old, new).sum(dim=1).numpy() == pytest.approx(1)
    assert torch.equal(weights(12, 12), torch.eye(12, dtype=torch.float64))


# --- inception-clean ------------------------------------------------------------------------------------------


def test_images_that_need_no_resizing_are_seen_as_by_inception(clean, plain):
    x = noise(1, 3, 299, 299)
    with torch.inference_mode():
        for ours, theirs in zip(clean(x), plain(x), strict=True):
            assert ours.shape == theirs.shape
            assert torch.allclose(ours, theirs, rtol=0, atol=1e-5 * theirs.abs().max().item())


def test_resizing_matters_to_inception_and_one_channel_is_three(clean, plain):
    gray = noise(1, 1, 16, 16)
    with torch.inference_mode():
        ours, theirs = clean(gray)[0], plain(gray)[0]
        assert torch.equal(ours, clean(gray.repeat(1, 3, 1, 1))[0])
    assert (ours - theirs).abs().max() > 0.01 * theirs.abs().max()


def test_scores_of_the_two_resizings_have_different_names(clean, plain):
    assert clean.tag.partition(":")[0] == "inception-clean"
    assert plain.tag.partition(":")[0] == "inception"
    assert clean.weights_hash != plain.weights_hash


@pytest.mark.parametrize("name", ["clean", "plain"])
def test_inception_computes_in_channels_last_and_float32(request, name):
    extractor, seen = request.getfixturevalue(name), set()

    def look(_, __, out):
        seen.add((out.dtype, out.is_contiguous(memory_format=torch.channels_last)))

    hooks = [m.register_forward_hook(look) for m in extractor.modules() if isinstance(m, nn.Conv2d)]
    with torch.inference_mode():
        extractor(noise(1, 3, 8, 8))
    for hook in hooks:
        hook.remove()
    assert len(hooks) == 94
    assert seen == {(torch.float32, True)}


def test_inception_clean_speaks_of_itself_when_it_refuses(clean, monkeypatch):
    monkeypatch.delenv("GANBENCH_INCEPTION", raising=False)
    with pytest.raises(Unsupported, match="inception-clean judges uint8 images"):
        clean(torch.zeros(1, 3, 8, 8))
    with pytest.raises(DataError, match=r"nowhere\.pth") as caught:
        inception_clean.ganbench_extractor(argument="nowhere.pth")
    assert "inception-clean:PATH" in caught.value.hint


def test_inception_does_not_take_a_word_for_a_resizing(monkeypatch, tmp_path):
    """A digest leaves out what follows the colon unless it is a number, so a rule has to be part of the name."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="'clean' do not exist"):
        inception.ganbench_extractor(argument="clean")
