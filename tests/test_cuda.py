"""What only a GPU can show. Everything here has a counterpart on the CPU in test_capture.py and test_precision.py."""

from __future__ import annotations

import os

import pytest
import torch

from ganbench import DataSpec, Split, plugins
from ganbench.contracts.loss import LossTraits
from ganbench.contracts.protocol import Recipe
from ganbench.device.determinism import configured
from ganbench.training.batches import Stream
from ganbench.training.capture import EAGER
from ganbench.training.precision import MEMORY_FORMATS, lay_out
from ganbench.training.trainer import Trainer
from ganbench_baselines.arch import dcgan

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")
LOSSES = [s.name for s in plugins.of_kind("loss") if s.package == "ganbench"]
IMAGES = Split(torch.randint(0, 256, (512, 3, 32, 32), generator=torch.Generator().manual_seed(0), dtype=torch.uint8))


@pytest.fixture(autouse=True)
def _reproducible():
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    with configured(1):
        yield


def trainer_of(name: str, precision="float32", layout="contiguous", **recipe) -> Trainer:
    device = torch.device("cuda", 0)
    loss = plugins.build(plugins.find("loss", name))
    traits = LossTraits(loss)
    torch.manual_seed(1)
    gan = dcgan.ganbench_arch(DataSpec((3, 32, 32)), traits.d_norm, 16, 16).to(device)
    lay_out(gan, layout)
    stream = Stream(IMAGES, 32, 3, device, MEMORY_FORMATS[layout])
    settings = Recipe(**{"lr": 1e-3, "betas": (0.0, 0.9), "d_steps": traits.d_steps, **recipe})
    return Trainer(gan, loss, stream, settings, 10_000, 1, 2, (), precision)


@pytest.mark.parametrize("name", LOSSES)
def test_a_graph_has_the_bits_of_played_iterations(name, monkeypatch) -> None:
    graphed = trainer_of(name)
    monkeypatch.setenv(EAGER, "1")
    played = trainer_of(name)
    for trainer in (graphed, played):
        trainer.advance(100)
    assert graphed.mode == "graph"
    assert played.mode == "eager"
    assert graphed.fingerprint() == played.fingerprint()


@pytest.mark.parametrize("optimizer", ["adam", "rmsprop", "sgd"])
def test_every_optimiser_is_captured_with_a_falling_rate(optimizer, monkeypatch) -> None:
    graphed = trainer_of("hinge", optimizer=optimizer, lr_decay=1.0)
    monkeypatch.setenv(EAGER, "1")
    played = trainer_of("hinge", optimizer=optimizer, lr_decay=1.0)
    for trainer in (graphed, played):
        trainer.advance(100)
    assert graphed.mode == "graph"
    assert graphed.fingerprint() == played.fingerprint()


@pytest.mark.filterwarnings("ignore:Synchronization debug mode is a prototype")
@pytest.mark.parametrize("mode", ["graph", "eager"])
def test_no_window_waits_for_the_device_between_its_ends(mode, monkeypatch) -> None:
    if mode == "eager":
        monkeypatch.setenv(EAGER, "1")
    trainer = trainer_of("wgan-gp")
    trainer.advance(100)
    assert trainer.mode == mode
    torch.cuda.set_sync_debug_mode("error")
    try:
        with trainer.recorder.stream() if trainer.recorder else torch.cuda.stream(torch.cuda.current_stream()):
            for _ in range(3):
                trainer._iterate()
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize(("precision", "layout"), [("bf16", "channels-last"), ("tf32", "contiguous")])
def test_other_precisions_are_captured_and_give_the_same_bits_again(precision, layout) -> None:
    prints = set()
    for _ in range(2):
        trainer = trainer_of("wgan-gp", precision, layout)
        trainer.advance(60)
        prints.add(trainer.fingerprint())
        assert trainer.mode == "graph"
    assert len(prints) == 1
