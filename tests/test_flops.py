"""What training costs in arithmetic and energy: checked by hand, averaged over lazy terms, and without side effects."""

from __future__ import annotations

import ctypes
import importlib.util
import itertools
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import msgspec
import pytest
import torch
from msgspec.structs import replace
from running import bits, carry_out, job_in, weights_in
from taped import TapeRecorder
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from toy import make

from ganbench import GAN, DataSpec, Lazy, Split, plugins
from ganbench.cli.runs import in_units
from ganbench.contracts.protocol import Recipe
from ganbench.contracts.trick import Trick
from ganbench.device import energy
from ganbench.device.energy import Energy, counter_of
from ganbench.device.nvml import energy_counter, sm_clock
from ganbench.records.record import Company, Cost, Record, Speed
from ganbench.records.store import read, write
from ganbench.runs import recording, run, trainers
from ganbench.runs.players import build_players
from ganbench.runs.setup import prepare
from ganbench.training import peak
from ganbench.training.batches import Stream
from ganbench.training.flops import Account, Meter, account, flops_per_image
from ganbench.training.observer import Observer
from ganbench.training.trainer import Trainer
from ganbench_baselines.arch import dcgan
from ganbench_baselines.loss.non_saturating import ganbench_loss as non_saturating
from ganbench_baselines.loss.wgan_gp import ganbench_loss as wgan_gp

