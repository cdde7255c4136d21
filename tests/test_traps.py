"""The traps of existing GAN code, planted one by one in copies of real plugins: the conformance checks find them.

Each test copies a module's source, replaces a piece of its text, and asks the check that is there for it. A piece that
is no longer in the source is an error: a refactoring cannot disarm a test unnoticed. The copy without the trap passes.
"""

from __future__ import annotations

import importlib.util
import itertools
import sys
from collections.abc import Callable, Iterable
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from planted import assert_found
from torch import Tensor, nn

from ganbench import GAN, DataSpec, Split
from ganbench.contracts.data import to_signal
from ganbench.contracts.protocol import Recipe
from ganbench.evaluation.sampling import sample
from ganbench.testing import Finding, arch_findings, dataset_findings, loss_findings, metric_findings, trick_findings
from ganbench.testing.worlds import images
from ganbench.training.batches import Stream
from ganbench_baselines.arch import dcgan
from ganbench_baselines.extractor import digits_cnn
from ganbench_baselines.loss.wgan_gp import ganbench_loss as wgan_gp

Change = tuple[str, str]
Copied = Callable[..., ModuleType]

CPU = torch.device("cpu")
POINTS, IMAGES = DataSpec((2,), bounded=False), DataSpec((1, 16, 16), classes=10)
BASELINES = "ganbench_baselines"
PENALTIES, BLOCKS = f"{BASELINES}.loss.penalties", f"{BASELINES}.arch.blocks"
GAME = "softplus(-D(real)).mean() + softplus(D(fake)).mean()"


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Copied:
    """Load a copy of a module with some of its text replaced."""
    numbers = itertools.count()

    def load(module: str, *changes: Change) -> ModuleType:
        text = Path(str(import_module(module).__file__)).read_text("utf-8")
        for old, new in changes:
            assert old in text, f"{module} no longer says {old!r}: this test has to be rewritten"
            text = text.replace(old, new)
        name = f"{module.rpartition('.')[2]}_copy{next(numbers)}"
        path = tmp_path / f"{name}.py"
        path.write_text(text, "utf-8")
        spec = importlib.util.spec_from_file_location(name, path)
        copy = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, name, copy)  # a loss has to survive pickling
        spec.loader.exec_module(copy)
        return copy

    return load


@pytest.fixture(scope="module")
def clean() -> dict[Any, list[Finding]]:
    """Findings in copies without a trap, computed once for all the traps planted in one module."""
    return {}


def assert_trapped(kind: str, check: str, clean: list[Finding], planted: list[Finding]) -> None:
    """The check finds the trap, and nothing is found without it."""
    assert clean == []
    assert_found(kind, check, planted)


# -- losses ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def trap_in_loss(copied: Copied, clean: dict) -> Callable[..., None]:
    """Plant a trap in a loss, or in the penalties that it imports, and see that a check finds it."""

    def plant(check: str, loss: str, *changes: Change, penalties: Iterable[Change] = (), like: str = "") -> None:
        module = f"{BASELINES}.loss.{loss}"
        if (loss, like) not in clean:
            clean[loss, like] = loss_findings(copied(module).ganbench_loss(), like)
        if penalties:
            changes = (*changes, (PENALTIES, copied(PENALTIES, *penalties).__name__))
        assert_trapped("loss", check, clean[loss, like], loss_findings(copied(module, *changes).ganbench_loss(), like))

    return plant


ONE_CENTRED = "torch.linalg.vector_norm(input_gradient(D(x), x), dim=1)"
ZERO_CENTRED = "input_gradient(logit, x).square().sum(1).mean()"


@pytest.mark.parametrize(
    ("loss", "old", "new"),
    [
        ("wgan_gp", ONE_CENTRED, "torch.linalg.vector_norm(input_gradient(D(x), x))"),
        ("wgan_gp", ONE_CENTRED, "torch.linalg.vector_norm(input_gradient(D(x), x), dim=0)"),
        ("wgan_gp", ONE_CENTRED, "torch.linalg.vector_norm(input_gradient(D(x), x).mean(0))"),
        ("wgan_gp", "return gradient.flatten(1)", "return gradient"),
        ("dragan", ONE_CENTRED, "torch.linalg.vector_norm(input_gradient(D(x), x))"),
        ("r1", ZERO_CENTRED, "input_gradient(logit, x).norm().square()"),
        ("r1", ZERO_CENTRED, "input_gradient(logit, x).norm(dim=1).mean().square()"),
        ("rpgan_r1_r2", ZERO_CENTRED, "input_gradient(logit, x).square().sum()"),
    ],
)
def test_a_gradient_norm_that_is_not_taken_of_each_sample_is_found(trap_in_loss, loss, old, new) -> None:
    trap_in_loss("penalty-looks-at-each-sample-by-itself", loss, penalties=[(old, new)])


