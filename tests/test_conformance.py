"""The conformance checks: every installed plugin and every sketch of the guide passes, and every check can fail."""

from __future__ import annotations

import importlib.util
import inspect
import itertools
import random
import re
import subprocess
import sys
import textwrap
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any, get_type_hints

import numpy as np
import pytest
import torch
from marks import slow
from PIL import Image
from planted import assert_found
from standard_files import write_all, write_faces
from torch import Tensor, nn
from torch.nn.functional import relu, softplus

from ganbench import GAN, Absent, DataError, Dataset, DataSpec, Match, Oracle, Split, Unsupported, plugins, testing
from ganbench.errors import PluginError
from ganbench.plugins import hookspecs
from ganbench.testing import (
    CHECKS,
    ConformanceError,
    Finding,
    arch_findings,
    check_arch,
    check_dataset,
    check_executor,
    check_extractor,
    check_loss,
    check_metric,
    check_protocol,
    check_trick,
    dataset_findings,
    loss_findings,
    metric_findings,
)

CHECK: dict[str, Callable[..., None]] = {
    "arch": check_arch,
    "dataset": check_dataset,
    "trick": check_trick,
    "extractor": check_extractor,
    "executor": check_executor,
}

FORM = {
    "minimax": "minimax",
    "non-saturating": "non-saturating",
    "dragan": "non-saturating",
    "r1": "non-saturating",
    "lsgan": "lsgan",
    "wgan": "wgan",
    "wgan-gp": "wgan",
    "hinge": "hinge",
    "rpgan-r1": "relativistic",
    "rpgan-r1-r2": "relativistic",
}
"""The textbook game that a built-in loss plays, penalties aside."""

POINTS, IMAGES = DataSpec((2,), bounded=False), DataSpec((1, 8, 8), classes=10)
PLAIN = DataSpec((1, 8, 8))


SLOW = {
    *("stylegan2", "biggan-small", "sngan", "sngan-projection", "r3gan", "acgan"),
    *("cgan-mlp", "dcgan-upsample", "videogan-two-critic"),
    *("moving-digits-64-v1", "drums-16k-v1"),
    *("cas", "frames"),
}
"""What is checked for long, and another of whose sort is checked in every run."""


NEEDING = "folder|points|own$|lsun$|hf$|imagenet$"
"""What is built only with an argument or a resolution; other tests check it."""


def installed(kind: str) -> pytest.MarkDecorator:
    sources = [source for source in plugins.of_kind(kind) if not re.match(NEEDING, source.name)]
    values = [slow(source) if source.name in SLOW else source for source in sources]
    return pytest.mark.parametrize("source", values, ids=lambda source: source.name)


# -- nothing is wrong with what is installed ---------------------------------------------------------------------------


@installed("trick")
def test_every_installed_trick_keeps_the_contract(source) -> None:
    check_trick(source.name)


@installed("protocol")
def test_every_installed_protocol_keeps_the_contract(source) -> None:
    check_protocol(source.name)


@installed("extractor")
def test_every_installed_extractor_keeps_the_contract(source, monkeypatch) -> None:
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # weights that are not there are not fetched
    try:
        check_extractor(source.name)
    except DataError as error:
        pytest.skip(error.message)  # weights that are not on this machine: the message names them


@installed("loss")
def test_every_installed_loss_keeps_the_contract_and_is_what_it_is_called(source) -> None:
    check_loss(source.name, like=FORM.get(source.name, ""))


@installed("arch")
def test_every_installed_arch_keeps_the_contract_under_every_normalisation(source) -> None:
    check_arch(source.name)


@installed("metric")
def test_every_installed_metric_keeps_the_contract(source) -> None:
    check_metric(source.name)


@pytest.fixture(scope="session")
def standard_data(tmp_path_factory) -> Path:
    return write_faces(write_all(tmp_path_factory.mktemp("standard")))


@installed("dataset")
def test_every_installed_dataset_keeps_the_contract(source, standard_data, monkeypatch) -> None:
    monkeypatch.setenv("GANBENCH_DATA", str(standard_data))
    check_dataset(source.name)


