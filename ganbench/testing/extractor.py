"""Conformance checks of a feature extractor: the network in whose feature space samples are compared."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from types import ModuleType

import torch
from torch import Tensor

from ganbench.contracts.data import DataSpec
from ganbench.contracts.extractor import Extractor
from ganbench.errors import Unsupported
from ganbench.plugins.source import Source
from ganbench.testing.device import MODULES, clashes
from ganbench.testing.findings import Checks, Declined, Finding, Findings, first_in_each, raising
from ganbench.testing.given import made
from ganbench.testing.randomness import replay, rng, seeded

CHECKS: Checks[ExtractorCase] = Checks("extractor")
Given = Extractor | str | Source | ModuleType | Callable[..., Extractor]
EXAMPLES = (
    DataSpec((2,), bounded=False),
    DataSpec((1, 16, 16)),
    DataSpec((3, 32, 32)),
    DataSpec((1, 1024)),
    DataSpec((1, 4096)),
    DataSpec((3, 8, 16, 16)),
    DataSpec((1, 8, 16, 16)),
)
"""The default data."""

SAMPLES = 4
CLOSE = 1e-4


@dataclass(frozen=True)
class ExtractorCase:
    """An extractor under test, the data it is tried on, and how to build it again (None if given ready-made)."""

    extractor: Extractor
    tried: tuple[DataSpec, ...]
    again: Callable[[], Extractor] | None = None

    @cached_property
    def fitting(self) -> list[DataSpec]:
        """The data that the extractor does not decline."""
        found = []
        for data in self.tried:
            try:
                self.look(stored(data))
            except Unsupported:
                continue
            found.append(data)
        return found

    def look(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """Features and logits, as the core computes them."""
        with torch.inference_mode():
            features, logits = self.extractor.eval()(x)
        return features, logits


def _fitting(case: ExtractorCase) -> list[DataSpec]:
    return case.fitting


in_each = first_in_each(_fitting)


def stored(data: DataSpec, n: int = SAMPLES, seed: int = 1) -> Tensor:
    """Noise as a dataset would store it: uint8 if the data are bounded, else float32."""
    x = torch.rand(n, *data.shape, generator=rng(seed))
    return (x * 256).to(torch.uint8) if data.bounded else 2 * x - 1


def extractor_findings(extractor: Given, data: DataSpec | None = None, skip: Collection[str] = ()) -> Findings:
    """List everything wrong with an extractor, without raising.

    Args:
        extractor: an extractor; or an installed one's name, the module with the hook, or the hook.
        data: the data that it supports; by default, ``EXAMPLES``, of which it may decline all but one.
        skip: names of checks that do not apply.

    Raises:
        ValueError: ``skip`` names a check that does not exist.
        PluginError: no extractor is installed under that name, or it cannot be used.
        DataError: its weights cannot be loaded.
        TypeError: a class was given.
    """
    subject = made("extractor", extractor)
    case = ExtractorCase(subject.it, EXAMPLES if data is None else (data,), subject.builder)
    return Findings(subject.title, CHECKS.run(case, skip, subject.turned))


check_extractor = raising(extractor_findings)
"""Raise one ``ConformanceError`` with everything wrong. The arguments are those of ``extractor_findings``."""


# -- the contract ------------------------------------------------------------------------------------------------------


@CHECKS.add_vital
def extractor_is_named_and_versioned(case: ExtractorCase) -> Iterator[Finding]:
    """Scores are comparable only under identical weights.

    So the name of every score contains the name, version and weights hash of its extractor.
    """
    it = case.extractor
    if not isinstance(it, Extractor):
        yield Finding(f"a {type(it).__name__}", "a ganbench.Extractor", "derive the class from ganbench.Extractor")
        return
    for attribute in ("name", "version"):
        value = getattr(it, attribute, None)
        if not isinstance(value, str) or not value or set(value) & set(" @:/"):
            yield Finding(
                f"{attribute} = {value!r}",
                "a short string without spaces, @, : or /",
                f'{attribute} = "..." in the class',
            )
    if not isinstance(it.gate, (int, float)) or not 0 <= it.gate < 1:
        yield Finding(
            f"gate = {it.gate!r}", "a probability below 1", "set it to the lowest confidence at which a sample counts"
        )


@CHECKS.add_vital
def extractor_reads_some_data(case: ExtractorCase) -> Iterator[Finding]:
    """Samples are passed as stored: images as uint8 from 0 to 255, points as float32.

    An extractor must decline other samples by raising Unsupported with a reason.
    """
    if not case.fitting:
        yield Declined(
            seen=f"Unsupported for {', '.join(map(str, case.tried))}",
            expected="features for at least one of them",
            mend="name data that it supports, as in check_extractor(it, data=DataSpec(...))",
        )


@CHECKS.add_vital
def features_and_logits_have_the_shapes_of_the_contract(case: ExtractorCase) -> Iterator[Finding]:
    """Features must be finite, with one row per sample: ``[B, d]``.

    A classifier also returns logits ``[B, K]``, or ``[B, G, K]`` for G independent groups. Distances are taken between
    rows, and classes are on the last axis.
    """
    for data in case.fitting:
        for n in (SAMPLES, 1):
            features, logits = case.look(stored(data, n))
            if features.dim() != 2 or len(features) != n or not features.is_floating_point():
                yield Finding(
                    seen=f"features of shape {tuple(features.shape)} in {features.dtype} for {n} samples",
                    expected=f"shape ({n}, d) in floating point",
                    mend="use features.flatten(1), and no squeeze() without a dimension",
                    where=str(data),
                )
            elif not features.isfinite().all():
                yield Finding("features that are not finite", "finite numbers", "check the weights", where=str(data))
            if logits is not None and (logits.dim() not in (2, 3) or len(logits) != n or not logits.isfinite().all()):
                yield Finding(
                    seen=f"logits of shape {tuple(logits.shape)} for {n} samples",
                    expected=f"finite logits of shape ({n}, K) or ({n}, G, K), or None without a classifier",
                    mend="return the logits of the last layer",
                    where=str(data),
                )


@CHECKS.add
@in_each
def confusion_belongs_to_the_classifier(case: ExtractorCase, data: DataSpec) -> Iterator[Finding]:
    """Mode coverage corrects for the classifier's mistakes by its confusion matrix.

    The rows are true classes and the columns assigned ones, counted on samples that the classifier never saw.
    """
    confusion = case.extractor.confusion
    if confusion is None:
        return
    logits = case.look(stored(data))[1]
    classes = None if logits is None else logits.shape[-1]
    if classes is None or tuple(confusion.shape) != (classes, classes) or not _is_count(confusion):
        yield Finding(
            seen=f"a confusion matrix of shape {tuple(confusion.shape)} for a classifier of {classes or 'no'} classes",
            expected="None without a classifier, otherwise counts [K, K] without an empty row",
            mend="count its answers on held-out samples of each class",
        )


@CHECKS.add
@in_each
def class_names_belong_to_the_logits(case: ExtractorCase, data: DataSpec) -> Iterator[Finding]:
    """The classes of a classifier are matched with the data's by name.

    There must be one name for each logit, all different, or none.
    """
    names = case.extractor.class_names
    if not names:
        return
    logits = case.look(stored(data))[1]
    classes = 0 if logits is None else logits.shape[-1]
    if len(names) != classes or len({*names}) != classes:
        yield Finding(
            seen=f"{len(names)} class names, {len({*names})} of them different, for {classes} classes",
            expected="a different name for each logit, or no names",
            mend="name classes in the order of the logits",
        )


def _is_count(confusion: Tensor) -> bool:
    return bool((confusion >= 0).all() and (confusion.sum(1) > 0).all())


# -- repeatable --------------------------------------------------------------------------------------------------------


@CHECKS.add
def a_sample_is_read_by_itself(case: ExtractorCase) -> Iterator[Finding]:
    """A sample's features must not depend on the rest of its batch.

    Real and fake samples come in separate batches, so any influence between samples would distort the scores.
    """
    for data in case.fitting:
        x = stored(data)
        whole, parts = case.look(x)[0], torch.cat([case.look(part)[0] for part in x.split(SAMPLES // 2)])
        gap = float((whole - parts).abs().max())
        if gap > CLOSE * max(1.0, float(whole.abs().max())):
            yield Finding(
                seen=f"features of one sample differ by {gap:.2g} between batches of {SAMPLES} and of {SAMPLES // 2}",
                expected="the same features",
                mend="use eval mode and no batch statistics: normalise by constants",
                where=str(data),
            )


@CHECKS.add
@in_each
def features_follow_from_the_samples(case: ExtractorCase, data: DataSpec) -> Iterator[Finding]:
    """The same samples must have the same features in any process, and different samples different ones.

    An extractor must draw no random numbers, and change neither the samples nor itself.
    """
    x, other = stored(data), stored(data, seed=2)
    kept, state = x.clone(), {name: value.clone() for name, value in case.extractor.state_dict().items()}
    first, second = (replay(lambda: case.look(x)[0], seed) for seed in (1, 2))
    seen = ""
    if second.drew:
        seen = f"it drew from (or seeded) {second.drew}"
    elif not torch.equal(first.value, second.value):
        seen = "different features the second time"
    elif not torch.equal(x, kept):
        seen = "it changed the samples"
    elif any(not torch.equal(value, state[name]) for name, value in case.extractor.state_dict().items()):
        seen = "it changed its own buffers"
    elif torch.equal(first.value, case.look(other)[0]):
        seen = "the same features for different samples"
    if seen:
        yield Finding(
            seen=seen,
            expected="features that depend on samples and weights alone",
            mend="use no dropout, no noise and no in-place operation, and keep .train() out of forward",
        )


@CHECKS.add
def weights_are_all_in_the_hash(case: ExtractorCase) -> Iterator[Finding]:
    """weights_hash is computed from the state_dict.

    A tensor in a plain attribute would change features without changing the hash. Two builds must give the same hash.
    """
    for name, module in case.extractor.named_modules():
        loose = [key for key, value in vars(module).items() if isinstance(value, Tensor) and key != "confusion"]
        if loose:
            where = ".".join(filter(None, [name, loose[0]]))
            yield Finding(
                f"{where} is a tensor outside the state_dict", "a parameter or a buffer", "use register_buffer"
            )
    if case.again is not None:
        with seeded(1):
            one = case.again().weights_hash
        with seeded(2):
            other = case.again().weights_hash
        if one != other or one != case.extractor.weights_hash:
            yield Finding(
                f"weights_hash {one}, and {other} when built again",
                "the same weights each time",
                "load them from a file, or draw them with a generator of a fixed seed",
            )


@CHECKS.add
def a_diverged_sample_is_seen(case: ExtractorCase) -> Iterator[Finding]:
    """A NaN in a sample must give a NaN in its features, which the core reports. If replaced, it becomes a score."""
    for data in case.fitting:
        x = stored(data)
        if x.is_floating_point():
            x[0] = math.nan
            if case.look(x)[0][0].isfinite().all():
                yield Finding("finite features for NaN", "NaN", "remove nan_to_num and clamps", where=str(data))


@CHECKS.add
@in_each
def extractor_follows_its_samples_to_another_device(case: ExtractorCase, data: DataSpec) -> Iterator[Finding]:
    """A run on a GPU moves the extractor there with ``.to(device)``.

    This moves only parameters and buffers. (torch's "meta" device stands in for a GPU here.)
    """
    if case.again is None:
        return
    with seeded(0):
        there = case.again().to("meta")
    yield from clashes(
        lambda: replace(case, extractor=there).look(stored(data).to("meta")),
        what="everything",
        expected="an extractor that .to(device) moves completely",
        mend=MODULES,
    )