@pytest.mark.parametrize("loss", ["wgan_gp", "dragan"])
def test_one_random_number_for_the_whole_batch_is_found(trap_in_loss, loss) -> None:
    once = ("torch.rand(len(x), *[1] * (x.dim() - 1)", "torch.rand(1, *[1] * (x.dim() - 1)")
    trap_in_loss("penalty-points-are-drawn-for-each-sample", loss, penalties=[once])


@pytest.mark.parametrize("draw", ["random.random()", "float(numpy.random.rand())"])
def test_an_epsilon_from_outside_torch_is_found_twice(trap_in_loss, draw) -> None:
    changes = (
        ("from torch import Tensor", "import random, numpy\nfrom torch import Tensor"),
        ("uniform_per_sample(real)", draw),
    )
    trap_in_loss("penalty-points-are-drawn-for-each-sample", "wgan_gp", *changes)
    trap_in_loss("random-numbers-come-from-torchs-default-generator", "wgan_gp", *changes)


@pytest.mark.parametrize("loss", ["wgan_gp", "dragan", "r1", "rpgan_r1", "rpgan_r1_r2"])
def test_a_penalty_that_would_accept_batch_normalisation_is_found(trap_in_loss, loss) -> None:
    unstated = ('    d_norm: ClassVar[str] = "none"\n', "")
    trap_in_loss("penalty-asks-for-a-critic-that-mixes-no-samples", loss, unstated)


@pytest.mark.parametrize("loss", ["minimax", "non_saturating", "dragan"])
@pytest.mark.parametrize(
    "game",
    [
        "softplus(-D(real)).mean() - logsigmoid(1 - D(fake)).mean()",
        "-logsigmoid(D(real) - 1).mean() + softplus(D(fake)).mean()",
    ],
)
def test_a_log_sigmoid_of_one_minus_the_logit_is_found(trap_in_loss, loss, game) -> None:
    changes = ("functional import softplus", "functional import logsigmoid, softplus"), (GAME, game)
    trap_in_loss("both-halves-are-of-one-game", loss, *changes)
    like = loss.replace("_", "-") if loss != "dragan" else "non-saturating"
    trap_in_loss("loss-is-what-it-claims-to-be", loss, *changes, like=like)


@pytest.mark.parametrize(
    ("loss", "old", "new"),
    [
        ("minimax", "return -softplus(D(fake)).mean()", "return softplus(-D(fake)).mean()"),
        ("minimax", "return -softplus(D(fake)).mean()", "return -D(fake).mean()"),
        ("non_saturating", "return softplus(-D(fake)).mean()", "return -softplus(D(fake)).mean()"),
    ],
)
def test_a_game_under_the_name_of_another_is_found(trap_in_loss, loss, old, new) -> None:
    trap_in_loss("loss-is-what-it-claims-to-be", loss, (old, new), like=loss.replace("_", "-"))


SATURATING = "-(torch.sigmoid({}) + 1e-8).log().mean()"
IMPORT_TORCH = ("from torch import Tensor", "import torch\nfrom torch import Tensor")


@pytest.mark.parametrize("loss", ["non_saturating", "r1", "dragan"])
@pytest.mark.parametrize("form", [SATURATING, "-torch.sigmoid({}).clamp(min=1e-8).log().mean()"])
def test_an_epsilon_inside_gs_logarithm_is_found(trap_in_loss, loss, form) -> None:
    torch_too = () if loss == "dragan" else (IMPORT_TORCH,)
    change = ("return softplus(-D(fake)).mean()", "return " + form.format("D(fake)"))
    trap_in_loss("g-keeps-a-gradient-at-one-end-at-least", loss, *torch_too, change)


