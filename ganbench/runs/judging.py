"""The end of a run: judge its final generator on independent latents, and the best during training on the same ones."""

from __future__ import annotations

import hashlib
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from ganbench.contracts.arch import GAN
from ganbench.evaluation.best import BestSoFar
from ganbench.evaluation.judge import Verdict
from ganbench.evaluation.sampling import sample
from ganbench.records.record import Best, SelfChecks
from ganbench.runs.setup import Bench


@dataclass(frozen=True)
class Judgement:
    """What a judge found: per draw a verdict and a hash of the samples; generated images per second; self-checks."""

    verdicts: tuple[Verdict, ...] = ()
    samples: tuple[str, ...] = ()
    rate: float = 0.0
    checks: SelfChecks | None = None
    best: Best | None = None

    def fields(self) -> dict[str, Any]:
        """The scores as fields of a record: means over draws, draws, what the columns mean, and which are absent."""
        if not self.verdicts:
            return {"scores": {}}
        draws = [verdict.scores for verdict in self.verdicts]
        scores = means(draws)
        meanings = {name: column for name, column in self.verdicts[0].columns.items() if name in scores}
        return {"scores": scores, "draws": draws, "columns": meanings, "absent": self._absent()}

    @property
    def doubts(self) -> tuple[str, ...]:
        """The sentences of all draws, without duplicates."""
        return tuple(dict.fromkeys(doubt for verdict in self.verdicts for doubt in verdict.doubts))

    def _absent(self) -> dict[str, str]:
        found: dict[str, list[str]] = {}
        for verdict in self.verdicts:
            for column, reason in verdict.absent.items():
                found.setdefault(column, []).append(reason)
        total = len(self.verdicts)
        return {
            column: reasons[0] if len(reasons) == total else f"{reasons[0]} (in {len(reasons)} of {total} draws)"
            for column, reasons in found.items()
        }


def judge(bench: Bench, averaged: GAN, best: BestSoFar, kimg: float, seed_of: Callable[[str], int]) -> Judgement:
    """Judge a trained generator.

    Args:
        bench: the protocol's data and judges.
        averaged: the generator at the end.
        best: the best generator during training.
        kimg: thousands of images that training showed to D.
        seed_of: stream -> seed of this run.
    """
    seeds = [seed_of(f"evaluation-{draw}") for draw in range(bench.protocol.evaluation.draws)]
    verdicts, samples, rates, checks = [], [], [], None
    for seed in seeds:
        start = time.perf_counter()
        fakes = sample(averaged, bench.judge.reference, seed, bench.device)
        rates.append(len(fakes) / (time.perf_counter() - start))
        verdicts.append(bench.judge.score(fakes, seed, generator=averaged))
        samples.append(hash_of_samples(fakes.x))
        checks = checks or bench.self_check(fakes)
    chosen = _judge_best(bench, averaged, best, kimg, seeds, verdicts)
    return Judgement(tuple(verdicts), tuple(samples), statistics.median(rates), checks, chosen)


def _judge_best(
    bench: Bench, averaged: GAN, best: BestSoFar, kimg: float, seeds: Sequence[int], final: Sequence[Verdict]
) -> Best | None:
    """Judge the best generator during training on the latents of the final one, by the headline's metric."""
    chosen = best.best
    if chosen is None:
        return None
    wanted = list(bench.selector.metrics)
    if chosen.kimg == kimg:
        names = [name for name, metric in final[0].metric_of.items() if metric in wanted]
        draws = [{name: verdict.scores[name] for name in names if name in verdict.scores} for verdict in final]
    else:
        generator, draws = best.generator(averaged), []
        for seed in seeds:
            fakes = sample(generator, bench.judge.reference, seed, bench.device)
            draws.append(bench.judge.score(fakes, seed, generator=generator, only=wanted).scores)
    scores = means(draws)
    return Best(chosen.kimg, scores, draws) if scores else None


def means(draws: Sequence[dict[str, float]]) -> dict[str, float]:
    """Column -> mean over draws, of the columns that every draw has."""
    return {
        name: statistics.fmean(draw[name] for draw in draws) for name in draws[0] if all(name in draw for draw in draws)
    }


def hash_of_samples(x: Tensor) -> str:
    """sha256 of stored samples, 16 hex digits."""
    return hashlib.sha256(x.contiguous().numpy().tobytes()).hexdigest()[:16]
