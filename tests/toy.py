"""A loss without a package, and records of a protocol that never ran, for the tests of tables."""

from __future__ import annotations

from typing import Any

import msgspec

from ganbench.contracts.protocol import Evaluating, Protocol, Training
from ganbench.records.record import (
    FORMAT,
    Column,
    Component,
    Cost,
    Environment,
    Fingerprints,
    Look,
    Record,
    SelfChecks,
    Speed,
    TrainingRecord,
    YardstickRecord,
)
from ganbench.records.timing import Timing

LOSS = '''
    """A loss from elsewhere."""
    from ganbench import hookimpl
    class Plain:
        def d_loss(self, D, real, fake): return D(fake).mean() - D(real).mean()
        def g_loss(self, D, real, fake): return -D(fake).mean()
    @hookimpl
    def ganbench_loss(): return Plain()
'''
QUICK = """
name = "quick-v1"
dataset = "digits"
resolution = 16
seeds = [0]

[training]
budget_kimg = 0.96
batch = 32
width = 8

[evaluation]
samples = 100
metrics = ["fid"]
headline = "fid"
extractor = "digits-cnn"
checks = 2
yardsticks = []
"""  # for commands that are tested for something else: no yardstick is judged, and no metric imports torchvision
TAG = "digits-cnn:1a2b3c4d"
COLUMNS = {
    f"fid@{TAG}": Column("min", 0, None),
    f"is@{TAG}": Column("max", 1, None),
    f"coverage@{TAG}": Column("max", 0, 1),
    "modes_covered": Column("max", 0, 10),
    "hq_fraction": Column("max", 0, 1),
}
CPU = Environment(
    ganbench="0.1.0",
    commit="0123456789ab",
    dirty=False,
    python="3.12.1",
    torch="2.15.0",
    cuda="",
    cudnn="",
    device="Some CPU",
    threads=1,
    precision="float32",
    system="Linux x86_64",
    core="c0",
)
PLUGINS = {kind: Component(kind, "ganbench", "0.1.0", f"{kind[0]}1") for kind in ("dataset", "extractor", "fid")}
GPU = msgspec.structs.replace(CPU, device="Some GPU", cuda="13.0", cudnn="91000")
TOY = Protocol(
    name="toy-v1",
    dataset="digits",
    seeds=(0, 1, 2, 3, 4),
    training=Training(budget_kimg=100),
    evaluation=Evaluating(samples=1000, metrics=("fid",), headline="coverage", extractor="digits-cnn", draws=2),
    description="A toy.",
    resolution=16,
)
TIMED = msgspec.structs.replace(TOY, evaluation=msgspec.structs.replace(TOY.evaluation, target=0.5))


def make(entry: str = "dcgan+hinge", seed: int = 0, level: float = 0.5, **changed) -> TrainingRecord:
    """A record whose coverage is about ``level``; its fid falls as that rises."""
    arch, _, loss = entry.partition("+")
    package, _, arch = arch.rpartition(":")
    facts = judged(seed, level) | {
        "arch": Component(arch, package or "ganbench", "0.1.0", "a1"),
        "loss": Component(loss, "ganbench", "0.1.0", "b1"),
        "d_norm": "batch",
        "parameters": {"G": 99_123, "D": 34_210},
        "recipe": {"lr": 2e-4, "betas": (0.5, 0.999)},
        "recipe_from": {"lr": "protocol", "betas": "protocol"},
        "speed": Speed(train=1000.0 * (seed + 1), sample=20_000.0, peak_memory_mb=400.0, train_cpu=4000.0 + seed),
    }
    if changed.get("status", "ok") != "ok":
        facts |= {"scores": {}, "draws": [], "columns": {}, "bits": Fingerprints(), "self_checks": None}
    return TrainingRecord(**(facts | changed))