@pytest.mark.parametrize(
    ("loss", "old", "new"),
    [
        ("non_saturating", "softplus(-D(real)).mean()", SATURATING.format("D(real)")),
        ("minimax", "softplus(D(fake)).mean()\n\n", "-(1 - torch.sigmoid(D(fake)) + 1e-8).log().mean()\n\n"),
        ("r1", "softplus(-d_real).mean()", SATURATING.format("d_real")),
    ],
)
def test_an_epsilon_inside_ds_logarithm_is_found(trap_in_loss, loss, old, new) -> None:
    trap_in_loss("d-learns-to-tell-reals-from-fakes", loss, IMPORT_TORCH, (old, new.replace("+ -(", "- (")))


def test_a_logarithm_of_a_sigmoid_without_an_epsilon_is_found(trap_in_loss) -> None:
    change = ("softplus(D(fake)).mean()\n\n", "-(1 - torch.sigmoid(D(fake))).log().mean()\n\n")
    trap_in_loss("loss-is-finite-at-large-logits", "non_saturating", IMPORT_TORCH, change)


@pytest.mark.parametrize("loss", ["wgan_gp", "dragan", "r1", "rpgan_r1", "rpgan_r1_r2"])
def test_a_penalty_that_hides_a_nan_gradient_is_found(trap_in_loss, loss) -> None:
    hiding = ("return gradient.flatten(1)", "return torch.nan_to_num(gradient).flatten(1)")
    trap_in_loss("a-diverged-gradient-shows-in-the-loss", loss, penalties=[hiding])


@pytest.mark.parametrize(("loss", "seen"), [("wgan", "-D(fake).mean()"), ("hinge", "-D(fake).mean()")])
def test_a_loss_that_hides_a_nan_logit_is_found(trap_in_loss, loss, seen) -> None:
    trap_in_loss("a-diverged-critic-shows-in-the-loss", loss, (seen, "-D(fake).nan_to_num().mean()"))


def test_clipping_that_hides_an_infinite_weight_is_found(trap_in_loss) -> None:
    trap_in_loss("after-d-step-hides-no-diverged-weight", "wgan", (".add_(zero_or_nan)", ""))


KEPT = ("""    def d_loss(self, D: Critic, real: Tensor, fake: Tensor) -> Tensor:
""", """    def d_loss(self, D: Critic, real: Tensor, fake: Tensor) -> Tensor:
        real = KEPT.setdefault(real.shape, real)
""")  # fmt: skip


@pytest.mark.parametrize("loss", ["hinge", "wgan_gp"])
def test_a_loss_that_shows_d_one_real_batch_for_ever_is_found(trap_in_loss, loss) -> None:
    store = ("@hookimpl", "KEPT = {}\n\n\n@hookimpl")
    trap_in_loss("loss-is-played-on-the-batch-that-is-given", loss, KEPT, store)


@pytest.mark.parametrize("loss", ["wgan_gp", "dragan"])
def test_a_penalty_that_draws_on_the_cpu_is_found(trap_in_loss, loss) -> None:
    staying = ("dtype=x.dtype, device=x.device)", "dtype=x.dtype)")
    trap_in_loss("loss-follows-its-samples-to-another-device", loss, penalties=[staying])


def test_a_standard_deviation_that_needs_two_samples_is_found(trap_in_loss) -> None:
    summed = "(real - real.mean(0)).square().sum().div(len(real) - 1).sqrt()"
    trap_in_loss("loss-of-a-single-pair-is-a-number-or-an-error", "dragan", ("real.std(correction=0)", summed))


# -- architectures -----------------------------------------------------------------------------------------------------


@pytest.fixture
def trap_in_arch(copied: Copied, clean: dict) -> Callable[..., None]:
    """Plant a trap in an arch, or in the blocks that it is made of, and see that a check finds it."""

    def plant(check: str, arch: str, *changes: Change, blocks: Iterable[Change] = ()) -> None:
        module, data = f"{BASELINES}.arch.{arch}", POINTS if arch == "mlp" else IMAGES
        if arch not in clean:
            clean[arch] = arch_findings(copied(module), data, width=4)
        if blocks:
            changes = (*changes, (BLOCKS, copied(BLOCKS, *blocks).__name__))
        assert_trapped("arch", check, clean[arch], arch_findings(copied(module, *changes), data, width=4))

    return plant


