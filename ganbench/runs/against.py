"""Compares two sets of samples without a protocol."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ganbench import plugins
from ganbench.contracts.data import Dataset, DataSpec, Split, quantise
from ganbench.contracts.samples import Samples
from ganbench.device.determinism import configured
from ganbench.device.untouched import preserved_rng
from ganbench.errors import DataError, PluginError
from ganbench.evaluation.cache import Cache, surroundings
from ganbench.evaluation.judge import Judge, Verdict
from ganbench.evaluation.scale import Span
from ganbench.runs.setup import component_of, pick_device
from ganbench.samples.fitting import fitted

METRICS = ("fid", "kid", "precision-recall", "density-coverage")
"""What two sets are compared by, unless the user names other metrics."""
IMAGES, OTHERS = "inception", "raw"
"""The extractors for uint8 images, and for anything else."""


@dataclass(frozen=True)
class Comparison:
    """The scores of one set against another, and sentences on how both were understood."""

    verdict: Verdict
    assumed: tuple[str, ...]
    found: tuple[str, ...]


def compare_sets(
    fakes: Samples,
    reals: Samples,
    *,
    metrics: Sequence[str] = METRICS,
    extractor: str = "",
    span: Span | None = None,
    seed: int = 0,
    device: str = "auto",
) -> Comparison:
    """Score ``fakes`` against ``reals``, which need not be as many.

    Args:
        fakes: the set to score.
        reals: the set to compare it with.
        metrics: names of the metrics.
        extractor: the network whose features they use; empty: Inception for images, else the samples themselves.
        span: the numbers in both sets that stand for black and white; required for images of floats.
        seed: seeds the metrics' random numbers.
        device: where features are computed.

    Raises:
        DataError: the sets do not fit together, or their scale is unknown.
        GanbenchError: a metric or the extractor cannot be loaded.
    """
    place, real = pick_device(device), _split(reals, span, "the second set")
    bounded = real.x.dtype == torch.uint8 or span is not None
    data = Dataset("the second set", DataSpec(tuple(real.x.shape[1:]), bounded=bounded), train=real, test=real)
    fit = fitted(fakes, data)
    fake = _split(fit, span, "the first set")
    if fake.x.shape[1:] != real.x.shape[1:]:
        one, other = (tuple(split.x.shape[1:]) for split in (fake, real))
        raise DataError(f"the samples have shape {one}, those to compare with {other}", "bring both to one size first")
    if fake.x.dtype != real.x.dtype:
        raise DataError(
            f"the samples are {fake.x.dtype}, those to compare with {real.x.dtype}", "store both in the same type"
        )
    with preserved_rng(place), configured(1):
        judge = _judge(data, metrics, extractor or (IMAGES if real.x.dtype == torch.uint8 else OTHERS), place)
        verdict = judge.score(fake, seed, lasting=True)
    sizes = () if len(fake) == len(real) else (f"{len(fake):,} samples are compared with {len(real):,}",)
    assumed, found = (_of_both(*told) for told in ((fit.assumed, reals.assumed), (fit.found, reals.found)))
    return Comparison(verdict, (*assumed, *sizes), found)


def _of_both(one: Sequence[str], other: Sequence[str]) -> tuple[str, ...]:
    """Sentences on the first and on the second set, which say whose they are."""
    both = [sentence for sentence in one if sentence in other]
    parts = (("both sets", both), ("the first set", one), ("the second set", other))
    return tuple(
        f"{whose}: {sentence}"
        for whose, sentences in parts
        for sentence in sentences
        if whose == "both sets" or sentence not in both
    )


def _split(samples: Samples, span: Span | None, what: str) -> Split:
    """The samples as stored: uint8, float32 from -1 to 1 where a range is given, or points as they are.

    Raises:
        DataError: images hold floats, and no range is given, or numbers are not finite.
    """
    x = samples.x
    if not bool(x.double().isfinite().all() if x.is_floating_point() else True):
        raise DataError(f"{what} holds numbers that are not finite", "look for NaN and overflow")
    if x.dtype == torch.uint8 and span is None:
        return Split(x.contiguous())
    if span is not None:
        low, high = span
        signal = 2 * (x.double() - low) / (high - low) - 1
        if float(signal.abs().max()) > 1.001:
            raise DataError(f"{what} goes beyond the range from {low:g} to {high:g}", "give the range of both sets")
        return Split(quantise(signal, torch.empty(0, dtype=torch.uint8)) if x.ndim >= 4 else signal.float())
    if x.ndim >= 4:
        raise DataError(
            f"{what} holds images of {x.dtype}, whose range is unknown", "pass range=(0, 1) or range=(-1, 1)"
        )
    return Split(x.float())


def _judge(data: Dataset, metrics: Sequence[str], extractor: str, device: torch.device) -> Judge:
    source = plugins.find("extractor", extractor)
    network = plugins.build(source, argument=source.argument)
    built = {name: plugins.build(plugins.find("metric", name)) for name in metrics}
    if wanting := [name for name, metric in built.items() if getattr(metric, "needs", ())]:
        raise PluginError(f"the metric '{wanting[0]}' needs a protocol", "leave it out, or give --protocol")
    kept = Cache(surroundings(device, network.tag, component_of(source)))
    return Judge(data, data.train, built, network, device, kept)
