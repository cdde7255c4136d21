"""Two things timed in turn, round by round, in one process: the ratio of a pair of rounds cancels what else the machine
is doing."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

Step = Callable[[], Any]


def timed(step: Step, repeat: int) -> float:
    """Mean seconds of one of ``repeat`` calls."""
    began = time.perf_counter()
    for _ in range(repeat):
        step()
    return (time.perf_counter() - began) / repeat


def versus(benchmark: Any, ours: Step, theirs: Step, title: str, *, rounds: int = 9, seconds: float = 0.5) -> float:
    """The median over rounds of their time over ours; it is printed and stands, with all rounds, in ``extra_info``.

    ``seconds``: about what one of ours takes in a round.
    """
    timed(theirs, 1)
    repeat = max(1, round(seconds / timed(ours, 2)))
    other: list[float] = []
    benchmark.pedantic(lambda: timed(ours, repeat), setup=lambda: other.append(timed(theirs, repeat)), rounds=rounds)
    own = [whole / repeat for whole in benchmark.stats.stats.data]
    ratios = [their / our for our, their in zip(own, other, strict=True)]
    ratio, quartiles = statistics.median(ratios), statistics.quantiles(ratios, n=4)
    benchmark.extra_info |= {
        "theirs_ms": round(1000 * statistics.median(other), 4),
        "ours_ms": round(1000 * statistics.median(own), 4),
        "ratio": round(ratio, 3),
        "ratio_iqr": [round(quartiles[0], 3), round(quartiles[2], 3)],
        "ratios": [round(value, 3) for value in ratios],
    }
    facts = benchmark.extra_info
    print(f"\n{title}: {facts['theirs_ms']} ms against our {facts['ours_ms']} ms, ratio {facts['ratio']}")
    return ratio