def test_batch_norm_in_a_d_that_was_asked_for_none_is_found_by_name_and_behaviour(trap_in_arch) -> None:
    always = ('batch_norm = norm == "batch" and stage > 0', "batch_norm = stage > 0")
    trap_in_arch("normalisation-of-d-is-as-asked", "dcgan", blocks=[always])
    trap_in_arch("d-judges-each-sample-by-itself", "dcgan", blocks=[always])


CENTRED = """class Centred(nn.Module):
    def forward(self, x):
        return x - x.mean(0, keepdim=True)


def strided_discriminator("""


def test_a_home_made_batch_normalisation_is_found(trap_in_arch) -> None:
    mixing = (
        ("def strided_discriminator(", CENTRED),
        ("layers.append(nn.LeakyReLU(0.2, inplace=True))", "layers += [Centred(), nn.LeakyReLU(0.2)]"),
    )
    trap_in_arch("d-judges-each-sample-by-itself", "dcgan", blocks=mixing)


def test_an_arch_that_is_never_told_the_normalisation_may_not_mix_samples_unseen(copied: Copied) -> None:
    unasked = (
        ("d_norm: str | None, width: int, z_dim: int) -> GAN", "width: int, z_dim: int) -> GAN"),
        ("strided_discriminator(data, width, d_norm)", "strided_discriminator(data, width, None)"),
    )
    module = copied(f"{BASELINES}.arch.dcgan", *unasked)
    assert arch_findings(module, IMAGES, width=4) == []  # the core sees its batch norm and declines
    blocks = copied(
        BLOCKS,
        ("def strided_discriminator(", CENTRED),
        ("layers.append(nn.BatchNorm2d(after))", "layers.append(Centred())"),
    )
    module = copied(f"{BASELINES}.arch.dcgan", *unasked, (BLOCKS, blocks.__name__))
    assert_found("arch", "d-judges-each-sample-by-itself", arch_findings(module, IMAGES, width=4))


def test_an_arch_that_shows_d_one_real_batch_for_ever_is_found(trap_in_arch) -> None:
    own = """class Own(GAN):
    kept = None

    def matches(self, batch, fake):
        self.kept = batch.real if self.kept is None else self.kept
        return [Match(self.discriminator, self.kept, fake)]


@hookimpl"""
    hoarding = (("@hookimpl", own), ("return GAN(", "return Own("), ("import GAN", "import GAN, Match"))
    trap_in_arch("weights-and-buffers-are-all-there-is", "dcgan", *hoarding)


WRITTEN_OUT = "nn.Flatten(0), type('Own', (nn.Module,), {'forward': lambda self, x: 1 / (1 + (-x).exp())})()"


@pytest.mark.parametrize(
    "left",
    [
        "nn.Flatten(0), nn.Sigmoid()",
        "nn.Sigmoid(), nn.Flatten(0)",
        "nn.Flatten(0), nn.Tanh()",
        "nn.LeakyReLU(0.2), nn.Flatten(0)",
        "nn.LeakyReLU(0.2, inplace=True), nn.Flatten(0)",
        WRITTEN_OUT,
    ],
)
def test_an_activation_left_on_the_logit_is_found(trap_in_arch, left) -> None:
    trap_in_arch("the-logit-is-free", "dcgan", blocks=[("nn.Flatten(0)]", f"{left}]")])
    trap_in_arch("the-logit-is-free", "mlp", ("norm), nn.Flatten(0))", f"norm), {left})"))


def test_an_eps_that_was_meant_to_be_a_momentum_is_found(trap_in_arch) -> None:
    check = "normalisation-layers-have-a-small-eps"
    between, in_d = "nn.BatchNorm2d(after), nn.ReLU", "append(nn.BatchNorm2d(after))"
    for arch, old in (("dcgan", between), ("dcgan_upsample", "nn.BatchNorm2d(before)"), ("dcgan", in_d)):
        trap_in_arch(check, arch, blocks=[(old, old.replace(")", ", 0.8)", 1))])


def sampling(body: str) -> tuple[Change, ...]:
    """A GAN with a ``sample`` of its own."""
    own = f"class Own(GAN):\n    def sample(self, batch):\n        {body}\n\n\n@hookimpl"
    return (
        ("@hookimpl", own),
        ("return GAN(", "return Own("),
        ("from torch import nn", "import torch\nfrom torch import nn"),
    )


