"""Recorded iterations: the same bits as plain ones, for every plugin, or a plain run with the reason stated."""

from __future__ import annotations

import copy
import random
import warnings
from contextlib import contextmanager

import pytest
import torch
from marks import slow_but
from taped import TapeRecorder
from torch import nn

from ganbench import GAN, Batch, Dataset, DataSpec, Lazy, Split, plugins
from ganbench.contracts.executor import TrainingJob
from ganbench.contracts.protocol import Recipe
from ganbench.contracts.trick import Trick
from ganbench.plugins.protocols import load_protocol
from ganbench.runs.players import build_players
from ganbench.training.batches import Stream
from ganbench.training.capture import EAGER, PROOFS, WARM_UP, CudaGraphs, Hidden, NotRecordable, recorder_for
from ganbench.training.trainer import Trainer
from ganbench_baselines.loss.hinge import Hinge
from ganbench_baselines.loss.wgan_gp import WassersteinGP

CPU = torch.device("cpu")


def noise(*shape: int, classes: int = 0, translated: bool = False) -> Dataset:
    """Fifty samples of noise, as a dataset."""
    x = torch.randint(0, 256, (50, *shape), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    labels = torch.arange(50) % classes if classes else None
    source = {"source": x.flip(0)} if translated else {}
    split = Split(x, labels, **source)
    return Dataset("noise", DataSpec(shape, classes, source=shape if translated else None), split, split)


EIGHT = noise(1, 8, 8)
IMAGES = EIGHT.train
DATA = {
    "cgan": noise(1, 8, 8, classes=3),
    "cgan-mlp": noise(1, 8, 8, classes=3),
    "acgan": noise(1, 8, 8, classes=3),
    "sngan": noise(1, 16, 16),
    "sngan-projection": noise(1, 16, 16, classes=3),
    "biggan-small": noise(1, 16, 16, classes=3),
    "stylegan2": noise(1, 16, 16),
    "r3gan": noise(1, 16, 16),
    "cyclegan": noise(1, 16, 16, translated=True),
    "wavegan": noise(1, 1024),
    "videogan": noise(1, 8, 16, 16),
    "videogan-two-critic": noise(1, 8, 16, 16),
}
"""What an arch plays on that does not play on images of eight by eight pixels, or needs more than images."""
ARCHS = [s.name for s in plugins.of_kind("arch") if s.package == "ganbench"]
LOSSES = [s.name for s in plugins.of_kind("loss") if s.package == "ganbench"]
GAMES = [(arch, loss) for arch in ARCHS for loss in (["rpgan-r1-r2"] if arch in DATA else LOSSES)]
"""Every loss on the small archs; on the others one that pairs reals with fakes and penalises both."""
QUICK = [
    ("mlp", "hinge"),
    ("mlp", "rpgan-r1"),
    ("dcgan", "wgan-gp"),
    *((a, "rpgan-r1-r2") for a in ("cyclegan", "cgan")),
]
TRICKS = [s.name for s in plugins.of_kind("trick") if s.package == "ganbench"]
ITERATIONS = WARM_UP + PROOFS + 4


def built(arch: str, loss: str, *tricks: str, recorder: TapeRecorder | None = None, **changes) -> Trainer:
    """A trainer of installed plugins."""
    protocol = load_protocol("smoke-v1")
    names = {"arch": f"ganbench:{arch}", "loss": f"ganbench:{loss}", "tricks": tuple(f"ganbench:{t}" for t in tricks)}
    changes = {"width": 4, "z_dim": 4, **changes}
    job = TrainingJob(protocol=protocol, digest=protocol.digest, seed=0, folder="", recipe_changes=changes, **names)
    data = DATA.get(arch, EIGHT)
    players = build_players(job, data)
    stream = Stream(data.train, 8, 3, CPU)
    updates = 100 * players.recipe.d_steps
    return Trainer(
        players.gan, players.played, stream, players.recipe, updates, 1, 2, players.tricks, "float32", recorder
    )


def trainer_of(loss, kind: type[GAN] = GAN, recorder: TapeRecorder | None = None, tricks=(), **recipe) -> Trainer:
    torch.manual_seed(7)
    settings = Recipe(**{"lr": 1e-3, "betas": (0.0, 0.9), **recipe})
    return Trainer(tiny(kind), loss, Stream(IMAGES, 8, 3, CPU), settings, 1000, 1, 2, tricks, "float32", recorder)


def tiny(kind: type[GAN] = GAN) -> GAN:
    generator = nn.Sequential(nn.Linear(4, 64), nn.Tanh(), nn.Unflatten(1, (1, 8, 8)))
    return kind(generator, nn.Sequential(nn.Flatten(), nn.Linear(64, 1), nn.Flatten(0)), 4)


def twins(make) -> tuple[Trainer, Trainer, TapeRecorder]:
    """The same training, played and recorded, and how it was recorded."""
    recorder = TapeRecorder()
    return make(None), make(recorder), recorder


def outcome(trainer: Trainer, iterations: int = ITERATIONS) -> tuple[str, dict[str, float]]:
    window = trainer.advance(trainer.d_done + iterations * trainer.recipe.d_steps)
    return trainer.fingerprint(), window.losses


class Counting(Hinge):
    """A loss that counts its calls, as no loss should."""

    def __init__(self) -> None:
        self.asked = 0

    def d_loss(self, D, real, fake):
        self.asked += 1
        return super().d_loss(D, real, fake) * (1 + self.asked % 3)


class Chancy(Hinge):
    """A loss that draws from Python's generator, as no loss should."""

    def d_loss(self, D, real, fake):
        return super().d_loss(D, real, fake) * (1 + random.random())


class Reading(Hinge):
    """A loss that reads a number off the device."""

    def d_loss(self, D, real, fake):
        value = super().d_loss(D, real, fake)
        return value if value.item() > 1 else 2 * value


class Looking(Trick):
    """A trick that looks at the progress."""

    def match(self, match, turn):
        return match._replace(fake=match.fake * (1 - turn.progress))


class Numbered(GAN):
    """Players whose extra term depends on the iteration's number."""

    def d_extra(self, batch: Batch, fake):
        return {"extra": self.discriminator(batch.real).square().mean() * (batch.step % 2)}


class LazyPlayers(GAN):
    """Players with a penalty that comes every fourth iteration."""

    def d_extra(self, batch: Batch, fake):
        return {"lazy": Lazy(4, lambda: self.discriminator(batch.real).square().mean())}


@pytest.mark.parametrize(("arch", "loss"), slow_but(QUICK, GAMES))
def test_a_recorded_training_has_the_bits_of_a_played_one(arch, loss) -> None:
    played, recorded, recorder = twins(lambda recorder: built(arch, loss, recorder=recorder))
    assert outcome(played) == outcome(recorded)
    assert recorded.mode == "graph"
    assert (recorder.recordings, recorder.replays) == (1, PROOFS + 4)


@pytest.mark.parametrize("trick", TRICKS)
def test_every_trick_is_recorded_or_played_with_the_reason(trick) -> None:
    no_penalty = trick == "label-smoothing" or trick.startswith("minibatch")
    loss = "non-saturating" if no_penalty else "wgan-gp"
    played, recorded, _ = twins(lambda recorder: built("dcgan", loss, trick, recorder=recorder))
    assert outcome(played) == outcome(recorded)
    looks = trick == "instance-noise"
    assert recorded.mode == ("eager: a plugin reads the progress or the iteration's number" if looks else "graph")


@pytest.mark.parametrize("optimizer", ["adam", "rmsprop", "sgd"])
def test_every_optimiser_can_be_recorded(optimizer) -> None:
    played, recorded, _ = twins(lambda recorder: trainer_of(Hinge(), recorder=recorder, optimizer=optimizer))
    assert outcome(played) == outcome(recorded)
    assert recorded.mode == "graph"


def test_a_falling_rate_and_a_warming_average_are_not_frozen_in_a_recording() -> None:
    def make(recorder):
        torch.manual_seed(7)
        recipe = Recipe(lr=1e-2, lr_decay=1.0, ema=0.9)
        return Trainer(tiny(), Hinge(), Stream(IMAGES, 8, 3, CPU), recipe, 40, 1, 2, (), "float32", recorder)

    played, recorded, _ = twins(make)
    assert outcome(played, 39) == outcome(recorded, 39)
    assert recorded.mode == "graph"
    assert recorded.optim_d.param_groups[0]["lr"].item() == pytest.approx(1e-2 * 2 / 40)


def test_lazy_terms_have_recordings_of_their_own_and_stand_only_where_they_came() -> None:
    played, recorded, recorder = twins(lambda recorder: trainer_of(Hinge(), LazyPlayers, recorder))
    for _ in range(20):
        assert outcome(played, 2) == outcome(recorded, 2)
    assert recorder.recordings == 2
    assert "lazy" in outcome(recorded, 1)[1]
    assert "lazy" not in outcome(recorded, 3)[1]


def test_the_last_updates_of_a_budget_are_played() -> None:
    def make(recorder):
        torch.manual_seed(7)
        recipe = Recipe(lr=1e-2, d_steps=3)
        return Trainer(tiny(), WassersteinGP(), Stream(IMAGES, 8, 3, CPU), recipe, 32, 1, 2, (), "float32", recorder)

    played, recorded, recorder = twins(make)
    assert outcome(played, 99) == outcome(recorded, 99)
    assert recorded.done
    assert recorded.images == 32 * 8
    assert recorder.replays == 10 - WARM_UP


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda recorder: trainer_of(Counting(), recorder=recorder), "an iteration gives different bits when replayed"),
        (lambda recorder: trainer_of(Chancy(), recorder=recorder), "an iteration gives different bits when replayed"),
        (lambda recorder: trainer_of(Reading(), recorder=recorder), "RuntimeError: called a synchronizing operation"),
        (lambda recorder: trainer_of(Hinge(), recorder=recorder, tricks=[Looking()]), "reads the progress"),
        (lambda recorder: trainer_of(Hinge(), Numbered, recorder), "reads the progress"),
    ],
    ids=["counts", "draws elsewhere", "reads a number", "looks at the progress", "looks at the number"],
)
def test_what_cannot_be_replayed_is_played_and_the_mode_says_why(make, why) -> None:
    recorded = make(TapeRecorder())
    recorded.advance(ITERATIONS)
    assert recorded.mode.startswith("eager: ")
    assert why in recorded.mode


