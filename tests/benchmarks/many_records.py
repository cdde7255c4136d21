"""Runs that were never trained, as files like real ones: sealed records, to see how large a table may grow."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean

import msgspec

from ganbench.contracts.protocol import Protocol
from ganbench.contracts.protocol_file import to_toml
from ganbench.plugins.protocols import load_protocol
from ganbench.records.record import Column, TrainingRecord
from ganbench.records.store import read, write

PUBLISHED = Path(__file__).parents[2] / "leaderboards" / "digits-16-v1" / "records"
ARCHS = 20


def protocol_of(seeds: int) -> Protocol:
    """``digits-16-v1`` with this many seeds, under its own name."""
    return msgspec.structs.replace(load_protocol("digits-16-v1"), name=f"table-{seeds}-v1", seeds=tuple(range(seeds)))


def many_records(entries: int, protocol: Protocol) -> Iterator[TrainingRecord]:
    """A record for every entry and seed: a published one whose scores differ between entries, seeds and draws."""
    real, rng = read(PUBLISHED / "dcgan+wgan-gp+seed0.json"), random.Random(0)
    assert isinstance(real, TrainingRecord)
    for entry in range(entries):
        quality = rng.lognormvariate(0, 0.5)
        for seed in protocol.seeds:
            level = quality * rng.lognormvariate(0, 0.1)
            draws = [
                {n: within(real.columns[n], v * level * rng.lognormvariate(0, 0.01)) for n, v in draw.items()}
                for draw in real.draws
            ]
            yield msgspec.structs.replace(
                real,
                protocol=protocol.name,
                digest=protocol.digest,
                seed=seed,
                arch=msgspec.structs.replace(real.arch, name=f"arch-{entry % ARCHS}"),
                loss=msgspec.structs.replace(real.loss, name=f"loss-{entry // ARCHS}"),
                draws=draws,
                scores={name: fmean(draw[name] for draw in draws) for name in real.scores},
            )


def within(column: Column, value: float) -> float:
    """The value, as far as the range of its column goes."""
    low, high = (-math.inf if column.low is None else column.low), (math.inf if column.high is None else column.high)
    return min(max(value, low), high)


def write_runs(entries: int, seeds: int, out: Path) -> Path:
    """``out/<protocol>/<entry>/seed<n>/record.json`` as ``ganbench run --out`` writes them, and the protocol's TOML
    file, which is returned."""
    protocol = protocol_of(seeds)
    for record in many_records(entries, protocol):
        write(record, out / protocol.name / record.entry / f"seed{record.seed}" / "record.json")
    rules = out / f"{protocol.name}.toml"
    rules.write_text(to_toml(protocol), encoding="utf-8")
    return rules