@pytest.mark.parametrize("arch", ["dcgan", "dcgan_upsample"])
def test_sampling_in_train_mode_is_found(trap_in_arch, arch) -> None:
    careless = sampling("self.train()\n        return self.generator(batch.z)")
    trap_in_arch("a-sample-depends-on-its-latent-alone", arch, *careless)
    trap_in_arch("sampling-changes-nothing", arch, *careless)


def test_samples_drawn_from_the_programs_random_numbers_are_found(trap_in_arch) -> None:
    drawing = sampling("return self.generator(torch.randn_like(batch.z))")
    trap_in_arch("sampling-draws-from-the-latent-stream-alone", "dcgan", *drawing)
    trap_in_arch("sampling-draws-from-the-latent-stream-alone", "mlp", *drawing)


TIDY = """def tidy(network):
    for p in network.parameters():
        p.register_hook(lambda gradient: gradient.nan_to_num())
    return network


@hookimpl"""


@pytest.mark.parametrize("player", ["grown(data, width, z_dim, doubled)", "strided_discriminator(data, width, d_norm)"])
def test_a_hook_that_cleans_gradients_is_found(trap_in_arch, player) -> None:
    hooked = ("@hookimpl", TIDY), (f"init_dcgan({player})", f"tidy(init_dcgan({player}))")
    trap_in_arch("a-diverged-player-is-seen", "dcgan", *hooked)


CLEANING = "type('Own', (nn.Module,), {'forward': lambda self, x: x.nan_to_num()})()"


@pytest.mark.parametrize("old", ["nn.Tanh())", "nn.Linear(z_dim, before * height * breadth, bias=False),"])
def test_a_generator_that_cleans_its_numbers_is_found(trap_in_arch, old) -> None:
    new = f"{old[:-1]}, {CLEANING}{old[-1]}"
    trap_in_arch("a-diverged-player-is-seen", "dcgan", blocks=[(old, new)])


def test_a_discriminator_that_cleans_its_numbers_is_found(trap_in_arch) -> None:
    trap_in_arch("a-diverged-player-is-seen", "dcgan", blocks=[("nn.Flatten(0)]", f"nn.Flatten(0), {CLEANING}]")])


# -- tricks ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def trap_in_trick(copied: Copied, clean: dict) -> Callable[..., None]:
    """Plant a trap in a trick, and see that a check finds it."""

    def plant(check: str, trick: str, *changes: Change) -> None:
        module = f"{BASELINES}.trick.{trick}"
        if trick not in clean:
            clean[trick] = trick_findings(copied(module))
        assert_trapped("trick", check, clean[trick], trick_findings(copied(module, *changes)))

    return plant


@pytest.mark.parametrize(
    ("check", "trick", "old", "new"),
    [
        ("players-stay-sound", "instance_noise", "torch.randn_like(x)", "torch.randn(x.shape)"),
        ("match-stays-differentiable", "instance_noise", "match.D(x + sigma", "match.D(x.detach() + sigma"),
        ("trick-keeps-nothing-between-calls", "instance_noise", "(1 - turn.progress)", "(1 - turn.progress)\n"
         "        self.sigma = self.sigma * 0.9"),
        ("loss-keeps-its-traits", "label_smoothing", "super().__init__(loss)", "self.inner = loss"),
        ("loss-stays-sound", "label_smoothing", "return loss + (1", "return loss.nan_to_num() + (1"),
        ("gradients-are-changed-in-place", "gradient_clipping", "        total =", "        for p in params:\n"
         "            p.grad.nan_to_num_()\n        total ="),
        ("recipe-is-of-the-contract", "ttur", '"d_lr"', '"lr_d"'),
        ("a-nonsense-argument-is-declined", "ttur", "number(argument, 4.0, 1e-3, 1e3)", "float(argument or 4)"),
        ("random-numbers-come-from-torchs-default-generator", "diffaugment", "first = torch.randint(", "first = "
         "__import__('random').randrange(3) + torch.randint("),
        ("a-turn-moves-no-weight", "unrolled", "        terms: Terms", "        for name, p in ahead.items():\n"
         "            real[name].data.copy_(p.data)\n        terms: Terms"),
    ],
)  # fmt: skip
def test_a_trap_in_a_trick_is_found(trap_in_trick, check, trick, old, new) -> None:
    trap_in_trick(check, trick, (old, new))