@pytest.mark.parametrize("resolution", [None, 12])
def test_a_folder_of_images_keeps_the_contract(tmp_path: Path, resolution) -> None:
    rng = np.random.default_rng(0)
    for kind, index in itertools.product("ab", range(20)):
        (tmp_path / kind).mkdir(exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(tmp_path / kind / f"{index}.png")
    source = plugins.find("dataset", f"folder:{tmp_path}")
    check_dataset(lambda: plugins.build(source, argument=source.argument, resolution=resolution))


@pytest.fixture(scope="module")
def guide() -> tuple[ModuleType, dict]:
    """The test module that knows how to build the guide's sketches, and the sketches."""
    path = Path(__file__).with_name("test_sketches.py")
    spec = importlib.util.spec_from_file_location("sketches_of_the_guide", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    names: dict = {"__name__": "sketches"}
    for block in re.findall(r"```python\n(.*?)```", module.GUIDE.read_text("utf-8"), re.DOTALL):
        exec(block, names)
    return module, names


@pytest.mark.parametrize("kind", ["conditional", "cyclegan", "video", "wavegan", "stylegan2", "unrolled"])
def test_every_sketch_of_the_guide_keeps_the_contract(kind: str, guide) -> None:
    module, sketches = guide
    _, shape = module.players(kind, sketches)
    check_arch(lambda: module.players(kind, sketches)[0], DataSpec(shape, classes=10, source=shape))


@pytest.mark.parametrize("kind", [slow(kind) if kind == "executor" else kind for kind in hookspecs.KINDS])
def test_the_example_of_every_hook_keeps_the_contract(kind: str) -> None:
    text = getattr(hookspecs, f"ganbench_{kind}").__doc__
    names: dict = {}
    exec(textwrap.dedent(text.split("Example::")[1]), names)
    hook = names[f"ganbench_{kind}"]
    match kind:  # nothing that is not importable can be pickled; and nobody has installed the protocol's data
        case "loss":
            check_loss(hook, like="hinge", skip=["loss-survives-pickling"])
        case "metric":
            check_metric(hook, skip=["metric-survives-pickling"])
        case "protocol":
            check_protocol(hook, skip=["everything-that-is-named-is-installed"])
        case _:
            CHECK[kind](hook)


# -- nothing is wrong with what others publish -------------------------------------------------------------------------


def loss(d: Callable, g: Callable, **attributes: Any) -> Any:
    """A loss from two functions of (D, real, fake)."""
    members = {"d_loss": lambda self, D, real, fake: d(D, real, fake)}
    members["g_loss"] = lambda self, D, real, fake: g(D, real, fake)
    return type("Loss", (), {**members, "__reduce__": lambda self: (loss, (d, g)), **attributes})()


def ns_d(D, real, fake):
    return softplus(-D(real)).mean() + softplus(D(fake)).mean()


def ns_g(D, real, fake):
    return softplus(-D(fake)).mean()


def average_relativistic(D, one, other):
    a, b = D(one), D(other)
    return softplus(b.mean() - a).mean() + softplus(b - a.mean()).mean()


def smoothed(D, real, fake):
    said = D(real)
    return (0.9 * softplus(-said) + 0.1 * softplus(said)).mean() + softplus(D(fake)).mean()


def kl(D, real, fake):
    return (D(fake) - 1).exp().mean() - D(real).mean()


def noisy(D, real, fake):
    return ns_d(D, real + 0.1 * torch.randn_like(real), fake + 0.1 * torch.randn_like(fake))


def together(D, real, fake):
    said = D(torch.cat([real, fake]))
    return softplus(-said[: len(real)]).mean() + softplus(said[len(real) :]).mean()


def drift(D, real, fake):
    return D(fake).mean() - D(real).mean() + 1e-3 * D(real).square().mean()


def norms(D, x):
    x = x.detach().requires_grad_(True)
    (gradient,) = torch.autograd.grad(D(x).sum(), x, create_graph=True)
    return torch.linalg.vector_norm(gradient.flatten(1), dim=1)


def one_sided(D, real, fake):
    epsilon = torch.rand(len(real), *[1] * (real.dim() - 1), device=real.device)
    return D(fake).mean() - D(real).mean() + 10 * relu(norms(D, torch.lerp(real, fake, epsilon)) - 1).square().mean()


def kodali(D, real, fake):
    return ns_d(D, real, fake) + 10 * (norms(D, real + 0.5 * torch.randn_like(real)) - 1).square().mean()


def eq8_d(D, real, fake):
    return (D(real) - 1).square().mean() + (D(fake) + 1).square().mean()


ELSEWHERE = {
    "relativistic average": loss(average_relativistic, lambda D, real, fake: average_relativistic(D, fake, real)),
    "one-sided label smoothing": loss(smoothed, ns_g),
    "least squares, -1 1 0": loss(eq8_d, lambda D, real, fake: D(fake).square().mean()),
    "f-GAN, KL": loss(kl, lambda D, real, fake: -D(fake).mean()),
    "f-GAN, KL, saturating": loss(kl, lambda D, real, fake: -(D(fake) - 1).exp().mean()),
    "top-k": loss(ns_d, lambda D, real, fake: softplus(-D(fake).topk(2).values).mean()),
    "instance noise": loss(noisy, ns_g),
    "one call of D": loss(together, ns_g),
    "drift": loss(drift, lambda D, real, fake: -D(fake).mean()),
    "halved": loss(lambda D, real, fake: ns_d(D, real, fake) / 2, ns_g),
    "one-sided penalty": loss(one_sided, lambda D, real, fake: -D(fake).mean(), d_norm="none"),
    "penalty around the data": loss(kodali, ns_g, d_norm="none"),
}


@pytest.mark.parametrize("name", list(ELSEWHERE))
def test_losses_published_elsewhere_raise_no_false_alarm(name: str) -> None:
    found = loss_findings(ELSEWHERE[name], skip=["loss-survives-pickling"])  # functions within functions do not
    assert found == []


class MinibatchStd(nn.Module):
    """One more feature: the spread of the batch (Karras et al. 2018)."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, x.std(0).mean().expand(len(x), 1)], dim=1)


def mixing(d_norm: str | None) -> GAN:
    if d_norm == "none":
        raise Unsupported("minibatch statistics mix samples")
    norm = nn.utils.parametrizations.spectral_norm if d_norm == "spectral" else lambda layer: layer
    d = nn.Sequential(norm(nn.Linear(2, 8)), nn.LeakyReLU(0.2), MinibatchStd(), norm(nn.Linear(9, 1)), nn.Flatten(0))
    return GAN(nn.Linear(4, 2), d, 4)


def test_minibatch_statistics_are_fine_where_no_penalty_looks_at_single_samples() -> None:
    assert arch_findings(mixing, POINTS) == []
    assert {f.check for f in arch_findings(lambda: mixing(None), POINTS)} == {"d-judges-each-sample-by-itself"}


def test_a_spectrally_normalised_last_layer_without_bias_ends_in_a_logit() -> None:
    def build() -> GAN:
        last = nn.utils.parametrizations.spectral_norm(nn.Linear(8, 1, bias=False))
        return GAN(nn.Linear(4, 2), nn.Sequential(nn.Linear(2, 8), nn.LayerNorm(8), last, nn.Flatten(0)), 4)

    assert arch_findings(build, POINTS) == []


class Attending(nn.Module):
    """Self-attention that starts at zero (Zhang et al. 2019)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.q, self.k, self.v = (nn.Conv2d(channels, channels, 1) for _ in range(3))
        self.gamma = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (layer(x).flatten(2) for layer in (self.q, self.k, self.v))
        return x + self.gamma * (v @ (q.transpose(1, 2) @ k).softmax(-1)).reshape(x.shape)


class Projection(nn.Module):
    """Residual blocks, sum pooling, and the label projected on the features (Miyato and Koyama 2018)."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 6, 3, 1, 1), nn.Conv2d(6, 6, 3, 1, 1)
        self.attention, self.last, self.label = Attending(6), nn.Linear(6, 1), nn.Embedding(10, 6)
        nn.init.zeros_(self.second.weight)  # a residual branch that starts at nothing, too

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        h = self.first(x)
        h = relu(self.attention(h + self.second(relu(h)))).sum((2, 3))
        return self.last(h).squeeze(1) + (self.label(labels) * h).sum(1)


class Maxout(nn.Module):
    """The largest of five linear maps (Goodfellow et al. 2013)."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.maps = nn.Linear(before, 5 * after)

    def forward(self, x: Tensor) -> Tensor:
        return self.maps(x).unflatten(1, (-1, 5)).amax(2)


class Projected(GAN):
    def matches(self, batch, fake):
        return [Match(lambda x: self.discriminator(x, batch.labels), batch.real, fake)]


def test_a_residual_projection_discriminator_with_attention_raises_no_false_alarm() -> None:
    def build() -> GAN:
        up = nn.Sequential(nn.Linear(4, 16), nn.Unflatten(1, (1, 4, 4)), nn.BatchNorm2d(1), nn.Upsample(scale_factor=2))
        return Projected(nn.Sequential(up, nn.Tanh()), Projection(), 4)

    assert arch_findings(build, IMAGES) == []


def test_maxout_and_dropout_raise_no_false_alarm() -> None:
    def build() -> GAN:
        body = nn.Sequential(Maxout(2, 8), nn.Dropout(0.3), Maxout(8, 8), nn.Linear(8, 1), nn.Flatten(0))
        return GAN(nn.Linear(4, 2), body, 4)

    assert arch_findings(build, POINTS) == []


# -- every check can fail ----------------------------------------------------------------------------------------------


def constant_penalty(D, real, fake):
    return ns_d(D, real, fake) + norms(D, real).detach().square().mean()


def one_point_for_all(D, real, fake):
    return ns_d(D, real, fake) + (norms(D, torch.lerp(real, fake, torch.rand(()))) - 1).square().mean()


def blind_penalty(D, real, fake):
    return ns_d(D, real, fake) + norms(D, real).nan_to_num().square().mean()


def over_the_batch(D, real, fake):
    return ns_d(D, real, fake) + (norms(D, real).norm() - 1).square()


def marked(D, real, fake):
    return ns_d(D, real.requires_grad_(True), fake)


def nan_blind(D, real, fake):
    return softplus(-D(real)).nanmean() + softplus(D(fake)).nanmean()


def shifted(D, real, fake):
    return softplus(-D(real)).mean() + softplus(D(fake) - 1).mean()


def vanishing(D, real, fake):
    return -(D(fake).sigmoid() + 1e-8).log().mean()


def probability(D, real, fake):
    return -D(real).sigmoid().log().mean() - (1 - D(fake).sigmoid()).log().mean()


def clipped(self, discriminators):
    for p in (p for D in discriminators for p in D.parameters()):
        p.data.nan_to_num_().clamp_(-1, 1)


def unbiased(D, real, fake):
    said = D(fake)
    return ns_d(D, real, fake) + 0.1 * (said - said.mean()).square().sum() / (len(said) - 1)


def on_the_cpu(D, real, fake):
    return ns_d(D, real + 0.1 * torch.randn(real.shape), fake)


def made_up_reals(D, real, fake):
    return ns_d(D, torch.ones_like(real), fake)


def greedy(D, real, fake):
    torch.set_num_threads(2)
    return ns_d(D, real, fake)


OWN_RNG = torch.Generator()


def own_noise(D, real, fake):
    return ns_d(D, real, fake) + torch.rand((), generator=OWN_RNG)


BROKEN_LOSSES: dict[str, Any] = {
    "loss-is-played-on-the-batch-that-is-given": loss(made_up_reals, ns_g),
    "loss-of-a-single-pair-is-a-number-or-an-error": loss(unbiased, ns_g),
    "loss-follows-its-samples-to-another-device": loss(on_the_cpu, ns_g),
    "global-switches-stay-as-they-are": loss(greedy, ns_g),
    "loss-plays-on-every-kind-of-data": loss(lambda D, real, fake: softplus(-D(real)), ns_g),
    "attributes-are-of-the-contract": loss(ns_d, ns_g, d_norm="layer"),
    "loss-survives-pickling": loss(ns_d, ns_g, __reduce__=lambda self: (loss, (lambda: 0, ns_g))),
    "random-numbers-come-from-torchs-default-generator": loss(own_noise, ns_g),
    "gradients-reach-the-right-player": loss(marked, ns_g),
    "loss-is-a-mean-over-samples": loss(lambda D, real, fake: len(real) * ns_d(D, real, fake), ns_g),
    "loss-is-finite-at-large-logits": loss(probability, ns_g),
    "d-learns-to-tell-reals-from-fakes": loss(lambda D, real, fake: ns_d(D, fake, real), ns_g),
    "g-learns-to-raise-the-logit-of-its-fakes": loss(ns_d, lambda D, real, fake: D(fake).mean()),
    "g-keeps-a-gradient-at-one-end-at-least": loss(ns_d, vanishing),
    "both-halves-are-of-one-game": loss(shifted, ns_g),
    "loss-is-what-it-claims-to-be": loss(ns_d, lambda D, real, fake: -D(fake).mean()),
    "a-diverged-critic-shows-in-the-loss": loss(nan_blind, ns_g),
    "after-d-step-hides-no-diverged-weight": loss(ns_d, ns_g, after_d_step=clipped),
    "penalty-looks-at-each-sample-by-itself": loss(over_the_batch, ns_g),
    "penalty-asks-for-a-critic-that-mixes-no-samples": loss(one_sided, ns_g),
    "penalty-teaches-d": loss(constant_penalty, ns_g),
    "penalty-points-are-drawn-for-each-sample": loss(one_point_for_all, ns_g),
    "a-diverged-gradient-shows-in-the-loss": loss(blind_penalty, ns_g),
}


def g(features: int = 2) -> nn.Module:
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, features))