def judged(seed: int, level: float) -> dict[str, Any]:
    """What a run's record and a yardstick's have in common."""
    coverage = min(1.0, level + 0.004 * ((seed * 7) % 5 - 2))
    scores = {
        f"fid@{TAG}": 3 - 2 * coverage,
        f"is@{TAG}": 1 + 8 * coverage,
        f"coverage@{TAG}": coverage,
        "modes_covered": 9.0 + seed % 2,
        "hq_fraction": coverage / 2,
    }
    return {
        "format": FORMAT,
        "status": "ok",
        "protocol": TOY.name,
        "digest": TOY.digest,
        "seed": seed,
        "headline": "coverage",
        "scores": scores,
        "draws": [{k: v - 0.001 for k, v in scores.items()}, {k: v + 0.001 for k, v in scores.items()}],
        "columns": COLUMNS,
        "dataset": "digits",
        "dataset_hash": "d1",
        "extractor": TAG,
        "metrics": {"fid": PLUGINS["fid"]},
        "parts": {kind: PLUGINS[kind] for kind in ("dataset", "extractor")},
        "bits": Fingerprints("w0", ("s0", "s1"), "t0"),
        "self_checks": SelfChecks(1000, 1000, {f"fid@{TAG}": 0.1}, {f"fid@{TAG}": 0.0}, 500.0),
        "cost": Cost(100_000, 100.0 / (seed + 1), 3.0, train_cpu_seconds=25.0 + seed),
        "environment": CPU,
        "started": f"2026-01-0{seed + 1}T00:00:00+00:00",
    }


def seeds(entry: str, level: float, n: int = 5, **changed) -> list[TrainingRecord]:
    return [make(entry, seed, level, **changed) for seed in range(n)]


def yardstick(name: str, level: float) -> list[YardstickRecord]:
    return [YardstickRecord(**judged(seed, level), yardstick=name) for seed in range(5)]


def diverged(entry: str, seed: int) -> TrainingRecord:
    return make(entry, seed, status="diverged", reason="d_loss is not finite at iteration 120")


def every_kind() -> list[Record]:
    """Some records of every kind."""
    records = seeds("dcgan+wgan-gp", 0.8) + seeds("dcgan+hinge", 0.75) + seeds("mlp+hinge", 0.4)
    records += [make("dcgan+wgan", seed, 0.9) for seed in range(3)] + [diverged("dcgan+wgan", s) for s in (3, 4)]
    records += seeds("mlp+lsgan", 0.6, n=3) + seeds("mlp+lsgan", 0.95, changes={"lr": "0.001"})
    return records + yardstick("real data", 0.97) + yardstick("noise", 0.01)


def looked(entry: str, level: float, first: dict[int, int], n: int = 5, **changed) -> list[TrainingRecord]:
    """Records with curves of four looks; ``first``: seed -> the look that first has a coverage of .5 or more."""
    records = []
    for seed in range(n):
        scores = [0.6 if seed in first and look >= first[seed] else 0.4 for look in range(4)]
        curve = tuple(Look(10.0 * (i + 1), 99.0, score, 2.0 * (i + 1) + seed) for i, score in enumerate(scores))
        records.append(make(entry, seed, level, **({"curve": curve} | changed)))
    return records


def timed(records: list[TrainingRecord]) -> list[TrainingRecord]:
    return [msgspec.structs.replace(r, digest=TIMED.digest) for r in records]


def timing(entry: str, rate: float, **changed) -> Timing:
    record, where = make(entry), changed.pop("environment", CPU)
    facts = {
        "format": 1, "protocol": TOY.name, "digest": TOY.digest, "arch": record.arch, "loss": record.loss,
        "environment": where, "train": rate, "train_iqr": 10.0, "train_cpu": rate, "sample": 9000.0, "step_ms": 4.0,
        "d_flops": 1e6, "g_flops": 1e6, "peak_flops_per_second": 1e11, "peak_share": 0.12, "peak_memory_mb": 300.0,
        "mode": "eager", "rounds": (), "repeated": 1, "started": "2026-01-09",
    }  # fmt: skip
    return Timing(**(facts | changed))


ALL_THREE = [("dcgan+wgan-gp", 900.0), ("dcgan+hinge", 2100.0), ("mlp+hinge", 5000.0), ("dcgan+wgan", 1200.0)]