# -- metrics -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def trap_in_metric(copied: Copied, clean: dict) -> Callable[..., None]:
    """Plant a trap in a metric, and see that a check finds it."""

    def plant(check: str, metric: str, *changes: Change) -> None:
        module = f"{BASELINES}.metric.{metric}"
        if metric not in clean:
            clean[metric] = metric_findings(copied(module).ganbench_metric())
        assert_trapped("metric", check, clean[metric], metric_findings(copied(module, *changes).ganbench_metric()))

    return plant


@pytest.mark.parametrize("draw", ["torch.randperm(len(part))", "numpy.random.permutation(len(part))"])
def test_a_metric_that_draws_from_the_programs_random_numbers_is_found(trap_in_metric, draw) -> None:
    changes = ("import torch\n", "import numpy, torch\n"), ("torch.randperm(len(part), generator=rng)", draw)
    trap_in_metric("scores-follow-from-samples-and-rng", "kid", *changes)


def test_a_metric_that_seeds_the_programs_random_numbers_is_found(trap_in_metric) -> None:
    seeding = ("features = evaluation.features()", "torch.manual_seed(0)\n        features = evaluation.features()")
    trap_in_metric("scores-follow-from-samples-and-rng", "kid", seeding)


SCORE = "judge.isc_features_to_metric(logits, splits, shuffle=True, rng_seed=SHUFFLE_SEED)"
BARE = (
    "judge, p = None, logits.softmax(1)\n        score = (p * (p.log() - p.mean(0).log())).sum(1).mean().exp().item()"
)
GUARD = "logits = torch.maximum(logits, logits.amax(dim=1, keepdim=True) - 500)"
CUT = "max(score[judge.KEY_METRIC_ISC_MEAN], 1.0)"


@pytest.mark.parametrize(
    "changes",
    [
        [(GUARD, "pass"), (f"score = {SCORE}", BARE), (CUT, "score")],
        [(GUARD, "pass"), (f"score = {SCORE}", BARE), (CUT, "max(1.0, score)")],  # which is 1.0 for a NaN
        [(GUARD, "pass")],  # torch-fidelity's own
    ],
    ids=["nan", "nan made one", "without the guard"],
)
def test_an_inception_score_with_an_unguarded_logarithm_is_found(trap_in_metric, changes) -> None:
    trap_in_metric("sure-classifiers-leave-the-score-finite", "inception_score", *changes)


@pytest.mark.parametrize(
    ("metric", "old", "new"),
    [
        ("fid", 'evaluation.blocks("fake")', '(x.round() for x in evaluation.blocks("fake"))'),
        (
            "precision_recall",
            "        of_real =",
            "        x = fake.x.round()\n"
            "        fake = Samples(x, fake.centre, (x - fake.centre).square().sum(dim=1))\n"
            "        of_real =",
        ),
    ],
)
def test_a_metric_that_rounds_only_the_fakes_is_found(trap_in_metric, metric, old, new) -> None:
    trap_in_metric("a-copy-of-the-reals-is-beyond-reproach", metric, (old, new))


@pytest.mark.parametrize(
    ("metric", "column"),
    [("fid", "fid"), ("kid", "kid"), ("inception_score", "is"), ("precision_recall", "recall"), ("modes", "mode_kl")],
)
def test_a_column_that_points_the_wrong_way_is_found(trap_in_metric, metric, column) -> None:
    goal = {"fid": "min", "kid": "min", "mode_kl": "min"}.get(column, "max")
    other = {"min": "max", "max": "min"}[goal]
    trap_in_metric("better-samples-score-no-worse", metric, (f'"{column}": "{goal}"', f'"{column}": "{other}"'))


# -- datasets ----------------------------------------------------------------------------------------------------------


def assert_trapped_in_data(check: str, clean: ModuleType, planted: ModuleType) -> None:
    findings = [dataset_findings(lambda m=module: m.ganbench_dataset(resolution=None)) for module in (clean, planted)]
    assert_trapped("dataset", check, *findings)


def test_a_ring_whose_end_is_its_beginning_is_found(copied: Copied) -> None:
    ring = f"{BASELINES}.dataset.ring"
    steps = "2 * math.pi / MODES * torch.arange(MODES, dtype=torch.float64)"
    seven = copied(ring, (steps, "torch.linspace(0, 2 * math.pi, MODES, dtype=torch.float64)"))
    assert_trapped_in_data("modes-are-as-the-oracle-says", copied(ring), seven)