def d(*end: nn.Module, features: int = 2, within: nn.Module | None = None) -> nn.Module:
    return nn.Sequential(nn.Linear(features, 8), within or nn.LeakyReLU(0.2), nn.Linear(8, 1), *end, nn.Flatten(0))


def gan(generator: nn.Module | None = None, discriminator: nn.Module | None = None, **methods: Callable) -> GAN:
    return type("Own", (GAN,), methods)(generator or g(), discriminator or d(), 4)


class Remembering(nn.Module):
    """Keeps what no state_dict holds."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.shift = nn.Linear(4, 2), float(torch.rand(()))

    def forward(self, z: Tensor) -> Tensor:
        return self.layer(z) + self.shift


class Stopping(nn.Module):
    """Has no second derivative."""

    def forward(self, x: Tensor) -> Tensor:
        return Once.apply(x)


class Once(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.sin()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, gradient):
        return gradient * ctx.saved_tensors[0].cos()


class Cleaning(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.nan_to_num()


def from_numpy() -> GAN:
    made = gan()
    nn.init.constant_(made.generator[0].weight, np.random.rand())
    return made


def stray_weight() -> GAN:
    made = gan()
    made.forgotten = nn.Linear(2, 2)
    return made


def idle_weight() -> GAN:
    made = gan()
    made.generator.unused = nn.Linear(2, 2)
    made.generator.forward = lambda z: nn.Sequential.forward(made.generator[:3], z)
    return made


class Drawing(nn.Module):
    """Noise between the layers, from numpy."""

    def forward(self, x: Tensor) -> Tensor:
        return x + 0.1 * np.random.rand() if self.training else x


class Constant(nn.Module):
    """A tensor that .to(device) does not find."""

    def __init__(self) -> None:
        super().__init__()
        self.shift = torch.ones(2)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.shift


class Squeezing(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.squeeze()


class Hoarding(GAN):
    """One batch of reals for all updates."""

    def matches(self, batch, fake):
        self.kept = getattr(self, "kept", batch.real)
        return [Match(self.discriminator, self.kept, fake)]


def threaded() -> GAN:
    torch.set_num_threads(2)
    return gan()


def wide_eps() -> GAN:
    return gan(discriminator=d(within=nn.LayerNorm(8, eps=0.5)))


def own_recipe() -> GAN:
    return GAN(g(), d(), 4, recipe={"learning_rate": 1e-3})


def peeking() -> GAN:
    class Peeking(GAN):
        def d_extra(self, batch, fake):
            return {"size": self.discriminator(batch.real).square().mean()}

    return Peeking(g(), d(), 4)


BROKEN_ARCHES: dict[str, Callable[..., GAN]] = {
    "extra-terms-show-d-what-tricks-show-it": peeking,
    "a-single-sample-is-a-batch-too": lambda: gan(discriminator=nn.Sequential(nn.Linear(2, 1), Squeezing())),
    "training-draws-from-torchs-default-generator-alone": lambda: gan(discriminator=d(within=Drawing())),
    "players-follow-their-batch-to-another-device": lambda: gan(nn.Sequential(g(), Constant())),
    "global-switches-stay-as-they-are": threaded,
    "samples-and-logits-have-the-shapes-of-the-contract": lambda: gan(discriminator=nn.Linear(2, 1)),
    "recipe-is-of-the-contract": own_recipe,
    "the-same-seed-builds-the-same-weights": from_numpy,
    "every-weight-belongs-to-one-player": stray_weight,
    "gradients-reach-every-weight-of-the-player-whose-turn-it-is": idle_weight,
    "weights-and-buffers-are-all-there-is": lambda: gan(Remembering()),
    "a-sample-depends-on-its-latent-alone": lambda: gan(sample=lambda self, b: self.fake(b) - self.fake(b).mean(0)),
    "sampling-changes-nothing": lambda: gan(sample=lambda self, b: self.train().fake(b)),
    "sampling-draws-from-the-latent-stream-alone": lambda: gan(
        sample=lambda self, b: self.fake(b) + 0 * torch.rand(()) + random.random()
    ),
    "latents-follow-from-their-generator": lambda: gan(sample_latent=lambda self, n, rng: torch.randn(n, 4)),
    "normalisation-of-d-is-as-asked": lambda d_norm: gan(),
    "d-judges-each-sample-by-itself": lambda d_norm: gan(discriminator=d(within=nn.BatchNorm1d(8))),
    "d-can-be-differentiated-twice": lambda: gan(discriminator=d(within=Stopping())),
    "the-logit-is-free": lambda: gan(discriminator=d(nn.Sigmoid())),
    "normalisation-layers-have-a-small-eps": wide_eps,
    "a-diverged-player-is-seen": lambda: gan(nn.Sequential(g(), Cleaning())),
}


class Gap:
    """The metric in the hook's documentation."""

    columns, version = {"gap": "min"}, 1

    def __call__(self, given: Any) -> dict[str, float]:
        return {"gap": float((given.real.double().mean(0) - given.fake.double().mean(0)).abs().mean())}


