"""Conformance checks of a dataset: whether its statements about its samples are true."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from types import ModuleType

import torch
from torch import Tensor

from ganbench.contracts.data import Dataset, Split, to_signal
from ganbench.plugins.source import Source
from ganbench.testing.findings import Checks, Finding, Findings, raising
from ganbench.testing.given import Builder, Made
from ganbench.testing.randomness import replay, rng

MOST_TWINS = 0.5
CHECKS: Checks[DataCase] = Checks("dataset")
Given = Dataset | str | Source | ModuleType | Callable[..., Dataset]
SIGMAS = 6.0
APART = 3.0  # in units of the root mean square distance of samples from their mode's centre
LOOKED_AT = 300


@dataclass(frozen=True)
class DataCase:
    """A dataset under test; ``again`` builds it again, or is None if it was given ready-made."""

    data: Dataset
    again: Callable[[], Dataset] | None

    @property
    def splits(self) -> dict[str, Split]:
        """Both splits, by name."""
        return {"train": self.data.train, "test": self.data.test}


def dataset_findings(dataset: Given, skip: Collection[str] = ()) -> Findings:
    """List everything wrong with a dataset, without raising anything but what building it raises.

    Args:
        dataset: what ``ganbench_dataset`` returns, or preferably a function that returns it, so that it can be built
            twice (``lambda: ganbench_dataset(resolution=32)``); or an installed dataset's name (``"folder:PATH"``),
            the module with the hook, or the hook.
        skip: names of checks that do not apply.

    Raises:
        ValueError: ``skip`` names a check that does not exist.
        PluginError: no dataset is installed under that name, or it cannot be used.
    """
    CHECKS.refuse_unknown(skip)
    if isinstance(dataset, Dataset):
        subject = Made(f"the dataset {dataset.name}", dataset)
    else:
        subject = Builder("dataset", dataset).made()
    return Findings(subject.title, CHECKS.run(DataCase(subject.it, subject.builder), skip, subject.turned))


check_dataset = raising(dataset_findings)
"""Raise one ``ConformanceError`` with everything wrong. The arguments are those of ``dataset_findings``."""


# -- the contract ------------------------------------------------------------------------------------------------------


@CHECKS.add_vital
def samples_are_as_specified(case: DataCase) -> Iterator[Finding]:
    """Architectures are built for spec.shape, and end in tanh if spec.bounded is true.

    Samples are stored as uint8 (0..255 standing for [-1, 1]) or as float32.
    """
    spec = case.data.spec
    for name, split in case.splits.items():
        x = split.x
        if len(x) < 2 or tuple(x.shape[1:]) != spec.shape:
            yield Finding(
                f"{name}.x has shape {tuple(x.shape)}", f"(N, {spec.shape}), N at least 2", "correct spec.shape"
            )
        elif x.device.type != "cpu":
            yield Finding(f"{name}.x is on {x.device}", "the CPU", "leave the choice of device to the core")
        elif x.dtype not in (torch.uint8, torch.float32):
            yield Finding(f"{name}.x is {x.dtype}", "uint8 or float32", "convert it when loading")
        elif x.dtype == torch.uint8 and not spec.bounded:
            yield Finding(f"{name}.x is uint8, spec.bounded False", "bounded data", "set bounded=True")
        elif not x.isfinite().all():
            yield Finding(f"{name}.x is not finite", "finite numbers", "leave such samples out, or raise DataError")
    if case.data.train.x.dtype != case.data.test.x.dtype:
        yield Finding("train.x and test.x have different dtypes", "one dtype", "store both as the same type")


@CHECKS.add
def samples_fill_their_range(case: DataCase) -> Iterator[Finding]:
    """Bounded data must lie in [-1, 1] as a model sees them.

    With images left in [0, 1], a model learns to use half the range. With images divided by 255 before they became
    uint8, it learns to paint black.
    """
    x = case.data.train.x
    low, high = float(x.min()), float(x.max())
    if low == high:
        yield Finding(f"every value in train.x is {low:g}", "samples that differ", "check how samples are loaded")
    elif x.dtype == torch.uint8 and high <= 1:
        yield Finding(f"uint8 samples from {low:g} to {high:g}", "0..255", "scale before converting to uint8")
    elif case.data.spec.bounded and x.dtype == torch.float32 and (low < -1 or high > 1):
        yield Finding(f"samples from {low:.3g} to {high:.3g}", "[-1, 1], or bounded=False", "scale them")
    elif case.data.spec.bounded and x.dtype == torch.float32 and low >= 0:
        yield Finding(f"samples from {low:.3g} to {high:.3g}", "[-1, 1], both signs in use", "scale them: 2 * x - 1")


@CHECKS.add
def labels_are_in_range(case: DataCase) -> Iterator[Finding]:
    """Labels index embeddings and modes, so they must be int64, one per sample, from 0 to classes - 1."""
    classes = case.data.spec.classes
    for name, split in case.splits.items():
        labels = split.labels
        if labels is None:
            if classes:
                yield Finding(f"{name} has no labels", f"labels of {classes} classes", "add them, or set classes=0")
            continue
        low, high = int(labels.min()), int(labels.max())
        if labels.dtype != torch.int64 or tuple(labels.shape) != (len(split),) or low < 0 or high >= classes:
            yield Finding(
                seen=f"{name}.labels: {labels.dtype}, shape {tuple(labels.shape)}, from {low} to {high}",
                expected=f"int64, shape {(len(split),)}, from 0 to {classes - 1}",
                mend="number classes from 0, and state in the spec how many there are",
            )


@CHECKS.add
def class_names_are_one_for_each_class(case: DataCase) -> Iterator[Finding]:
    """Classes are matched with those of a classifier by name, and records store the names.

    There must be as many names as classes, all different, or none.
    """
    names, classes = case.data.class_names, case.data.spec.classes
    if names and (len(names) != classes or len({*names}) != classes or not all(isinstance(n, str) for n in names)):
        yield Finding(
            seen=f"{len(names)} class names, {len({*names})} of them different, for {classes} classes",
            expected="a different name for each class, or no names",
            mend="name classes in the order of their labels",
        )


@CHECKS.add
def sources_are_samples(case: DataCase) -> Iterator[Finding]:
    """The sources of a translator must be stored like samples: uint8, or finite float32."""
    for name, split in case.splits.items():
        source = split.source
        if source is not None and (source.dtype not in (torch.uint8, torch.float32) or not source.isfinite().all()):
            yield Finding(f"{name}.source is {source.dtype}", "uint8 or finite float32", "convert it when loading")


@CHECKS.add
def building_twice_gives_the_same_data(case: DataCase) -> Iterator[Finding]:
    """Every run of a protocol must see the same data, whose fingerprint every record holds.

    Random numbers for the data must come from the dataset's own generator, with its own seed.
    """
    if case.again is None:
        return
    for seed in (1, 2):
        built = replay(case.again, seed)
        if built.drew:
            yield Finding(
                f"it drew from (or seeded) {built.drew}",
                "random numbers from its own generator",
                "rng = torch.Generator().manual_seed(0), and generator=rng",
            )
            return
        if built.value.fingerprint != case.data.fingerprint:
            yield Finding(
                f"fingerprints {case.data.fingerprint} and {built.value.fingerprint}",
                "the same data each time",
                "sort files by name, and seed every draw",
            )
            return


# -- what is known about the modes -------------------------------------------------------------------------------------


@CHECKS.add
def modes_are_as_the_oracle_says(case: DataCase) -> Iterator[Finding]:
    """Mode coverage is measured with the oracle.

    If two of its modes coincide (a ring of linspace(0, 2 pi, 8) ends where it starts, and has only seven), or their
    shares are wrong, even a perfect generator scores badly.
    """
    oracle, train = case.data.oracle, case.data.train
    if oracle is None:
        return
    share = oracle.probabilities.double()
    modes = len(share)
    if not math.isclose(float(share.sum()), 1, abs_tol=1e-6) or not (share > 0).all():
        yield Finding(
            f"probabilities sum to {float(share.sum()):.6g}, the smallest is {float(share.min()):.3g}",
            "positive shares that sum to 1",
            "leave out modes without samples",
        )
        return
    found = oracle.assign(train.x) if oracle.assign is not None else train.labels
    if found is None:
        yield Finding("an oracle without assign, and no labels", "one or the other", "give the samples labels")
        return
    if int(found.min()) < -1 or int(found.max()) >= modes:
        yield Finding(f"modes from {int(found.min())} to {int(found.max())}", f"-1 to {modes - 1}", "check assign")
        return
    counts = torch.bincount(found[found >= 0], minlength=modes).double()
    excess = _chi_squared(counts, share * counts.sum())
    if excess > SIGMAS:
        worst = int(((counts - share * counts.sum()).abs() / (share * counts.sum()).sqrt()).argmax())
        yield Finding(
            seen=f"mode {worst} holds {counts[worst] / counts.sum():.2%} of the training samples; "
            f"{int((counts == 0).sum())} of {modes} modes hold none",
            expected=f"{share[worst]:.2%}, as the oracle says",
            mend="check the centres (endpoint=False) and the probabilities",
        )
    if oracle.assign is not None:
        yield from _ceiling(float((found >= 0).double().mean()), oracle.ceiling, len(found))
        yield from _distinct(train.x[found >= 0], found[found >= 0], modes)


def _distinct(x: Tensor, mode: Tensor, modes: int) -> Iterator[Finding]:
    """Findings if two modes coincide.

    Counts cannot show this, because rounding divides the samples between the two.
    """
    x = to_signal(x).flatten(1).double()
    count = torch.bincount(mode, minlength=modes).clamp(min=1).double()[:, None]
    centre = torch.zeros(modes, x.shape[1], dtype=torch.float64).index_add(0, mode, x) / count
    spread = (x - centre[mode]).square().sum(dim=1).mean().sqrt()
    apart = torch.cdist(centre, centre).fill_diagonal_(math.inf)
    nearest = float(apart.min())
    if nearest < APART * spread:
        one, other = divmod(int(apart.argmin()), modes)
        yield Finding(
            seen=f"modes {one} and {other} have centres {nearest:.3g} apart, and samples have a spread of {spread:.3g}",
            expected="modes that can be told apart",
            mend="check the centres: linspace(0, 2 pi, n) ends where it starts",
        )


def _ceiling(good: float, ceiling: float, n: int) -> Iterator[Finding]:
    """The share of real samples of high quality must be the oracle's ceiling for a perfect sampler."""
    if abs(good - ceiling) > SIGMAS * math.sqrt(max(ceiling * (1 - ceiling), 1 / n) / n):
        yield Finding(
            seen=f"{good:.3%} of the training samples are of high quality",
            expected=f"{ceiling:.3%}, the oracle's ceiling",
            mend="compute the ceiling from the distribution, or correct assign",
        )