@pytest.mark.parametrize(
    "make",
    [
        lambda recorder: trainer_of(Reading(), recorder=recorder),
        lambda recorder: trainer_of(Hinge(), Numbered, recorder),
    ],
)
def test_what_is_played_in_the_end_has_the_bits_of_what_was_played_all_along(make) -> None:
    played, recorded, _ = twins(make)
    assert outcome(played) == outcome(recorded)


def test_a_recorded_run_stopped_and_resumed_gives_the_same_bits() -> None:
    whole, first, second = (
        trainer_of(WassersteinGP(), recorder=TapeRecorder(), d_steps=2, lr_decay=0.5) for _ in range(3)
    )
    outcome(whole, 20)
    outcome(first, 9)
    second.restore(first.state())
    assert second.mode == "eager"
    outcome(second, 11)
    assert second.mode == "graph"
    assert whole.fingerprint() == second.fingerprint()


def test_a_trainer_that_has_recordings_can_be_put_back() -> None:
    whole, recorded = trainer_of(Hinge()), trainer_of(Hinge(), recorder=TapeRecorder())
    outcome(whole, 30)
    outcome(recorded, 10)
    state = copy.deepcopy(recorded.state())
    outcome(recorded, 5)
    recorded.restore(state)
    outcome(recorded, 20)
    assert recorded.mode == "graph"
    assert whole.fingerprint() == recorded.fingerprint()