def metric(score: Callable[[Any], dict[str, float]] | None = None, **attributes: Any) -> Any:
    return type("Own", (Gap,), {**({"__call__": lambda self, e: score(e)} if score else {}), **attributes})()


def gap(given: Any) -> float:
    return Gap()(given)["gap"]


def in_place(given: Any) -> dict[str, float]:
    given.fake[0] = 0
    return {"gap": gap(given)}


def declines(given: Any) -> dict[str, float]:
    raise Unsupported("no")


def unguarded(given: Any) -> dict[str, float]:
    p = given.features().fake_logits
    p = p.softmax(1) if p is not None else torch.ones(1, 1)
    return {"gap": float((p * p.log()).sum())}


def two_kinds(given: Any) -> dict[str, float]:
    if len(given.fake) < 2:
        raise ValueError("too few")
    return {"gap": gap(given)}


def cleaned(given: Any) -> dict[str, float]:
    fake = given.fake.double()
    return {"gap": gap(replace(given, fake=fake[fake.flatten(1).isfinite().all(1)]))}


def turning_back(given: Any) -> dict[str, float]:
    """Half noise is far away, noise alone near again."""
    far = float((given.fake.double().flatten(1).std(0) - given.real.double().flatten(1).std(0)).abs().mean())
    reach = gap(given)
    return {"gap": 0.0 if reach < 1e-12 else 2 - far if far > 1.5 else far}