CPU = torch.device("cpu")
BATCH, SIDE = 8, 16
IMAGES = torch.randint(0, 256, (50, 1, SIDE, SIDE), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


def mlp() -> GAN:
    generator = nn.Sequential(nn.Linear(4, 10), nn.ReLU(), nn.Linear(10, SIDE**2), nn.Unflatten(1, (1, SIDE, SIDE)))
    critic = nn.Sequential(nn.Flatten(), nn.Linear(SIDE**2, 12), nn.LeakyReLU(0.2), nn.Linear(12, 1), nn.Flatten(0))
    return GAN(generator, critic, 4)


def small_dcgan() -> GAN:
    return dcgan.ganbench_arch(DataSpec((1, SIDE, SIDE)), "none", 4, 8)


def trainer_of(gan: GAN, loss, *tricks: Trick, **rules) -> Trainer:
    return Trainer(gan, loss, Stream(Split(IMAGES), BATCH, 3, CPU), Recipe(), 20, 1, 2, tricks, **rules)


def counted(build: Callable[[], GAN], loss, d_steps: int = 1, **rules):
    return flops_per_image(lambda observer: trainer_of(build(), loss, observer=observer, **rules), BATCH, d_steps)


# -- by hand ---------------------------------------------------------------------------------------------------------
# A layer costs the same forwards, for the gradient of its weights, and for the gradient of its input. In D's turn
# neither G's weights nor the samples get a gradient, in G's turn D's weights get none.


def linear(before: int, after: int) -> int:
    return 2 * before * after


def convolution(before: int, after: int, small_side: int) -> int:
    """4x4 with stride 2; ``small_side`` is the side of the smaller map. Transposed, it costs the same."""
    return 2 * before * after * 4 * 4 * small_side**2


def test_a_small_mlp_with_the_non_saturating_loss_costs_what_it_does_by_hand() -> None:
    first_g, first_d = linear(4, 10), linear(SIDE**2, 12)
    g, d = first_g + linear(10, SIDE**2), first_d + linear(12, 1)
    real_or_fake = d + d + (d - first_d)  # forwards, weights, inputs of all layers but the first
    assert counted(mlp, non_saturating()) == (g + 2 * real_or_fake, (g + d) + d + g + (g - first_g))


def test_dcgan_with_wgan_gp_costs_what_it_does_by_hand_double_backward_included() -> None:
    first_g = linear(8, 8 * 4 * 4)
    g = first_g + convolution(8, 4, 4) + convolution(4, 1, 8)
    first_d, second_d, last_d = convolution(1, 4, 8), convolution(4, 8, 4), linear(8 * 4 * 4, 1)
    d = first_d + second_d + last_d
    real_or_fake = 3 * d - first_d
    slope = d + d  # D(x̂), and its gradient down to x̂
    slope_of_slope = 2 * (first_d + second_d) + last_d  # for weights and incoming slopes; the last layer's is constant
    curvature = first_d + 2 * second_d  # that of LeakyReLU is zero: torch passes the zeros on all the same
    d_turn = g + 2 * real_or_fake + slope + slope_of_slope + curvature
    g_turn = (g + d) + d + g + (g - first_g)
    assert counted(small_dcgan, wgan_gp(), d_steps=5) == (d_turn, g_turn / 5)


class LazyGAN(GAN):
    """Two terms in D and one in G, each computed every few steps."""

    def d_extra(self, batch, fake):
        return {
            "slope": Lazy(4, lambda: self.slope(batch.real)),
            "fakes": Lazy(6, lambda: self.discriminator(fake).square().mean()),
        }

    def g_extra(self, batch, fake):
        return {"sum": Lazy(2, lambda: self.generator(batch.z.flip(0)).sum())}

    def slope(self, x):
        x = x.detach().requires_grad_(True)
        (slope,) = torch.autograd.grad(self.discriminator(x).sum(), x, create_graph=True)
        return slope.square().mean()


def lazy() -> GAN:
    plain = mlp()
    return LazyGAN(plain.generator, plain.discriminator, 4)


def test_lazy_terms_count_by_how_often_they_come() -> None:
    meter = Meter()
    trainer_of(lazy(), non_saturating(), observer=meter).advance(12)  # once round, for 4, 6 and 2
    flops = counted(lazy, non_saturating())
    assert flops.d == pytest.approx(meter.flops["D"] / (12 * BATCH), rel=1e-12)
    assert flops.g == pytest.approx(meter.flops["G"] / (12 * BATCH), rel=1e-12)
    plain = counted(mlp, non_saturating())
    assert flops.d > plain.d
    assert flops.g > plain.g


@pytest.mark.parametrize("rules", [{"precision": "bf16"}, {"recorder": TapeRecorder()}], ids=["bf16", "recorded"])
def test_the_count_is_the_same_in_other_arithmetic_and_in_recorded_iterations(rules) -> None:
    assert counted(lazy, wgan_gp(), **rules) == counted(lazy, wgan_gp())


def test_torchs_own_counter_finds_the_same_where_it_works() -> None:
    meter = Meter()
    trainer = trainer_of(small_dcgan(), non_saturating(), observer=meter)
    with FlopCounterMode(display=False) as counter:
        trainer.advance(2)
    assert sum(meter.flops.values()) == counter.get_total_flops() > 0


def test_what_consists_of_products_is_counted_in_inference_mode_as_well() -> None:
    x = torch.randn(2, 3, 4)
    counts = []
    for mode in (torch.no_grad(), torch.inference_mode()):
        meter = Meter()
        with mode, meter.update("D", 0):
            nn.functional.linear(x, torch.randn(5, 4)) @ torch.randn(2, 5, 6)
        counts.append(meter.flops["D"])
    assert counts == [2 * 2 * 3 * 4 * 5 + 2 * 2 * 3 * 5 * 6] * 2


BUILT_IN = [source for source in plugins.find_many("trick", ["all"]) if source.package == "ganbench"]
COMBINATIONS = {
    **{f"dcgan+{source.name}": {"loss": source.name} for source in plugins.find_many("loss", ["all"])},
    **{f"{source.name}": {"loss": "non-saturating", "tricks": [source.name]} for source in BUILT_IN},
}


@pytest.mark.parametrize("name", COMBINATIONS)
def test_every_built_in_loss_and_trick_can_be_counted(name, tmp_path) -> None:
    job = job_in(tmp_path, "dcgan", **COMBINATIONS[name])
    dataset = prepare(job.protocol, "cpu").dataset

    def again(observer: Observer) -> Trainer:
        players = build_players(job, dataset)
        stream = Stream(dataset.train, BATCH, 3, CPU)
        tricks = players.tricks
        return Trainer(players.gan, players.played, stream, players.recipe, 20, 1, 2, tricks, observer=observer)

    flops = flops_per_image(again, BATCH, 1)
    assert min(flops) > 100_000


# -- without effect --------------------------------------------------------------------------------------------------


def test_a_run_has_the_same_bits_with_and_without_accounting(tmp_path, monkeypatch) -> None:
    first, second, third = (job_in(tmp_path / name, "dcgan", "non-saturating") for name in "abc")
    with_it, after_it = carry_out(first), carry_out(second)
    monkeypatch.setattr(trainers, "account", lambda *_: None)
    without = carry_out(third)
    assert with_it.speed.d_flops > 0 == without.speed.d_flops
    assert bits(with_it) == bits(after_it) == bits(without)
    assert all(map(torch.equal, weights_in(Path(first.folder)), weights_in(Path(third.folder))))


class Watched(NamedTuple):
    """A run, and the state of its training before and after its arithmetic was counted."""

    record: Record
    before: tuple
    after: tuple


@pytest.fixture(scope="module")
def watched(tmp_path_factory) -> Watched:
    states = []

    def state(trained: Trainer) -> tuple:
        random = [torch.get_rng_state(), trained.stream.state(), trained.latents.get_state()]
        return trained.fingerprint(), [rng.numpy().tobytes() for rng in random]

    def watching(trained: Trainer, again) -> Account | None:
        states.append(state(trained))
        counted = account(trained, again)
        states.append(state(trained))
        return counted

    job = job_in(tmp_path_factory.mktemp("watched"), "dcgan", "non-saturating")  # batch norm in both players
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainers, "account", watching)
        carry_out(job)
    return Watched(read(job.record_file), *states)


