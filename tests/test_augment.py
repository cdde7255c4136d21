"""Random changes of real images as rules of a protocol, and the laws of the latent."""

from __future__ import annotations

import math
from collections import Counter

import msgspec
import pytest
import torch
from running import bits, carry_out, job_in
from taped import TapeRecorder
from torch import nn

from ganbench import GAN, DataSpec, Recipe, Split, Unsupported
from ganbench.contracts.latents import LAWS
from ganbench.contracts.protocol import parse
from ganbench.errors import ProtocolError
from ganbench.plugins.protocols import load_protocol
from ganbench.runs.players import build_players
from ganbench.training.augment import applied, build
from ganbench.training.batches import Stream
from ganbench.training.trainer import Trainer
from ganbench_baselines.dataset import digits
from ganbench_baselines.loss.hinge import Hinge

SMOKE = load_protocol("smoke-v1")
BOTH = ("normal", "uniform")
CPU = torch.device("cpu")
MANY = 4000
PICTURE = torch.arange(20, dtype=torch.uint8).view(1, 4, 5)
SQUARE = torch.arange(16, dtype=torch.uint8).view(1, 4, 4)
"""Every pixel has a value of its own."""


def changed(name: str, x: torch.Tensor = PICTURE) -> list[torch.Tensor]:
    augmentations = build([name], DataSpec(tuple(x.shape)))
    u = torch.rand(augmentations[0].uniforms, MANY, generator=torch.Generator().manual_seed(1))
    return [*applied(augmentations, x.expand(MANY, *x.shape), u)]


def shares(found: list[torch.Tensor]) -> dict[bytes, float]:
    return {key: number / MANY for key, number in Counter(one.numpy().tobytes() for one in found).items()}


def key(x: torch.Tensor) -> bytes:
    return x.contiguous().numpy().tobytes()


@pytest.mark.parametrize(("name", "axis"), [("flip", -1), ("flip-vertical", -2)])
def test_half_of_the_images_are_mirrored_and_the_others_stay(name, axis) -> None:
    found = shares(changed(name))
    assert set(found) == {key(PICTURE), key(PICTURE.flip(axis))}
    assert found[key(PICTURE)] == pytest.approx(0.5, abs=0.04)


def test_a_quarter_of_the_images_is_turned_by_each_multiple_of_90_degrees() -> None:
    found = shares(changed("rotate", SQUARE))
    assert set(found) == {key(torch.rot90(SQUARE, k, (-2, -1))) for k in range(4)}
    assert all(share == pytest.approx(0.25, abs=0.04) for share in found.values())


def test_images_are_shifted_by_every_distance_with_mirrored_edges() -> None:
    padded = nn.functional.pad(PICTURE, (1, 1, 1, 1), mode="replicate")  # by one pixel, mirrored is repeated
    windows = {key(padded[:, dy : dy + 4, dx : dx + 5]) for dy in range(3) for dx in range(3)}
    found = shares(changed("shift:1"))
    assert set(found) == windows
    assert all(share == pytest.approx(1 / 9, abs=0.02) for share in found.values())


def test_a_shift_beyond_the_edge_mirrors_the_image() -> None:
    found = changed("shift:3", SQUARE)
    wide = torch.cat([SQUARE.flip(-1), SQUARE, SQUARE.flip(-1)], dim=-1)
    tall = torch.cat([wide.flip(-2), wide, wide.flip(-2)], dim=-2)
    windows = {key(tall[:, 4 + dy : 8 + dy, 4 + dx : 8 + dx]) for dy in range(-3, 4) for dx in range(-3, 4)}
    assert {key(one) for one in found} == windows


def test_every_frame_of_a_clip_is_changed_alike() -> None:
    clip = torch.stack([PICTURE, PICTURE + 20], dim=1)  # [C, T, H, W]
    for one in changed("flip", clip)[:50]:
        assert torch.equal(one[:, 1], one[:, 0] + 20)


def stream(split: Split, *names: str) -> Stream:
    spec = DataSpec(tuple(split.x.shape[1:]), source=None if split.source is None else tuple(split.source.shape[1:]))
    return Stream(split, 64, 3, CPU, augmentations=build(names, spec))


def test_the_same_samples_are_drawn_first_and_then_changed() -> None:
    x = torch.randint(0, 256, (9, 1, 4, 5), dtype=torch.uint8)
    plain, flipped = (stream(Split(x), *names).draw()[0] for names in ((), ("flip",)))
    mirrored = [not torch.equal(one, other) for one, other in zip(plain, flipped, strict=True)]
    assert 0 < sum(mirrored) < 64
    assert all(
        torch.equal(one, other) or torch.equal(one.flip(-1), other) for one, other in zip(plain, flipped, strict=True)
    )


def test_pairs_are_changed_alike_and_two_domains_independently() -> None:
    x = torch.randint(0, 256, (9, 1, 4, 5), dtype=torch.uint8)
    real, _, source = stream(Split(x, None, x, paired=True), "flip", "shift:2").draw()
    assert torch.equal(real, source)
    first = x[:1]
    real, _, source = stream(Split(first, None, first), "flip").draw()
    differing = sum(not torch.equal(one, other) for one, other in zip(real, source, strict=True))
    assert 16 < differing < 48


def test_a_recorded_iteration_draws_new_changes_each_time() -> None:
    def trainer(recorder=None) -> Trainer:
        torch.manual_seed(7)
        g = nn.Sequential(nn.Linear(4, 20), nn.Tanh(), nn.Unflatten(1, (1, 4, 5)))
        gan = GAN(g, nn.Sequential(nn.Flatten(), nn.Linear(20, 1), nn.Flatten(0)), 4)
        split = Split(PICTURE[None])
        return Trainer(gan, Hinge(), stream(split, "flip", "shift:1"), Recipe(), 30, 1, 2, recorder=recorder)

    played, recorded = trainer(), trainer(TapeRecorder())
    for one in (played, recorded):
        one.advance(30)
    assert recorded.mode == "graph"
    assert played.fingerprint() == recorded.fingerprint()