@pytest.mark.parametrize(("first", "then"), [(TapeRecorder, None), (None, TapeRecorder)])
def test_a_run_begun_in_one_mode_goes_on_in_the_other(first, then) -> None:
    def make(kind) -> Trainer:
        torch.manual_seed(7)
        recipe, recorder = Recipe(lr=1e-2, lr_decay=1.0), kind and kind()
        return Trainer(tiny(), Hinge(), Stream(IMAGES, 8, 3, CPU), recipe, 40, 1, 2, (), "float32", recorder)

    whole, begun, resumed = make(None), make(first), make(then)
    outcome(whole, 40)
    outcome(begun, 12)
    resumed.restore(begun.state())
    outcome(resumed, 28)
    assert resumed.mode == ("graph" if then else "eager")
    assert whole.fingerprint() == resumed.fingerprint()


def test_a_fault_in_a_replayed_iteration_is_dated_to_that_iteration() -> None:
    trainer = trainer_of(Hinge(), recorder=TapeRecorder())
    outcome(trainer, 12)
    assert trainer.mode == "graph"
    with torch.no_grad():
        trainer.gan.discriminator[1].bias.fill_(torch.nan)
    with pytest.raises(Exception, match=r"d_loss is not finite.*13|13.*d_loss"):
        trainer.advance(30)


