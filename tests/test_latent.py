"""Walks between latents against closed forms, and activations that rise; the players stay unchanged."""

from __future__ import annotations

import math
import wave
from pathlib import Path

import numpy as np
import pytest
import torch
from moments import command, runs_of
from PIL import Image
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm
from toy import yardstick

import ganbench
from ganbench import GAN, Dataset, DataSpec, Match, Split
from ganbench.errors import DataError, GanbenchError, Unsupported
from ganbench.records.store import write
from ganbench.report.activation import Probe
from ganbench.report.latent import conditions, interpolate, linear, made_of, slerp
from ganbench_baselines.arch import dcgan

DIGITS = DataSpec((1, 16, 16), classes=10)


def angle(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    a, b = a.double(), b.double()
    return torch.arccos((a * b).sum(-1) / a.norm(dim=-1) / b.norm(dim=-1))


def on_the_sphere(n: int, size: int, radius: float = 3.0) -> tuple[torch.Tensor, torch.Tensor]:
    z = torch.randn(2, n, size, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return tuple(radius * z / z.norm(dim=-1, keepdim=True))


# -- interpolation -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", [slerp, linear])
def test_a_way_begins_and_ends_at_its_latents(way) -> None:
    z0, z1 = torch.randn(2, 5, 64)
    assert torch.allclose(way(z0, z1, 0.0), z0, atol=1e-6)
    assert torch.allclose(way(z0, z1, 1.0), z1, atol=1e-6)


def test_slerp_keeps_the_norm_and_turns_evenly() -> None:
    z0, z1 = on_the_sphere(20, 64)
    for t in (0.1, 0.5, 0.9):
        z = slerp(z0, z1, t)
        assert torch.allclose(z.norm(dim=-1), torch.full((20,), 3.0, dtype=torch.float64))
        assert torch.allclose(angle(z0, z), t * angle(z0, z1))
        assert torch.allclose(angle(z, z1), (1 - t) * angle(z0, z1))


def test_the_chord_is_shorter_in_the_middle_and_the_arc_is_not() -> None:
    z0, z1 = torch.tensor([[3.0, 0.0]]), torch.tensor([[0.0, 3.0]])
    assert torch.allclose(linear(z0, z1, 0.5), torch.tensor([[1.5, 1.5]]))
    assert torch.allclose(slerp(z0, z1, 0.5), torch.tensor([[3.0, 3.0]]) / math.sqrt(2))


def test_slerp_of_quarter_turns_is_sine_and_cosine() -> None:
    z0, z1 = torch.tensor([2.0, 0.0, 0.0]), torch.tensor([0.0, 0.0, 5.0])
    t = torch.linspace(0, 1, 11)[:, None]
    expected = torch.cat([2 * torch.cos(t * math.pi / 2), torch.zeros_like(t), 5 * torch.sin(t * math.pi / 2)], dim=1)
    assert torch.allclose(slerp(z0, z1, t), expected, atol=1e-6)


def test_latents_that_point_the_same_or_opposite_ways_are_joined_by_a_line() -> None:
    z = torch.randn(4, 16)
    for other in (z, 2 * z, z + 1e-7, -z):
        middle = slerp(z, other, 0.25)
        assert middle.isfinite().all()
        assert torch.allclose(middle, linear(z, other, 0.25), atol=1e-6)


def test_nearly_parallel_latents_lose_no_digits() -> None:
    z0, _ = on_the_sphere(20, 64)
    z1 = z0 + 1e-3 * torch.randn(20, 64, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    assert torch.allclose(slerp(z0, z1, 0.3), linear(z0, z1, 0.3), atol=1e-5)


def gan_of(conditional: bool = False) -> GAN:
    torch.manual_seed(0)
    gan = dcgan.ganbench_arch(DIGITS, None, 8, 16)
    with torch.no_grad():
        for layer in gan.generator:  # as drawn, all it makes is grey
            if isinstance(layer, (nn.Linear, nn.ConvTranspose2d)):
                layer.weight.mul_(10)
    if conditional:
        gan.__class__ = Labelled
    return gan.eval()


class Labelled(GAN):
    conditional = True

    def fake(self, batch):
        return 0.01 * self.generator(batch.z) + batch.labels.float().view(-1, 1, 1, 1) / 5 - 0.9

    def matches(self, batch, fake):
        return [Match(lambda x: self.discriminator(x) + batch.labels, batch.real, fake)]


def data(n: int = 40) -> Dataset:
    x = torch.randint(256, (n, 1, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    split = Split(x, torch.arange(n) % 10)
    return Dataset("digits", DIGITS, split, split)


def alike(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Whether images are the same, made in batches of other sizes: a CPU may round a pixel otherwise."""
    return bool((one.int() - other.int()).abs().max() <= 1)


def test_samples_along_a_way_are_those_of_its_latents() -> None:
    gan, like = gan_of(), data().train
    x = interpolate(gan, like[torch.arange(3)], steps=5, mode="linear", seed=7)
    assert (x.shape, x.dtype) == ((3, 5, 1, 16, 16), torch.uint8)
    z = torch.randn(6, 16, generator=torch.Generator().manual_seed(7))
    halfway = made_of(gan, (z[:3] + z[3:]) / 2, like[torch.arange(3)])
    assert alike(x[:, 2], halfway)
    ends = made_of(gan, z, like[torch.arange(6)])
    assert alike(x[:, 0], ends[:3])
    assert alike(x[:, -1], ends[3:])
    assert not alike(interpolate(gan, like[torch.arange(3)], 5, "slerp", 7)[:, 2], halfway)


def test_a_label_is_held_along_the_way() -> None:
    gan = gan_of(conditional=True)
    x = interpolate(gan, conditions(gan, data(), 4), steps=6)
    shade = (x.float() / 127.5 - 1).mean((2, 3, 4))
    assert torch.allclose(shade, (torch.arange(4) / 5 - 0.9)[:, None].expand(4, 6), atol=0.03)


def test_many_latents_are_made_in_parts_that_change_nothing() -> None:
    gan, like = gan_of(conditional=True), conditions(gan_of(conditional=True), data(), 300)
    z = torch.randn(300, 16)
    whole = made_of(gan, z, like)
    few = made_of(gan, z[290:], like[torch.arange(290, 300)])
    assert alike(whole[290:], few)


def test_the_conditions_are_the_training_datas_in_turn_or_all_of_one_label() -> None:
    gan, dataset = gan_of(conditional=True), data()
    assert conditions(gan, dataset, 43).labels.tolist() == [*(i % 10 for i in range(40)), 0, 1, 2]
    assert conditions(gan, dataset, 9, label="4").labels.tolist() == [4] * 9
    with pytest.raises(DataError, match="has no class '11'"):
        conditions(gan, dataset, 9, label="11")
    with pytest.raises(Unsupported, match="takes no labels"):
        conditions(gan_of(), dataset, 9, label="1")


# -- activation maximisation -------------------------------------------------------------------------------------------


def test_a_linear_units_maximum_on_the_shell_is_its_own_direction() -> None:
    """The maximum of w.z over |z| = r is r |w|, at z = r w / |w|."""
    generator = nn.Sequential(nn.Linear(16, 256, bias=False), nn.Unflatten(1, (1, 16, 16)), nn.Tanh())
    gan = GAN(generator, nn.Sequential(nn.Flatten(), nn.Linear(256, 1), nn.Flatten(0)), 16).eval()
    probe = Probe(gan, "G", data())
    found = probe.maximise("0", [3, 200], steps=300)
    shell = torch.randn(1000, 16, generator=torch.Generator().manual_seed(0)).norm(dim=1).mean()
    assert torch.allclose(found.activation, shell * generator[0].weight[[3, 200]].norm(dim=1), rtol=1e-3)
    best = made_of(gan, shell * torch.nn.functional.normalize(generator[0].weight[[3, 200]].detach()), data().train)
    assert (found.x.int() - best.int()).abs().max() <= 3


def test_a_linear_ds_maximum_in_the_range_of_images_is_the_sign_of_its_weights() -> None:
    critic = nn.Sequential(nn.Flatten(), nn.Linear(256, 1), nn.Flatten(0))
    gan = GAN(nn.Sequential(nn.Linear(4, 256), nn.Unflatten(1, (1, 16, 16))), critic, 4).eval()
    found = Probe(gan, "D", data()).maximise("1", [0])
    weight, bias = critic[1].weight[0], critic[1].bias[0]
    assert torch.allclose(found.activation, weight.abs().sum() + bias, rtol=1e-3)
    assert torch.equal(found.x.flatten() > 127, (weight > 0))
    assert set(found.x.flatten().tolist()) == {0, 255}


@pytest.mark.parametrize(("who", "layer"), [("G", "4"), ("G", "6"), ("D", "0"), ("D", "2"), ("D", "5")])
def test_activation_rises_above_every_one_of_many_random_inputs(who, layer) -> None:
    gan = gan_of()
    probe = Probe(gan, who, data())
    units = list(range(min(3, probe.layers[layer].units)))
    found = probe.maximise(layer, units, steps=60)
    assert (found.activation > found.random).all()
    rng = torch.Generator().manual_seed(1)
    inputs = torch.randn(1000, 16, generator=rng) if who == "G" else torch.rand(1000, 1, 16, 16, generator=rng) * 2 - 1
    heard = []
    network = gan.generator if who == "G" else gan.discriminator
    with torch.no_grad():
        heard = network[: int(layer) + 1](probe.held(inputs))[:, units]
    random = heard.flatten(2).mean(2) if heard.ndim > 2 else heard
    assert (found.activation > random.max(dim=0).values).all()
    assert found.x.shape == (len(units), 1, 16, 16)


def test_what_a_layer_gives_is_heard_before_it_is_changed_in_place() -> None:
    critic = nn.Sequential(nn.Flatten(), nn.Linear(256, 8), nn.ReLU(inplace=True), nn.Linear(8, 1), nn.Flatten(0))
    nn.init.constant_(critic[1].bias, -100.0)
    gan = GAN(nn.Sequential(nn.Linear(4, 256), nn.Unflatten(1, (1, 16, 16))), critic, 4).eval()
    found = Probe(gan, "D", data()).maximise("1", [0, 1], steps=5)
    assert (found.activation < -50).all(), "after the ReLU it would be 0"


def test_the_layers_are_those_that_are_reached_with_their_shapes() -> None:
    gan = GAN(
        nn.Sequential(nn.Linear(16, 256), nn.Unflatten(1, (1, 16, 16)), nn.Tanh()),
        nn.Sequential(
            nn.Sequential(spectral_norm(nn.Conv2d(1, 3, 4, 2, 1)), nn.LeakyReLU()),
            nn.Flatten(),
            nn.Linear(192, 1),
            nn.Flatten(0),
        ),
        16,
    )
    layers = [(layer.name, layer.shape, layer.units) for layer in Probe(gan, "D", data()).layers.values()]
    assert layers == [
        ("0.0", (3, 8, 8), 3),
        ("0.1", (3, 8, 8), 3),
        ("1", (192,), 192),
        ("2", (1,), 1),
        ("3", (), 1),
    ]
    assert [layer.kind for layer in Probe(gan, "G", data()).layers.values()] == ["Linear", "Unflatten", "Tanh"]


class TwoOfEach(GAN):
    """Two critics, of halves, and an embedding beside G."""

    def __init__(self) -> None:
        generator = nn.Sequential(nn.Linear(8, 256), nn.Unflatten(1, (1, 16, 16)))
        critics = [nn.Sequential(nn.Flatten(), nn.Linear(128, 4), nn.Linear(4, 1), nn.Flatten(0)) for _ in range(2)]
        super().__init__(generator, nn.ModuleDict({"top": critics[0], "bottom": critics[1]}), 8)
        self.embedding = nn.Embedding(10, 8)

    conditional = True

    def generators(self):
        return [self.generator, self.embedding]

    def discriminators(self):
        return list(self.discriminator.values())

    def fake(self, batch):
        return {"x": self.generator(batch.z * self.embedding(batch.labels))}

    def sample(self, batch):
        return self.fake(batch)["x"]

    def matches(self, batch, fake):
        top, bottom = self.discriminator["top"], self.discriminator["bottom"]
        real, x = batch.real, fake["x"]
        return [Match(top, real[:, :, :8], x[:, :, :8]), Match(bottom, real[:, :, 8:], x[:, :, 8:])]


def test_players_of_several_parts_can_be_looked_into() -> None:
    gan = TwoOfEach().eval()
    assert list(Probe(gan, "G", data()).layers) == ["embedding", "generator.0", "generator.1"]
    probe = Probe(gan, "D", data())
    assert "discriminator.bottom.1" in probe.layers
    (x,) = probe.maximise("discriminator.bottom.1", [2]).x
    assert set(x[:, 8:].flatten().tolist()) <= {0, 255}, "where it looks"
    assert not set(x[:, :8].flatten().tolist()) & {0, 255}, "where it does not"
    with pytest.raises(GanbenchError, match="'embedding' does not depend on"):
        Probe(gan, "G", data()).maximise("embedding", [0])


def test_looking_into_players_leaves_them_as_they_were() -> None:
    critic = nn.Sequential(
        spectral_norm(nn.Conv2d(1, 4, 4, 2, 1)), nn.BatchNorm2d(4), nn.Dropout(), nn.Flatten(), nn.Linear(256, 1)
    )
    generator = nn.Sequential(nn.Linear(8, 256), nn.BatchNorm1d(256), nn.Unflatten(1, (1, 16, 16)))
    gan = GAN(generator, critic.append(nn.Flatten(0)), 8)
    before = {name: value.clone() for name, value in gan.state_dict().items()}
    rng = torch.get_rng_state()
    for who in ("G", "D"):
        Probe(gan, who, data()).maximise("1", [0], steps=3)
    interpolate(gan, data().train[torch.arange(2)], 3)
    assert torch.equal(torch.get_rng_state(), rng)
    assert all(torch.equal(value, before[name]) for name, value in gan.state_dict().items())
    assert all(module.training for module in gan.modules())
    assert all(p.grad is None for p in gan.parameters())
    assert not any(module._forward_hooks for module in gan.modules())


def test_the_same_seed_gives_the_same_samples() -> None:
    probe = Probe(gan_of(), "G", data())
    one, again, other = (probe.maximise("4", [0, 1], steps=5, seed=seed).x for seed in (0, 0, 1))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


def test_a_d_of_points_is_held_in_the_range_of_the_data() -> None:
    spec = DataSpec((2,), bounded=False)
    split = Split(torch.tensor([[-3.0, 0.0], [7.0, 2.0]]))
    gan = GAN(nn.Linear(2, 2), nn.Sequential(nn.Linear(2, 1), nn.Flatten(0)), 2)
    nn.init.constant_(gan.discriminator[0].weight, 1.0)
    found = Probe(gan, "D", Dataset("points", spec, split, split)).maximise("0", [0], lr=0.5)
    assert torch.allclose(found.x, torch.tensor([[7.0, 7.0]]))


# -- commands ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> dict[str, Path]:
    return runs_of(tmp_path_factory.mktemp("runs"), ("images", "sounds", "clips", "pairs"))


def test_d_is_the_one_that_was_trained_and_g_its_average(runs) -> None:
    state = torch.load(runs["images"] / "checkpoint.pt", weights_only=True)
    gan = ganbench.load_run(runs["images"]).gan()
    weights = gan.discriminator.state_dict()
    assert all(torch.equal(value, state["gan"][f"discriminator.{name}"]) for name, value in weights.items())
    averaged = gan.generator.state_dict()
    assert all(torch.equal(value, state["averaged"][0][name]) for name, value in averaged.items())
    assert not torch.equal(averaged["0.weight"], state["gan"]["generator.0.weight"])


def walked(run: Path, out: Path, *options: object) -> Path:
    """Where three walks of four steps were written."""
    command("latent", "interpolate", run, "--pairs", 3, "--steps", 4, *options, "--out", out)
    return out


@pytest.mark.parametrize(("kind", "suffix"), [("images", "png"), ("clips", "webp")])
def test_ways_are_drawn_in_a_row_each(kind, suffix, runs, tmp_path) -> None:
    with Image.open(walked(runs[kind], tmp_path / f"x.{suffix}", "--mode", "linear")) as image:
        assert image.size == (4 * 50 + 2, 3 * 50 + 2)


def test_an_animation_of_ways_goes_there_and_back(runs, tmp_path) -> None:
    with Image.open(walked(runs["images"], tmp_path / "x.gif")) as image:
        assert image.n_frames == 6
        assert image.size == (152, 52)


def test_ways_are_stored_one_after_the_other_as_samples(runs, tmp_path) -> None:
    assert np.load(walked(runs["images"], tmp_path / "x.npy")).shape == (12, 1, 16, 16)


def test_ways_between_sounds_are_heard_with_gaps(runs, tmp_path) -> None:
    with wave.open(str(walked(runs["sounds"], tmp_path / "x.wav"))) as file:
        assert file.getnframes() == 12 * 1024 + 11 * 2000


def test_layers_are_listed_and_their_units_maximised(runs, tmp_path) -> None:
    listed = command("latent", "layers", runs["clips"])
    assert [line.split() for line in listed.splitlines()[1:3]] == [
        ["G", "0", "Linear", "2048"],
        ["G", "1", "Tanh", "2048"],
    ]
    out = tmp_path / "x.gif"
    told = command("latent", "maximise", runs["clips"], "--layer", 0, "--unit", "5,7", "--steps", 5, "--out", out)
    rows = [line.split() for line in told.splitlines()]
    assert [row[0] for row in rows[1:3]] == ["5", "7"]
    assert all(float(row[2]) > float(row[1]) for row in rows[1:3])
    with Image.open(out) as image:
        assert image.n_frames == 8
    told = command("latent", "maximise", runs["images"], "--player", "D", "--layer", 1, "--out", tmp_path / "x.png")
    assert "1 unit of D's layer 1" in told


def test_a_yardstick_has_no_players_to_look_at(tmp_path) -> None:
    write(yardstick("noise", 0.1)[0], tmp_path / "record.json")
    with pytest.raises(GanbenchError, match="is a yardstick: nothing was trained"):
        command("latent", "layers", tmp_path)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["maximise", "images", "--layer", "00"], "G has no layer '00' - did you mean '0'?"),
        (["maximise", "images", "--layer", "0", "--unit", "256"], "'0' has no unit 256"),
        (["maximise", "images", "--layer", "0", "--unit", "0,-1"], "'0' has no unit -1"),
        (["maximise", "images", "--layer", "0", "--unit", "one"], "--unit one: units are whole numbers"),
        (["maximise", "images", "--layer", "0", "--label", "2"], "this generator takes no labels"),
        (["maximise", "images", "--layer", "0", "--out", "x.gif"], "cannot be written as .gif"),
        (["interpolate", "images", "--out", "x.wav"], "cannot be written as .wav"),
        (["interpolate", "images", "--out", "x.bmp"], "cannot write 'x.bmp'"),
        (["interpolate", "pairs"], "this GAN translates samples, so it has no latent"),
        (["layers", "pairs"], "this GAN translates samples, so it has no latent"),
        (["maximise", "pairs", "--layer", "0"], "this GAN translates samples, so it has no latent"),
        (["layers", "nowhere"], "nowhere does not exist"),
        (["layers", "unfinished"], "has a record but no checkpoint.pt"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_gets_a_sentence(words, sentence, runs, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "unfinished").mkdir()
    (tmp_path / "unfinished/record.json").write_text("{}")
    with pytest.raises(GanbenchError) as caught:
        command("latent", words[0], runs.get(words[1], words[1]), *words[2:])
    assert sentence in caught.value.message
    assert caught.value.hint
    assert not list(tmp_path.glob("*.png"))