def wide_metric(given: Any) -> dict[str, float]:
    np.seterr(all="ignore")
    return {"gap": gap(given)}


BROKEN_METRICS: dict[str, Any] = {
    "diverged-samples-do-not-score-like-good-ones": metric(cleaned),
    "metric-survives-pickling": metric(rule=lambda: 0),
    "scores-fall-with-every-step-towards-noise-and-collapse": metric(turning_back),
    "global-switches-stay-as-they-are": metric(wide_metric),
    "columns-are-declared": metric(columns={"gap": "lower"}),
    "metric-scores-something": metric(declines),
    "the-reals-have-not-collapsed": metric(collapsed_at=lambda self, e: {"gap": 0.0}),
    "declared-columns-are-returned": metric(lambda e: {"other": 0.0}),
    "absent-columns-give-a-reason": metric(lambda e: {"gap": Absent("")}),
    "scores-are-finite-and-in-range": metric(ranges={"gap": (0, 1e-9)}),
    "sure-classifiers-leave-the-score-finite": metric(unguarded),
    "what-cannot-be-scored-is-declined": metric(two_kinds),
    "scores-follow-from-samples-and-rng": metric(lambda e: {"gap": gap(e) + 1e-9 * np.random.rand()}),
    "scoring-changes-nothing": metric(in_place),
    "better-samples-score-no-worse": metric(columns={"gap": "max"}),
    "a-copy-of-the-reals-is-beyond-reproach": metric(
        lambda e: {"gap": gap(replace(e, fake=e.fake / 2))}, ranges={"gap": (0, None)}
    ),
}