class Watcher:
    """Notes the updates it sees, and waits for the device, as no recorded code may."""

    def __init__(self) -> None:
        self.seen = list[tuple[str, int]]()

    @contextmanager
    def update(self, player, step):
        yield
        torch.ones(()).item()
        self.seen.append((player, step))


def test_an_observer_sees_what_is_played_and_disturbs_neither_recordings_nor_bits() -> None:
    alone = trainer_of(Hinge(), recorder=TapeRecorder(), d_steps=2)
    observed = trainer_of(Hinge(), recorder=TapeRecorder(), d_steps=2)
    watcher = observed.observer = Watcher()
    assert outcome(observed) == outcome(alone)
    assert observed.mode == alone.mode == "graph"
    assert watcher.seen == [(player, step) for step in range(WARM_UP) for player in "DDG"]


@pytest.mark.parametrize(("arch", "loss"), GAMES)
def test_nothing_in_an_iteration_waits_for_the_device(arch, loss) -> None:
    recorder = TapeRecorder()
    trainer = built(arch, loss, recorder=recorder)
    trainer.play()
    with recorder.rehearsal():
        trainer.play()
        trainer.play()


@pytest.mark.parametrize("trick", TRICKS)
def test_no_trick_waits_for_the_device(trick) -> None:
    recorder = TapeRecorder()
    trainer = built("dcgan", "non-saturating", trick, recorder=recorder)
    trainer.play()
    with recorder.rehearsal():
        trainer.play()


def test_the_tape_notices_who_waits() -> None:
    with pytest.raises(RuntimeError, match="synchronizing"), TapeRecorder().rehearsal():
        torch.ones(3).sum().item()


@pytest.mark.parametrize(
    "look", [float, int, bool, str, lambda h: h % 2, lambda h: 1 - h, lambda h: h > 3, lambda h: h == 1]
)
def test_whoever_looks_at_what_is_hidden_is_told(look) -> None:
    with pytest.raises(NotRecordable):
        look(Hidden())


def test_nothing_is_recorded_on_a_cpu() -> None:
    assert recorder_for(CPU, []) is None
    assert trainer_of(Hinge()).mode == "eager"


def test_recording_can_be_turned_off(monkeypatch) -> None:
    monkeypatch.setenv(EAGER, "1")
    assert recorder_for(torch.device("cuda"), []) is None


def test_torchs_warning_of_its_detector_ends_no_recording(monkeypatch) -> None:
    modes = []

    def set_mode(mode: str) -> None:
        modes.append(mode)
        if len(modes) == 1:
            warnings.warn("Synchronization debug mode is a prototype feature and does not yet detect", stacklevel=2)

    monkeypatch.setattr(torch.cuda, "Stream", lambda device: None)
    monkeypatch.setattr(torch.cuda, "get_sync_debug_mode", lambda: "default")
    monkeypatch.setattr(torch.cuda, "set_sync_debug_mode", set_mode)
    with CudaGraphs(torch.device("cuda"), []).rehearsal():
        assert modes == ["error"]
    assert modes == ["error", "default"]