def test_accounting_touches_neither_the_trained_players_nor_a_random_number(watched) -> None:
    assert watched.before == watched.after


def test_the_rate_is_the_count_of_an_image_times_the_images_per_cpu_second(watched) -> None:
    speed = watched.record.speed
    assert speed.d_flops > speed.g_flops > 0
    assert speed.flops_per_second == pytest.approx((speed.d_flops + speed.g_flops) * speed.train_cpu, rel=1e-3)


def test_the_share_of_the_peak_is_that_of_the_rate(watched) -> None:
    speed = watched.record.speed
    assert speed.peak_share == pytest.approx(speed.flops_per_second / speed.peak_flops_per_second, abs=1e-3)


def test_what_cannot_be_counted_is_left_out_and_ends_no_run(tmp_path, monkeypatch) -> None:
    def refuse(self, player, step) -> None:
        raise NotImplementedError("an operator of higher order")

    monkeypatch.setattr(Meter, "update", refuse)
    record = carry_out(job_in(tmp_path, "mlp", "non-saturating"))
    assert record.status == "ok"
    assert (record.speed.d_flops, record.speed.flops_per_second, record.speed.peak_share) == (0, 0, 0)


def test_nothing_is_counted_where_nothing_was_timed(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(run, "WINDOWS", 1)
    monkeypatch.setattr(trainers, "account", lambda *_: pytest.fail("counted"))
    record = carry_out(job_in(tmp_path, "mlp", "non-saturating"))
    assert (record.status, record.speed.windows, record.speed.d_flops) == ("ok", 0, 0)


def test_what_a_plugin_warns_of_is_said_by_the_training_alone() -> None:
    class Warning_(Trick):
        def match(self, match, turn):
            warnings.warn("look here", UserWarning, stacklevel=1)
            return match

    trained = trainer_of(mlp(), non_saturating())
    counted = account(trained, lambda observer: trainer_of(mlp(), non_saturating(), Warning_(), observer=observer))
    assert counted.flops.d > 0


# -- the device's peak -----------------------------------------------------------------------------------------------


def module_afresh(module: ModuleType) -> ModuleType:
    """A copy that has measured nothing yet."""
    spec = importlib.util.find_spec(module.__name__)
    copy = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(copy)
    return copy


def products_take(seconds: dict[int, float], monkeypatch) -> list[int]:
    """By a clock of their own, square products take so long; for those of other sizes there is no memory. Returns the
    sizes that are tried, once each."""
    now, tried = 0.0, list[int]()

    def product(a: torch.Tensor, b: torch.Tensor, out: torch.Tensor) -> None:
        nonlocal now
        tried.extend([len(a)] * (len(a) not in tried))
        if len(a) not in seconds:
            raise torch.OutOfMemoryError("no memory")
        now += seconds[len(a)]

    monkeypatch.setattr(torch, "mm", product)
    monkeypatch.setattr(time, "perf_counter", lambda: now)
    return tried


def test_the_peak_is_of_the_fastest_product_and_larger_ones_are_not_tried_in_vain(monkeypatch) -> None:
    tried = products_take({512: 1e-3, 1024: 4e-3}, monkeypatch)
    assert module_afresh(peak).peak_flops(CPU, "float32") == pytest.approx(2 * 1024**3 / 4e-3)
    assert tried == [512, 1024]


def test_the_peak_is_what_was_reached_before_memory_ran_out(monkeypatch) -> None:
    products_take({512: 1e-3}, monkeypatch)
    assert module_afresh(peak).peak_flops(CPU, "float32") == pytest.approx(2 * 512**3 / 1e-3)


def test_the_peak_is_measured_once_in_a_process_and_draws_from_nobodys_stream() -> None:
    before, fresh = torch.get_rng_state(), module_afresh(peak)
    first = fresh.peak_flops(CPU, "float32")
    assert 1e8 < first < 1e14
    assert torch.equal(torch.get_rng_state(), before)
    assert fresh.peak_flops(CPU, "float32") == first


# -- energy (no NVIDIA driver is at hand: its C interface is stood in for) -------------------------------------------


class StandIn:
    """Stands in for libnvidia-ml: real C functions with the signatures of nvml.h, each of which returns 0 or an
    error."""

    def __init__(self, readings: list[int], supported: bool = True) -> None:
        left = iter(readings)

        def by_uuid(uuid: bytes, handle) -> int:
            handle[0] = 7
            return 0 if uuid == b"GPU-one" else 6

        def clock(handle: int, kind: int, megahertz) -> int:
            megahertz[0] = 1755
            return 0 if supported and handle == 7 and kind == 1 else 3

        def consumption(handle: int, millijoules) -> int:
            millijoules[0] = next(left, 0)
            return 0 if supported and handle == 7 else 3

        self.nvmlInit_v2 = ctypes.CFUNCTYPE(ctypes.c_int)(lambda: 0)
        self.nvmlDeviceGetHandleByUUID = ctypes.CFUNCTYPE(
            ctypes.c_int, ctypes.c_char_p, ctypes.POINTER(ctypes.c_void_p)
        )(by_uuid)
        self.nvmlDeviceGetTotalEnergyConsumption = ctypes.CFUNCTYPE(
            ctypes.c_int, ctypes.c_void_p, ctypes.POINTER(ctypes.c_ulonglong)
        )(consumption)
        self.nvmlDeviceGetClockInfo = ctypes.CFUNCTYPE(
            ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.POINTER(ctypes.c_uint)
        )(clock)


def test_the_clock_of_the_multiprocessors_is_read_in_megahertz() -> None:
    clock = sm_clock(StandIn([]), "GPU-one")
    assert (clock(), clock()) == (1755, 1755)
    assert sm_clock(StandIn([], supported=False), "GPU-one") is None
    assert sm_clock(object(), "GPU-one") is None


def test_the_drivers_counter_is_read_in_joules() -> None:
    counter = energy_counter(StandIn([0, 5_000_000_000_500, 5_000_000_002_000]), "GPU-one")
    assert (counter(), counter()) == (5_000_000_000.5, 5_000_000_002.0)


def test_there_is_no_energy_without_a_counter() -> None:
    assert energy_counter(StandIn([1], supported=False), "GPU-one") is None
    assert energy_counter(StandIn([1]), "GPU-other") is None
    assert energy_counter(object(), "GPU-one") is None, "a library that has no such function"
    assert counter_of(CPU) is None


def test_only_what_is_watched_is_added_up_and_what_was_missed_once_stays_unknown() -> None:
    readings = iter([10.0, 12.0, 20.0, 25.0, None, 30.0, 31.0, 32.0])
    watch = Energy(lambda: next(readings))
    for expected in (2.0, 7.0, None, None):
        with watch.watched():
            pass
        assert watch.joules == expected


def test_a_run_alone_on_its_device_records_the_energy_of_its_training(tmp_path, monkeypatch) -> None:
    clock = itertools.count()
    monkeypatch.setattr(recording, "counter_of", lambda device: lambda: float(next(clock)))
    job = job_in(tmp_path / "alone", "mlp", "wgan-gp")
    windows = itertools.count()
    stopped = carry_out(job, should_stop=lambda: next(windows) >= 2)
    assert (stopped.status, stopped.cost.device_joules) == ("interrupted", 3.0)
    assert carry_out(job).cost.device_joules == 6.0, "a joule a window, before and after the interruption"
    shared = job_in(tmp_path / "shared", "mlp", "wgan-gp")
    assert carry_out(replace(shared, workers=2)).cost.device_joules is None


def test_on_a_cpu_the_energy_is_not_known(tmp_path) -> None:
    assert carry_out(job_in(tmp_path)).cost.device_joules is None
    assert energy.counter_of(torch.device("mps")) is None


# -- shown -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.5, "0.5 J"), (999.4, "999 J"), (999.6, "1 kJ"), (12_345_678, "12.3 MJ"), (4.4e10, "44 GJ"), (2e15, "2 PJ")],
)
def test_quantities_are_told_in_three_digits(value, text) -> None:
    assert in_units(value, "J") == text