def test_data_drawn_from_the_programs_random_numbers_are_found(copied: Copied) -> None:
    mixture, ring = f"{BASELINES}.dataset.gaussian_mixture", f"{BASELINES}.dataset.ring"
    loose = copied(mixture, ("torch.randint(len(centres), (n,), generator=rng)", "torch.randint(len(centres), (n,))"))
    planted = copied(ring, (mixture, loose.__name__))
    assert_trapped_in_data("building-twice-gives-the-same-data", copied(ring), planted)


@pytest.mark.parametrize("filtered", ["size=16, mode='nearest'", "size=16, mode='bicubic'"])
def test_held_out_images_that_were_resized_in_another_way_are_found(copied: Copied, filtered) -> None:
    digits = f"{BASELINES}.dataset.digits"
    other = f"interpolate(raw[:, :-1].float().view(-1, 1, NATIVE, NATIVE) * (255 / 16), {filtered})"
    twice = f"held = {other}.round().to(torch.uint8)\n    return whole[train], Split(held, whole.labels)[test]"
    planted = copied(digits, ("return whole[train], whole[test]", twice))
    assert_trapped_in_data("train-and-test-took-the-same-road", copied(digits), planted)


def test_a_split_by_file_order_is_found(copied: Copied) -> None:
    digits = f"{BASELINES}.dataset.digits"
    by_order = "train, test = (part for part in whole.labels.argsort().split([1438, 359]))"
    planted = copied(digits, ("train, test = stratified_split(whole.labels, TEST_SHARE, SPLIT_SEED)", by_order))
    assert_trapped_in_data("train-and-test-hold-the-same-classes", copied(digits), planted)


# -- the core ----------------------------------------------------------------------------------------------------------


def pictures(n: int = 24) -> Split:
    rng = torch.Generator().manual_seed(0)
    return Split(torch.randint(0, 256, (n, 1, 16, 16), generator=rng, dtype=torch.uint8))


def fresh_batches(module: ModuleType) -> bool:
    """Whether every D update of a ``trainer`` module sees another batch of reals."""

    class Recording:
        def __init__(self) -> None:
            self.seen: list[Tensor] = []

        def d_loss(self, D, real, fake):
            self.seen.append(real)
            return D(fake).mean() - D(real).mean()

        def g_loss(self, D, real, fake):
            return -D(fake).mean()

    loss = Recording()
    g = nn.Sequential(nn.Linear(4, 256), nn.Unflatten(1, (1, 16, 16)))
    gan = GAN(g, nn.Sequential(nn.Flatten(), nn.Linear(256, 1), nn.Flatten(0)), 4)
    module.Trainer(gan, loss, Stream(pictures(), 8, 3, CPU), Recipe(d_steps=5), 10, 1, 2).advance(10)
    return len({batch.numpy().tobytes() for batch in loss.seen}) == 10


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("batch = self._batch()\n", "batch = batch if self.d_done % self.recipe.d_steps else self._batch()\n"),
        ("real, labels, source = self.stream.draw()", "real, labels, source = self._once = getattr(self, '_once', 0) "
         "or self.stream.draw()"),
    ],
    ids=["within an iteration", "for good"],
)  # fmt: skip
def test_one_real_batch_for_all_d_updates_is_found(copied: Copied, old, new) -> None:
    assert fresh_batches(copied("ganbench.training.trainer"))
    assert not fresh_batches(copied("ganbench.training.trainer", (old, new)))


def players() -> GAN:
    torch.manual_seed(0)
    return dcgan.ganbench_arch(IMAGES, "none", 4, 8)


def samples_in_eval_mode(module: ModuleType) -> bool:
    """Whether the samples of a ``sampling`` module do not depend on their batch and move no statistic."""
    gan, reals = players(), pictures()
    before = {name: value.clone() for name, value in gan.state_dict().items()}
    whole, some = module.sample(gan, reals, 0, CPU).x, module.sample(gan, reals[torch.arange(4)], 0, CPU).x
    unmoved = all(torch.equal(before[name], value) for name, value in gan.state_dict().items())
    apart = (whole[:4].int() - some.int()).abs().max()  # batches of two sizes: a CPU may round a pixel otherwise
    return unmoved and apart <= 1