def data(n: int = 400, spec: DataSpec = PLAIN, scale: float = 1.0, **more: Any) -> Dataset:
    rng = torch.Generator().manual_seed(1)
    x = torch.rand(2 * n, *spec.shape, generator=rng) * 2 - 1
    labels = torch.arange(2 * n) % spec.classes if spec.classes else None
    whole = Split(scale * x, labels)
    return Dataset("own", spec, **{"train": whole[torch.arange(n)], "test": whole[torch.arange(n, 2 * n)], **more})


def blurred() -> Dataset:
    made = data()
    return replace(made, test=Split(nn.functional.avg_pool2d(made.test.x, 3, 1, 1)))


def sorted_by_class() -> Dataset:
    made = data(spec=IMAGES)
    return replace(made, test=Split(made.test.x, made.test.labels.clamp(max=3)))


def precise() -> Dataset:
    torch.set_default_dtype(torch.float64)
    return data()


BROKEN_DATASETS: dict[str, Any] = {
    "global-switches-stay-as-they-are": precise,
    "samples-are-as-specified": lambda: replace(data(), spec=DataSpec((8, 8, 1))),
    "samples-fill-their-range": lambda: data(scale=3.0),
    "labels-are-in-range": lambda: replace(data(spec=IMAGES), spec=replace(IMAGES, classes=4)),
    "class-names-are-one-for-each-class": lambda: data(spec=IMAGES, class_names=("cat", "dog")),
    "sources-are-samples": lambda: data(test=Split(data().test.x, source=torch.zeros(3, 1, dtype=torch.float64))),
    "building-twice-gives-the-same-data": lambda: data(train=Split(torch.rand(400, 1, 8, 8) * 2 - 1)),
    "modes-are-as-the-oracle-says": lambda: data(spec=IMAGES, oracle=Oracle(torch.arange(1, 11).double() / 55)),
    "train-and-test-hold-the-same-classes": sorted_by_class,
    "train-and-test-took-the-same-road": blurred,
    "train-and-test-share-no-samples": lambda: replace(data(), test=data().train),
}