@pytest.mark.parametrize(
    ("names", "spec", "said"),
    [
        (["flip"], DataSpec((2,)), "`training.augment` changes images, but these data are points of shape 2"),
        (["flip"], DataSpec((1, 400)), "audio of shape 1x400"),
        (["rotate"], DataSpec((1, 4, 5)), "'rotate' needs squares, but these data are images of shape 1x4x5"),
    ],
)
def test_data_that_cannot_be_changed_so_are_refused(names, spec, said) -> None:
    with pytest.raises(Unsupported, match=said):
        build(names, spec)


def rules(**training: object) -> dict:
    known = msgspec.to_builtins(SMOKE)
    return known | {"training": known["training"] | training}


@pytest.mark.parametrize(
    ("augment", "said"),
    [
        (["flop"], r"`training.augment\[0\]` must be flip, flip-vertical, rotate, or shift:PIXELS, not 'flop'"),
        (["shift:0"], "shift:PIXELS"),
        (["shift"], "shift:PIXELS"),
        (["flip", "flip"], "`training.augment` lists 'flip' twice"),
    ],
)
def test_a_wrong_name_is_refused(augment, said) -> None:
    with pytest.raises(ProtocolError, match=said):
        parse(rules(augment=augment), "mine.toml")


def test_these_rules_change_the_digest_and_their_absence_does_not() -> None:
    plain = parse(rules(), "mine.toml")
    assert plain.digest == SMOKE.digest == parse(rules(augment=[], latent="normal"), "mine.toml").digest
    others = [{"augment": ["flip"]}, {"augment": ["flip", "rotate"]}, {"latent": "uniform"}]
    assert len({plain.digest, *(parse(rules(**one), "mine.toml").digest for one in others)}) == 4


# -- latents -----------------------------------------------------------------------------------------------------------


def drawn(law: str, n: int = 20_000, z_dim: int = 4) -> torch.Tensor:
    return LAWS[law](n, z_dim, torch.Generator().manual_seed(2))


def test_a_normal_latent_is_that_of_earlier_versions() -> None:
    assert torch.equal(drawn("normal"), torch.randn(20_000, 4, generator=torch.Generator().manual_seed(2)))


def test_a_uniform_latent_fills_the_cube() -> None:
    z = drawn("uniform")
    assert (z.min() < -0.999, z.max() > 0.999, z.abs().max() <= 1) == (True, True, True)
    assert z.var().item() == pytest.approx(1 / 3, rel=0.02)


@pytest.mark.parametrize("z_dim", [1, 4, 64])
def test_a_latent_on_the_sphere_has_the_mean_length_of_a_normal_one(z_dim) -> None:
    z = drawn("sphere", 5000, z_dim)
    assert z.norm(dim=1) == pytest.approx(math.sqrt(z_dim), rel=1e-5)
    assert z.mean(0).abs().max() < 0.06
    assert z.var().item() == pytest.approx(1, rel=0.02)


def test_a_bernoulli_latent_is_0_or_1_with_equal_probability() -> None:
    z = drawn("bernoulli")
    assert set(z.unique().tolist()) == {0.0, 1.0}
    assert z.mean().item() == pytest.approx(0.5, abs=0.01)


def test_a_censored_normal_latent_is_0_half_of_the_time() -> None:
    z = drawn("censored-normal")
    assert z.min() == 0
    assert (z == 0).float().mean().item() == pytest.approx(0.5, abs=0.01)
    assert z.mean().item() == pytest.approx(1 / math.sqrt(2 * math.pi), abs=0.01)


def test_the_law_of_the_recipe_is_that_of_the_run_and_stands_in_its_record(tmp_path) -> None:
    protocols = [msgspec.structs.replace(SMOKE, training=parse(rules(latent=law), "x").training) for law in BOTH]
    records = [
        carry_out(job_in(tmp_path / law, "mlp", "hinge", rules)) for law, rules in zip(BOTH, protocols, strict=True)
    ]
    assert [record.recipe["latent"] for record in records] == [*BOTH]
    assert bits(records[0]) != bits(records[1])


def test_an_arch_with_a_law_of_its_own_says_so_in_its_record(tmp_path) -> None:
    rules = load_protocol("digits-16-cond-v1")
    few = msgspec.structs.replace(rules.training, budget_kimg=0.1, latent="uniform")
    job = job_in(tmp_path, "cgan-mlp", "hinge", msgspec.structs.replace(rules, training=few), seeds=[0])
    players = build_players(job, digits.ganbench_dataset(16))
    assert (players.recipe.latent, players.origins["latent"]) == ("own", "arch cgan-mlp")


def test_a_law_that_has_no_effect_is_refused(tmp_path) -> None:
    job = job_in(tmp_path, "cgan-mlp", "hinge", "digits-16-cond-v1", seeds=[0])
    asked = msgspec.structs.replace(job, recipe_changes={"latent": "uniform"})
    with pytest.raises(Unsupported, match="cgan-mlp draws z by a law of its own, so latent=uniform has no effect"):
        build_players(asked, digits.ganbench_dataset(16))
    asked = msgspec.structs.replace(job_in(tmp_path, "mlp", "hinge"), recipe_changes={"latent": "own"})
    with pytest.raises(Unsupported, match="mlp has no law of its own for z"):
        build_players(asked, digits.ganbench_dataset(16))