# -- train against test ------------------------------------------------------------------------------------------------


@CHECKS.add
def train_and_test_hold_the_same_classes(case: DataCase) -> Iterator[Finding]:
    """A split by file order holds out whatever comes last.

    Splits must be drawn by a seeded permutation, class by class.
    """
    train, test, classes = case.data.train.labels, case.data.test.labels, case.data.spec.classes
    if train is None or test is None or classes < 2:
        return
    one, other = (torch.bincount(labels, minlength=classes).double() for labels in (train, test))
    pooled = (one + other) / (one + other).sum()
    seen = pooled > 0
    excess = _chi_squared(
        torch.cat([one[seen], other[seen]]),
        torch.cat([(pooled * one.sum())[seen], (pooled * other.sum())[seen]]),
        freedom=int(seen.sum()) - 1,
    )
    if excess > SIGMAS:
        gap = (one / one.sum() - other / other.sum()).abs().max()
        yield Finding(
            seen=f"class shares of train and test differ by up to {gap:.1%}",
            expected="the same shares, up to chance",
            mend="use ganbench.stratified_split",
        )


@CHECKS.add
def train_and_test_share_no_samples(case: DataCase) -> Iterator[Finding]:
    """A model that only memorises its training samples must not be evaluated on the same ones.

    Many data sets contain a few duplicates, but if most held-out samples are also training samples, nothing was held
    out.
    """
    known = {sample.tobytes() for sample in case.data.train.x.numpy()}
    held_out = [sample.tobytes() for sample in case.data.test.x.numpy()]
    share = sum(sample in known for sample in held_out) / max(1, len(held_out))
    if share > MOST_TWINS:
        yield Finding(
            seen=f"{share:.0%} of the test samples are also training samples",
            expected="splits that share no sample",
            mend="split before you copy, augment or draw; use ganbench.stratified_split",
        )


