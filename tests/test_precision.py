"""Precision and layout are rules of a protocol: what trains in them, and what stays float32."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
import torch
from taped import TapeRecorder
from torch import nn

from ganbench import DataSpec, Split, plugins
from ganbench.contracts.executor import TrainingJob
from ganbench.contracts.loss import LossTraits
from ganbench.contracts.protocol import Recipe, parse
from ganbench.device.determinism import configured
from ganbench.errors import ProtocolError
from ganbench.evaluation.sampling import sample
from ganbench.plugins.protocols import load_protocol
from ganbench.records.record import Record
from ganbench.runs.runner import execute
from ganbench.training.batches import Stream
from ganbench.training.precision import MEMORY_FORMATS, lay_out, tensor_cores
from ganbench.training.trainer import Trainer
from ganbench_baselines.arch import dcgan
from ganbench_baselines.extractor.digits_cnn import DigitsCNN
from ganbench_baselines.loss.hinge import Hinge

CPU = torch.device("cpu")
IMAGES = Split(torch.randint(0, 256, (64, 3, 16, 16), generator=torch.Generator().manual_seed(0), dtype=torch.uint8))
LOSSES = [s.name for s in plugins.of_kind("loss") if s.package == "ganbench"]


def trainer_of(loss, precision="float32", layout="contiguous", recorder=None, **recipe) -> Trainer:
    torch.manual_seed(1)
    traits = LossTraits(loss)
    gan = dcgan.ganbench_arch(DataSpec((3, 16, 16)), traits.d_norm, 8, 8)
    lay_out(gan, layout)
    stream = Stream(IMAGES, 16, 3, CPU, MEMORY_FORMATS[layout])
    settings = Recipe(**{"lr": 1e-3, "betas": (0.0, 0.9), "d_steps": traits.d_steps, **recipe})
    return Trainer(gan, loss, stream, settings, 1000, 1, 2, (), precision, recorder)


def loss_of(name: str):
    return plugins.build(plugins.find("loss", name))


def first_gradient(loss, precision: str) -> torch.Tensor:
    """The gradient of D in its first update."""
    trainer = trainer_of(loss, precision)
    found = []
    step = trainer.optim_d.step
    trainer.optim_d.step = lambda: (found.append([p.grad.clone() for p in trainer.gan.discriminator_params()]), step())
    trainer.advance(1)
    return nn.utils.parameters_to_vector(found[0])


class Spying(Hinge):
    """A loss that notes what it is shown."""

    def __init__(self) -> None:
        self.seen: set[torch.dtype] = set()

    def d_loss(self, D, real, fake):
        self.seen |= {real.dtype, fake.dtype, D(real).dtype, D(fake).dtype}
        return super().d_loss(D, real, fake)

    def g_loss(self, D, real, fake):
        self.seen |= {fake.dtype, D(fake).dtype}
        return super().g_loss(D, real, fake)


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_has_about_the_same_gradient_in_bf16(name) -> None:
    wide, narrow = (first_gradient(loss_of(name), precision) for precision in ("float32", "bf16"))
    assert narrow.dtype == torch.float32
    assert not torch.equal(wide, narrow)
    assert torch.cosine_similarity(wide, narrow, dim=0) > 0.99


def test_in_bf16_networks_compute_narrowly_and_the_loss_sees_float32() -> None:
    trainer = trainer_of(loss := Spying(), "bf16")
    widths = set()
    for network in (trainer.gan.generator, trainer.gan.discriminator):
        for layer in network.modules():
            if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
                layer.register_forward_hook(lambda _, __, out: widths.add(out.dtype))
    trainer.advance(2)
    assert widths == {torch.bfloat16}
    assert loss.seen == {torch.float32}
    assert {value.dtype for value in trainer.memory() if value.is_floating_point()} == {torch.float32}
    widths.clear()
    sample(trainer.gan, IMAGES, 0, CPU)
    assert widths == {torch.float32}


@pytest.mark.parametrize(("precision", "layout"), [("bf16", "contiguous"), ("float32", "channels-last")])
def test_the_same_run_gives_the_same_bits_recorded_or_not(precision, layout) -> None:
    prints = []
    for recorder in (None, None, TapeRecorder()):
        trainer = trainer_of(loss_of("wgan-gp"), precision, layout, recorder)
        trainer.advance(50)
        prints.append(trainer.fingerprint())
    assert len(set(prints)) == 1
    assert trainer.mode == "graph"


def test_channels_last_reaches_weights_batches_and_average_with_the_same_results() -> None:
    """Under SGD: Adam makes a whole step of a gradient that is nothing but rounding."""
    plain, turned = (
        trainer_of(loss_of("wgan-gp"), layout=layout, optimizer="sgd", lr=0.1) for layout in MEMORY_FORMATS
    )
    weights = [p for p in (*turned.gan.parameters(), *turned.averaged.parameters()) if p.ndim == 4]
    assert all(p.is_contiguous(memory_format=torch.channels_last) for p in weights)
    assert turned.stream.draw()[0].is_contiguous(memory_format=torch.channels_last)
    turned = trainer_of(loss_of("wgan-gp"), layout="channels-last", optimizer="sgd", lr=0.1)
    for trainer in (plain, turned):
        trainer.advance(5)
    for ours, theirs in zip(plain.gan.parameters(), turned.gan.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


def test_tf32_is_allowed_in_training_alone() -> None:
    def switches() -> tuple[bool, bool]:
        return torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32

    class Looking(Hinge):
        def d_loss(self, D, real, fake):
            seen.append(switches())
            return super().d_loss(D, real, fake)

    before, seen = switches(), []
    trainer_of(Looking(), "tf32").advance(1)
    trainer_of(Looking(), "float32").advance(1)
    assert seen == [(True, True), (False, False)]
    assert switches() == before
    with pytest.raises(RuntimeError), tensor_cores("tf32"):
        raise RuntimeError
    assert switches() == before


def test_precision_and_layout_are_rules_that_a_digest_covers() -> None:
    protocol = load_protocol("digits-16-v1")
    digests = {protocol.digest}
    for change in ({"precision": "bf16"}, {"precision": "tf32"}, {"layout": "channels-last"}):
        changed = msgspec.structs.replace(protocol, training=msgspec.structs.replace(protocol.training, **change))
        digests.add(changed.digest)
    assert len(digests) == 4


def test_an_unknown_precision_is_refused_with_those_that_there_are() -> None:
    rules = msgspec.to_builtins(load_protocol("smoke-v1"))
    rules["training"]["precision"] = "fp16"
    with pytest.raises(ProtocolError, match=r"training\.precision") as raised:
        parse(rules, "mine.toml")
    assert raised.value.hint == "precision is one of: float32, tf32, bf16"


def test_points_have_no_layout_and_train_under_any() -> None:
    points = Split(torch.randn(64, 2, generator=torch.Generator().manual_seed(0)))
    stream = Stream(points, 16, 3, CPU, MEMORY_FORMATS["channels-last"])
    assert stream.draw()[0].shape == (16, 2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def records(folder) -> dict[str, Record]:
    """Records of one job under the rules of smoke-v1, in each precision and layout."""
    smoke, found = load_protocol("smoke-v1"), {}
    for name, change in {"plain": {}, "bf16": {"precision": "bf16"}, "last": {"layout": "channels-last"}}.items():
        rules = msgspec.structs.replace(smoke.training, **change)
        protocol = msgspec.structs.replace(smoke, training=rules)
        names = {"arch": "ganbench:dcgan", "loss": "ganbench:hinge"}
        job = TrainingJob(protocol=protocol, digest=protocol.digest, seed=0, folder=str(folder / name), **names)
        with configured(1):
            found[name] = execute(job, lambda _: None, lambda: False)
    return found


def test_a_record_says_in_what_its_run_was_computed(records) -> None:
    assert {name: record.environment.precision for name, record in records.items()} == {
        "plain": "float32",
        "bf16": "bf16",
        "last": "float32",
    }
    assert {record.speed.mode for record in records.values()} == {"eager"}
    assert {record.status for record in records.values()} == {"ok"}


@pytest.mark.parametrize("precision", ["tf32", "bf16"])
def test_whatever_trains_features_are_computed_in_float32(precision, monkeypatch, tmp_path) -> None:
    seen, forward = set(), DigitsCNN.forward

    def look(self, x):
        tf32 = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
        features, logits = forward(self, x)
        seen.add((*tf32, torch.is_autocast_enabled(x.device.type), features.dtype, logits.dtype))
        return features, logits

    monkeypatch.setattr(DigitsCNN, "forward", look)
    smoke = load_protocol("smoke-v1")
    training = msgspec.structs.replace(smoke.training, precision=precision, budget_kimg=0.192)
    judging = msgspec.structs.replace(smoke.evaluation, samples=100, checks=1, target=None)
    protocol = msgspec.structs.replace(smoke, training=training, evaluation=judging)
    names = {"arch": "ganbench:dcgan", "loss": "ganbench:hinge"}
    job = TrainingJob(protocol=protocol, digest=protocol.digest, seed=0, folder=str(tmp_path), **names)
    with configured(1):
        assert execute(job, lambda _: None, lambda: False).status == "ok"
    assert seen == {(False, False, False, torch.float32, torch.float32)}


def test_a_run_is_trained_in_what_its_protocol_says(records, folder) -> None:
    assert records["bf16"].bits.weights != records["plain"].bits.weights
    for name, layout in (("plain", "contiguous"), ("last", "channels-last")):  # on some CPU the bits may be the same
        state = torch.load(folder / name / "checkpoint.pt", weights_only=True)["gan"]
        kernels = [value for value in state.values() if value.ndim == 4 and value.shape[1] > 1]
        assert all(value.is_contiguous(memory_format=MEMORY_FORMATS[layout]) for value in kernels)
    assert records["bf16"].cost.images == records["plain"].cost.images