CASES: dict[str, tuple[dict[str, Any], Callable[[Any], list[Finding]]]] = {
    "loss": (BROKEN_LOSSES, lambda it: loss_findings(it, like="non-saturating")),
    "arch": (BROKEN_ARCHES, lambda it: arch_findings(it, POINTS)),
    "metric": (BROKEN_METRICS, metric_findings),
    "dataset": (BROKEN_DATASETS, dataset_findings),
}


@pytest.mark.parametrize(("kind", "check"), [(kind, check) for kind in CASES for check in CHECKS[kind].names])
def test_every_check_finds_what_it_is_there_for_and_says_how_to_mend_it(kind: str, check: str) -> None:
    broken, findings_of = CASES[kind]
    assert_found(kind, check, findings_of(broken[check]))


def test_a_loss_that_is_nan_is_not_told_to_take_a_mean() -> None:
    class Nan:
        def d_loss(self, D, real, fake):
            return (D(real) - D(fake)).mean() * float("nan")

        def g_loss(self, D, real, fake):
            return -D(fake).mean()

    (finding, *_) = loss_findings(Nan())
    assert "nan" in finding.seen
    assert finding.mend == "look for a logarithm or a root of 0, or a division by 0"


def test_every_check_is_planted_against_in_one_of_these_files() -> None:
    elsewhere = {"plugin": "health", **dict.fromkeys(("trick", "protocol", "extractor", "executor"), "conformance_")}
    texts = {path.stem: path.read_text("utf-8") for path in Path(__file__).parent.glob("test_*.py")}
    for kind in CHECKS.keys() - CASES.keys():
        stem = elsewhere[kind]
        text = texts[f"test_{stem}{kind if stem.endswith('_') else ''}"]
        assert [name for name in CHECKS[kind].names if f'"{name}"' not in text] == []


class Counting:
    """A logistic loss that counts D's updates where no value shows it."""

    def __init__(self) -> None:
        self.updates = 0

    def d_loss(self, D, real, fake):
        return softplus(-D(real)).mean() + softplus(D(fake)).mean()

    def g_loss(self, D, real, fake):
        return softplus(-D(fake)).mean()

    def after_d_step(self, discriminators):
        self.updates += 1


class Misspelt(Counting):
    d_step = 5


def test_a_loss_that_counts_its_steps_is_found() -> None:
    assert_found("loss", "random-numbers-come-from-torchs-default-generator", loss_findings(Counting()))


def test_a_member_that_is_misspelt_is_found_with_the_name_that_was_meant() -> None:
    (found,) = [f for f in loss_findings(Misspelt()) if f.check == "attributes-are-of-the-contract"]
    assert (found.seen, found.expected) == ("a member called d_step, which is never read", "d_steps")


@pytest.mark.parametrize("kind", CHECKS)
def test_every_check_has_a_paragraph_on_why_it_matters(kind: str) -> None:
    for name in CHECKS[kind].names:
        assert len(CHECKS[kind].why(name)) > 60, name
        assert CHECKS[kind].why(name).rstrip(")").endswith("."), name


# -- the report --------------------------------------------------------------------------------------------------------


def test_the_error_lists_everything_that_was_found() -> None:
    wrong = loss(
        lambda D, real, fake: -D(fake).mean() + D(real).mean(), lambda D, real, fake: D(fake).mean(), d_steps=0
    )
    with pytest.raises(ConformanceError) as caught:
        check_loss(wrong, skip=["loss-survives-pickling"])
    message = str(caught.value)
    assert isinstance(caught.value, AssertionError)
    assert message.startswith("the loss Loss fails 3 conformance checks")
    for finding in caught.value.findings:
        assert finding.check in message
    assert {"seen:", "expected:", "mend:", "why:"} <= set(message.split())


def test_a_plugin_that_raises_is_a_finding_and_names_the_place() -> None:
    def misspelt(D, real, fake):
        return D.forwrad(real).mean()

    (finding,) = loss_findings(loss(misspelt, ns_g))
    assert finding.check == "loss-plays-on-every-kind-of-data"
    assert "AttributeError" in finding.seen
    assert "module.py" in finding.seen


@pytest.mark.parametrize("how", ["one batch of reals", "a counter"])
def test_what_players_remember_besides_their_buffers_is_found(how) -> None:
    class Counting(GAN):
        def d_extra(self, batch, fake):
            self.calls = getattr(self, "calls", 0) + 1
            return {"count": 0.0 * self.discriminator[0].weight.sum() + self.calls}

    kind = Hoarding if how == "one batch of reals" else Counting
    found = {finding.check for finding in arch_findings(lambda: kind(g(), d(), 4), POINTS)}
    assert "weights-and-buffers-are-all-there-is" in found