@CHECKS.add
def train_and_test_took_the_same_road(case: DataCase) -> Iterator[Finding]:
    """Fakes imitate the training samples but are compared with other real samples, often held-out ones.

    If the two splits were resized, filtered or rounded differently, the generator's scores suffer for it.
    """
    if len(case.data.spec.shape) < 2:
        return
    one, other = (_roughness(split.x) for split in case.splits.values())
    error = math.sqrt(float(one.var() / len(one) + other.var() / len(other)))
    gap = abs(float(one.mean() - other.mean()))
    if min(len(one), len(other)) > 10 and gap > SIGMAS * error:
        yield Finding(
            seen=f"neighbouring values differ by {one.mean():.4g} in train and by {other.mean():.4g} in test",
            expected="the same smoothness, up to chance",
            mend="load and resize all samples with one function, and split afterwards",
        )


def _roughness(x: Tensor) -> Tensor:
    """``[n]``: how much neighbours along the last axis differ, relative to a sample's contrast, for up to 300 samples.

    It squares differences, because the mean of absolute differences is the same for a ramp and a step.
    """
    some = torch.randperm(len(x), generator=rng())[:LOOKED_AT]
    signal = to_signal(x[some]).double()
    contrast = signal.flatten(1).std(dim=1) + 1e-6
    return signal.diff(dim=-1).square().flatten(1).mean(dim=1).sqrt() / contrast


def _chi_squared(counts: Tensor, expected: Tensor, freedom: int | None = None) -> float:
    """The number of standard deviations by which chi squared exceeds its mean."""
    freedom = max(1, len(counts) - 1 if freedom is None else freedom)
    return (float(((counts - expected).square() / expected).sum()) - freedom) / math.sqrt(2 * freedom)