def counted_record() -> Record:
    speed = Speed(
        train=4000, train_iqr=80, windows=4, d_flops=8.1e6, g_flops=4.2e6, flops_per_second=4.92e10,
        peak_flops_per_second=9.4e10, peak_share=0.5234, mode="eager: [a plugin]", train_cpu=4100,
    )  # fmt: skip
    cost, company = Cost(100_000, 25.0, 3.0, 1234.0, 24.4), Company(load=1.25, steal=0.031, pressure=0.052)
    return make(speed=speed, cost=cost, company=company)


def test_show_tells_the_arithmetic_the_rate_and_the_energy_of_a_run(ganbench_here, tmp_path) -> None:
    write(counted_record(), tmp_path / "counted.json")
    shown = " ".join(ganbench_here("show", "counted.json").stdout.split())
    for said in (
        "median of 4 windows (too few to trust), IQR 80",
        "by CPU time 4,100 samples/CPU s 24.4 CPU s",
        "machine load 1.25 3.1% of CPU time stolen, 5.2% of the time a task waited for a CPU",
        "eager: [a plugin]",
        "12.3 MFLOP per sample D 8.1 MFLOP, G 4.2 MFLOP",
        "49.2 GFLOP/s 52.3% of the 94 GFLOP/s that a float32 matrix product reached here, 1 thread",
        "device energy 1.23 kJ 12.3 J per 1,000 samples",
    ):
        assert said in shown


def test_show_leaves_out_what_a_record_does_not_hold(ganbench_here, tmp_path) -> None:
    write(make(), tmp_path / "uncounted.json")
    plain = ganbench_here("show", "uncounted.json").stdout
    assert "samples/CPU s" in plain
    for word in ("FLOP", "energy", "machine load"):
        assert word not in plain


def test_show_prints_the_counts_as_json(ganbench_here, tmp_path) -> None:
    write(counted_record(), tmp_path / "counted.json")
    stored = msgspec.json.decode(ganbench_here("show", "counted.json", "--json").stdout)
    assert (stored["speed"]["d_flops"], stored["cost"]["device_joules"]) == (8.1e6, 1234.0)