def test_a_name_a_module_and_a_hook_are_checked_as_the_object_is() -> None:
    from ganbench_baselines.loss import minimax

    for given in ("minimax", "ganbench:minimax", minimax, minimax.ganbench_loss, minimax.ganbench_loss()):
        assert loss_findings(given, like="minimax") == []
        assert {f.check for f in loss_findings(given, like="hinge")} == {"loss-is-what-it-claims-to-be"}
    with pytest.raises(ConformanceError, match=r"the loss minimax \(ganbench .*\) fails"):
        check_loss("minimax", like="hinge")
    with pytest.raises(PluginError, match="did you mean 'minimax'"):
        check_loss("minimaks")
    with pytest.raises(TypeError, match=r"given the class Gap; pass an object, such as Gap\(\)"):
        check_metric(Gap)


def test_a_least_squares_loss_may_have_either_form_of_its_paper() -> None:
    other = ELSEWHERE["least squares, -1 1 0"]
    assert loss_findings(other, like="lsgan", skip=["loss-survives-pickling"]) == []
    mixed = loss(eq8_d, lambda D, real, fake: (D(fake) - 1).square().mean())
    found = loss_findings(mixed, like="lsgan", skip=["loss-survives-pickling"])
    assert {finding.check for finding in found} == {"loss-is-what-it-claims-to-be"}


def test_a_switch_that_a_plugin_turns_is_put_back() -> None:
    before = torch.get_default_dtype(), np.geterr(), torch.get_num_threads()
    dataset_findings(precise)
    metric_findings(metric(wide_metric))
    arch_findings(threaded, POINTS)
    assert (torch.get_default_dtype(), np.geterr(), torch.get_num_threads()) == before


def test_a_skipped_check_is_left_out_and_a_misspelt_one_is_an_error() -> None:
    unstated = loss(one_sided, ns_g)
    skip = ["penalty-asks-for-a-critic-that-mixes-no-samples", "loss-survives-pickling"]
    assert {f.check for f in loss_findings(unstated, skip=skip[1:])} == {skip[0]}
    assert loss_findings(unstated, skip=skip) == []
    with pytest.raises(ValueError, match="penalty-teaches-d"):
        loss_findings(unstated, skip=["penalty-teaches"])
    with pytest.raises(ValueError, match="lsgan"):
        loss_findings(unstated, like="least squares")


def test_an_arch_that_fits_none_of_the_data_is_a_finding() -> None:
    def picky(data):
        raise Unsupported("needs graphs")

    (finding,) = arch_findings(picky)
    assert "DataSpec" in finding.mend


@pytest.mark.parametrize("build", [lambda: nn.Linear(1, 1), lambda data: 1 / 0])
def test_an_arch_that_builds_something_else_or_nothing_is_a_finding(build) -> None:
    assert {finding.check for finding in arch_findings(build, POINTS)} == {"builds"}


def test_checks_leave_every_random_generator_as_it_was() -> None:
    torch.manual_seed(3)
    np.random.seed(3)
    random.seed(3)
    expected = torch.rand(2).tolist(), np.random.rand(2).tolist(), random.random()
    torch.manual_seed(3)
    np.random.seed(3)
    random.seed(3)
    loss_findings(ELSEWHERE["instance noise"])
    arch_findings(mixing, POINTS)
    metric_findings(Gap())
    dataset_findings(BROKEN_DATASETS["building-twice-gives-the-same-data"])
    assert (torch.rand(2).tolist(), np.random.rand(2).tolist(), random.random()) == expected


def test_building_a_plugin_draws_nothing_from_the_generators_of_the_program() -> None:
    def ganbench_loss() -> Any:
        return loss(ns_d, ns_g, drawn=float(torch.rand(())))

    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    loss_findings(ganbench_loss)
    assert torch.equal(torch.rand(2), expected)


@pytest.mark.parametrize("kind", hookspecs.KINDS)
def test_a_check_has_the_name_and_the_arguments_that_its_findings_have(kind: str) -> None:
    check, findings_of = getattr(testing, f"check_{kind}"), getattr(testing, f"{kind}_findings")
    assert check.__name__ == f"check_{kind}"
    assert inspect.signature(check).parameters == inspect.signature(findings_of).parameters
    assert get_type_hints(check) == get_type_hints(findings_of) | {"return": type(None)}


def test_checks_give_the_same_findings_whatever_the_seed_of_the_program() -> None:
    found = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        found.append([str(finding) for finding in loss_findings(loss(noisy, lambda D, real, fake: D(fake).mean()))])
    assert found[0] == found[1]


def test_the_checks_need_no_test_runner() -> None:
    code = "import sys, ganbench.testing; sys.exit('pytest' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
