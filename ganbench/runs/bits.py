"""Where two records of a run differ: in their weights, their samples or their scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ganbench.records.record import Best, Record, TrainingRecord


def ended_alike(then: Record, now: Record) -> bool:
    """Whether both ended alike. The reason of a time-out holds seconds, which are never the same."""
    return then.status == now.status and (then.status in ("ok", "timeout") or then.reason == now.reason)


def first_difference(then: Record, now: Record, kimg: Sequence[float] = ()) -> str:
    """Where the two runs first differ in what both records hold; empty if nowhere.

    ``kimg`` are thousands of images at the end of each window of training, if they are known.
    """
    old, new = then.bits.trace.split(), now.bits.trace.split()
    for window, (a, b) in enumerate(zip(old, new, strict=False)):
        if a != b:
            return f"weights or losses differ {_when(window, kimg)}"
    if old and len(old) != len(new) and not then.status == now.status == "timeout":
        return f"one ended after {len(old)} windows of training, the other after {len(new)}"
    if then.bits.weights != now.bits.weights and then.bits.weights:
        return "the final weights differ"
    for draw, (a, b) in enumerate(zip(then.bits.samples, now.bits.samples, strict=False)):
        if a != b:
            so_far = "the weights are the same, but " if then.bits.weights else ""
            return f"{so_far}the samples of evaluation draw {draw} differ"
    if not _same_scores(then, now):
        return "the samples are the same, but their scores differ" if then.bits.samples else "the scores differ"
    return ""


def _when(window: int, kimg: Sequence[float]) -> str:
    if not kimg:
        return f"in window {window + 1} of training"
    since = kimg[window - 1] if window else 0.0
    return f"between {since:g} and {kimg[window]:g} kimg (window {window + 1})"


def _same_scores(then: Record, now: Record) -> bool:
    """Whether all scores that both records have are equal, in every draw, of the final and of the best generator."""
    pairs = [(then.scores, now.scores), *zip(then.draws, now.draws, strict=False)]
    for best, again in zip(_bests(then), _bests(now), strict=False):
        pairs += [(best.scores, again.scores), *zip(best.draws, again.draws, strict=False)]
    return all(old[name] == new[name] for old, new in pairs for name in shared(old, new))


def _bests(record: Record) -> list[Best]:
    return [record.best] if isinstance(record, TrainingRecord) and record.best else []


def shared(then: Mapping[str, float], now: Mapping[str, float]) -> list[str]:
    """The names of scores that both have."""
    return [name for name in then if name in now]