def test_a_core_that_samples_in_train_mode_is_found(copied: Copied) -> None:
    assert samples_in_eval_mode(copied("ganbench.evaluation.sampling"))
    assert not samples_in_eval_mode(copied("ganbench.evaluation.sampling", (", in_eval_mode(*gan.generators())", "")))


def evaluation_draws_on_its_own(module: ModuleType) -> bool:
    """Whether sampling twice under one seed gives the same samples and leaves torch's default generator alone."""
    gan, reals = players(), pictures()
    before = torch.get_rng_state()
    same = torch.equal(module.sample(gan, reals, 0, CPU).x, module.sample(gan, reals, 0, CPU).x)
    return same and torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("new", ["rng = torch.default_generator", "rng = torch.default_generator.manual_seed(seed)"])
def test_evaluation_latents_from_the_training_stream_are_found(copied: Copied, new) -> None:
    assert evaluation_draws_on_its_own(copied("ganbench.evaluation.sampling"))
    shared = ("rng = torch.Generator(device).manual_seed(seed)", new)
    assert not evaluation_draws_on_its_own(copied("ganbench.evaluation.sampling", shared))


def looking_does_not_touch(module: ModuleType) -> bool:
    """Whether a run that is looked at, with random numbers drawn meanwhile, ends with the same weights."""
    weights = []
    for looked_at in (False, True):
        trainer = module.Trainer(players(), wgan_gp(), Stream(pictures(), 8, 3, CPU), Recipe(d_steps=2), 6, 1, 2)
        torch.manual_seed(5)
        for until in (2, 4, 6):
            trainer.advance(until)
            if looked_at:
                sample(trainer.averaged, pictures(), until, CPU)
                torch.rand(3)
        weights.append(torch.cat([p.detach().flatten() for p in trainer.gan.parameters()]))
    return torch.equal(*weights)


def test_a_loop_that_shares_its_random_numbers_with_evaluation_is_found(copied: Copied) -> None:
    assert looking_does_not_touch(copied("ganbench.training.trainer"))
    shared = ("            set_default_rng_states(self.noise, self.device)\n", "")
    assert not looking_does_not_touch(
        copied("ganbench.training.trainer", shared, ("with preserved_rng(self.device):", "if True:"))
    )


def reals_and_fakes_take_one_road(module: ModuleType) -> bool:
    """Whether fakes that equal the reals get the features of the reals, at the extractor's size and another."""
    reals = pictures().x
    for x in (reals, reals.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)):
        features = module.FeatureStore(x, x.clone(), digits_cnn.load(), CPU).features()
        if not torch.equal(features.real, features.fake):
            return False
    return True


def test_fakes_that_are_resized_on_their_own_are_found(copied: Copied) -> None:
    assert reals_and_fakes_take_one_road(copied("ganbench.contracts.features"))
    halved = "torch.nn.functional.interpolate(self.fake.float(), (16, 16), mode='nearest').to(torch.uint8)"
    own_road = ("extract(self.extractor, self.fake, self.device,", f"extract(self.extractor, {halved}, self.device,")
    assert not reals_and_fakes_take_one_road(copied("ganbench.contracts.features", own_road))


def storing_is_exact(module: ModuleType) -> bool:
    """Whether an image survives conversion to the model's range and back, with a small floating-point error."""
    x = torch.arange(256, dtype=torch.uint8)
    return all(torch.equal(module.quantise(to_signal(x) + error, x), x) for error in (0, 1e-3, -1e-3))


def test_fakes_that_are_cut_off_where_reals_are_rounded_are_found(copied: Copied) -> None:
    assert storing_is_exact(copied("ganbench.contracts.data"))
    assert not storing_is_exact(copied("ganbench.contracts.data", (".round().clamp(0, 255)", ".clamp(0, 255)")))


def test_the_world_that_metrics_are_tried_in_is_what_it_says() -> None:
    given = images().evaluation("other")
    _, _, real, fake = given.features()
    for logits, labels in ((real, given.real_labels), (fake, given.fake_labels)):
        confidence, kind = logits.softmax(dim=1).max(dim=1)
        assert torch.equal(kind, labels)
        assert confidence.min() > given.extractor.gate
