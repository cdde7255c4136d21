"""Training batches from disk: the same bits as from memory, whatever was read ahead."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from taped import TapeRecorder
from torch import nn

from ganbench import GAN, Dataset, DataSpec, Recipe, Split, prepared
from ganbench.contracts import arrays, data, memo
from ganbench.contracts.arrays import file_behind, joined, sha256_of, will_need
from ganbench.evaluation import yardsticks
from ganbench.evaluation.sampling import draw_reference
from ganbench.training.batches import AHEAD, Stream
from ganbench.training.trainer import Trainer
from ganbench_baselines.loss.hinge import Hinge
from ganbench_baselines.loss.wgan_gp import WassersteinGP

CPU = torch.device("cpu")
SHAPE = (1, 8, 8)
PIXELS = torch.randint(0, 256, (70, *SHAPE), generator=torch.Generator().manual_seed(5), dtype=torch.uint8)
LABELS = torch.arange(70) % 3


@pytest.fixture
def mapped(tmp_path, monkeypatch) -> torch.Tensor:
    """The same pixels, on disk."""
    monkeypatch.setenv("GANBENCH_DATA", str(tmp_path))
    (array,) = prepared("toy", ["v1"], (range(70),), lambda row: PIXELS[row].numpy(), SHAPE).arrays
    return array


KINDS: dict[str, Callable[[torch.Tensor], Split]] = {
    "images": Split,
    "labelled": lambda x: Split(x, LABELS),
    "two domains": lambda x: Split(x[:40], None, x[40:]),
    "pairs": lambda x: Split(x, LABELS, x, paired=True),
}


@pytest.mark.parametrize("kind", KINDS)
def test_batches_from_disk_have_the_bits_of_those_from_memory(kind, mapped) -> None:
    streamed, resident = (Stream(KINDS[kind](x), 16, 3, CPU) for x in (mapped, PIXELS))
    assert (streamed.streamed, resident.streamed) == (True, False)
    for batches in (5, 1, 2 * AHEAD, 3):
        for stream in (streamed, resident):
            stream.fill(batches)
        for _ in range(batches):
            for one, other in zip(streamed.draw(), resident.draw(), strict=True):
                assert (one is None) == (other is None)
                assert one is None or torch.equal(one, other)


def test_batches_come_again_after_rewinding_and_only_filling_brings_others(mapped) -> None:
    for x in (mapped, PIXELS):
        stream = Stream(Split(x), 16, 3, CPU)
        stream.fill(2)
        first = [stream.draw()[0] for _ in range(2)]
        stream.rewind()
        assert all(torch.equal(stream.draw()[0], one) for one in first)
        stream.fill(2)
        assert not torch.equal(stream.draw()[0], first[0])


def test_the_position_is_that_of_the_batches_used_not_of_those_read_ahead(mapped) -> None:
    streamed, resident = (Stream(Split(x), 16, 3, CPU) for x in (mapped, PIXELS))
    for stream in (streamed, resident):
        stream.fill(3)
    assert torch.equal(streamed.state(), resident.state())
    after = Stream(Split(mapped), 16, 99, CPU)
    after.fill(1)
    after.restore(streamed.state())
    assert torch.equal(after.draw()[0], resident.draw()[0]) is False  # the next batch, not the first
    resident.fill(1)
    after.restore(streamed.state())
    assert torch.equal(after.draw()[0], resident.draw()[0])


def trainer(x: torch.Tensor, loss=Hinge, recorder=None, d_steps: int = 1) -> Trainer:
    torch.manual_seed(7)
    generator = nn.Sequential(nn.Linear(4, 64), nn.Tanh(), nn.Unflatten(1, SHAPE))
    gan = GAN(generator, nn.Sequential(nn.Flatten(), nn.Linear(64, 1), nn.Flatten(0)), 4)
    recipe = Recipe(lr=1e-3, d_steps=d_steps)
    return Trainer(gan, loss(), Stream(Split(x), 16, 3, CPU), recipe, 83, 1, 2, recorder=recorder)


@pytest.mark.parametrize(("loss", "d_steps"), [(Hinge, 1), (WassersteinGP, 5)])
@pytest.mark.parametrize("kind", [None, TapeRecorder], ids=["played", "recorded"])
def test_training_from_disk_gives_the_weights_of_training_from_memory(loss, d_steps, kind, mapped) -> None:
    one, other = (trainer(x, loss, kind and kind(), d_steps) for x in (mapped, PIXELS))
    for trained in (one, other):
        trained.advance(83)  # the last iteration has fewer D steps than the others
    assert one.fingerprint() == other.fingerprint()
    assert one.mode == ("graph" if kind else "eager")


@pytest.mark.parametrize("where", ["disk", "memory"])
def test_a_run_resumed_while_streaming_has_the_bits_of_one_that_was_not_stopped(where, mapped) -> None:
    whole, stopped = trainer(mapped, d_steps=5), trainer(mapped, d_steps=5)
    whole.advance(80)
    stopped.advance(40)
    resumed = trainer(mapped if where == "disk" else PIXELS, d_steps=5)
    resumed.restore(stopped.state())
    resumed.advance(80)
    assert resumed.fingerprint() == whole.fingerprint()


# -- what does not copy the array --------------------------------------------------------------------------------------


def test_both_parts_of_a_prepared_set_are_joined_without_a_copy(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("GANBENCH_DATA", str(tmp_path))
    read = partial(lambda row: PIXELS[row].numpy())
    train, test = prepared("toy", ["v1"], (range(50), range(50, 70)), read, SHAPE).arrays
    whole = Dataset("toy", DataSpec(SHAPE), Split(train), Split(test)).part("all").x
    assert torch.equal(whole, PIXELS)
    assert file_behind(whole) is not None
    assert whole.data_ptr() == train.data_ptr()


@pytest.mark.parametrize("gap", [(slice(0, 30), slice(31, 70)), (slice(30, 70), slice(0, 30))])
def test_parts_that_do_not_lie_side_by_side_are_copied(gap) -> None:
    one, other = (PIXELS[part] for part in gap)
    assert torch.equal(joined(one, other), torch.cat([one, other]))


def test_a_reference_of_all_samples_is_not_copied(mapped) -> None:
    dataset = Dataset("toy", DataSpec(SHAPE), Split(mapped), Split(PIXELS))
    assert draw_reference(dataset, "train", 70, 1).x is mapped
    assert draw_reference(dataset, "train", 69, 1).x is not mapped


@pytest.mark.parametrize("large", [1, 1 << 28])
def test_data_on_disk_have_the_fingerprint_of_data_in_memory(large, mapped, monkeypatch) -> None:
    for module in (arrays, data, memo):
        monkeypatch.setattr(module, "LARGE", large)
    on_disk, in_memory = (Dataset("toy", DataSpec(SHAPE), Split(x, LABELS), Split(x[:9])) for x in (mapped, PIXELS))
    assert on_disk.fingerprint == in_memory.fingerprint
    changed = replace(in_memory, train=Split(PIXELS.flip(0), LABELS))
    assert changed.fingerprint != in_memory.fingerprint
    assert memo.fingerprint(mapped) == memo.fingerprint(PIXELS)


def test_the_hash_kept_with_an_array_is_that_of_its_bytes(mapped) -> None:
    assert sha256_of(mapped) == sha256_of(PIXELS)
    assert sha256_of(PIXELS.float()) != sha256_of(PIXELS)


def test_asking_for_rows_ahead_reads_nothing_else(mapped) -> None:
    will_need(mapped, [0, 69])
    will_need(PIXELS, [0])
    assert np.array_equal(mapped.numpy(), PIXELS.numpy())


@pytest.mark.parametrize("name", ["gaussian fit", "class gaussians"])
def test_yardsticks_of_data_read_in_parts_are_those_of_the_whole(name, mapped, monkeypatch) -> None:
    dataset = Dataset("toy", DataSpec(SHAPE, 3), Split(mapped, LABELS), Split(PIXELS, LABELS))
    at_once = yardsticks.draw(name, dataset, dataset.test, "test", 1).fake.x.int()
    monkeypatch.setattr(yardsticks, "AT_ONCE", 0)
    monkeypatch.setattr(yardsticks, "ROWS", 7)  # a part
    in_parts = yardsticks.draw(name, dataset, dataset.test, "test", 1).fake.x.int()
    assert (at_once - in_parts).abs().max() <= 1
    assert (at_once != in_parts).float().mean() < 0.01


def test_a_gaussian_is_fitted_to_a_choice_of_very_many_samples(mapped, monkeypatch) -> None:
    dark = torch.cat([PIXELS[:10], torch.zeros(60, *SHAPE, dtype=torch.uint8)])
    dataset = Dataset("toy", DataSpec(SHAPE), Split(dark), Split(PIXELS))
    monkeypatch.setattr(yardsticks, "FITTED", 60)
    chosen = yardsticks._Rows(dark)
    assert len(chosen) == len(torch.cat(list(chosen))) == 60
    assert torch.equal(torch.cat(list(chosen)), torch.cat(list(yardsticks._Rows(dark))))
    assert 0 < int((torch.cat(list(chosen)) > -1).any(1).sum()) <= 10
    assert len(yardsticks.draw("gaussian fit", dataset, dataset.test, "test", 1).fake) == 70


def test_noise_takes_the_range_of_the_data_from_the_smallest_and_largest_value(mapped) -> None:
    dataset = Dataset("toy", DataSpec(SHAPE), Split(PIXELS // 2), Split(PIXELS))
    fake = yardsticks.draw("noise", dataset, dataset.test, "test", 1).fake.x
    assert (int(fake.min()), int(fake.max())) == (0, 127)


def test_the_order_of_the_data_is_drawn_on_the_cpu_whatever_the_device() -> None:
    stream = Stream(Split(PIXELS), 16, 3, torch.device("meta"))
    assert stream.rng.device == CPU
    expected = torch.randint(70, (16,), generator=torch.Generator().manual_seed(3))
    assert torch.equal(stream.choose().rows, expected)
