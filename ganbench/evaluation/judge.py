"""Trained generator -> samples -> features (once) -> metrics."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property, partial

import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

from ganbench.contracts.arch import GAN
from ganbench.contracts.classes import class_places
from ganbench.contracts.data import Dataset, Split, to_signal
from ganbench.contracts.evaluation import Evaluation
from ganbench.contracts.extractor import Extractor, extract
from ganbench.contracts.features import FeatureStore
from ganbench.contracts.memo import Memo
from ganbench.contracts.metric import Absent, Metric
from ganbench.contracts.score_name import ScoreName
from ganbench.errors import PluginError, Unsupported, blaming, meant
from ganbench.evaluation.sampling import sample
from ganbench.records.record import Column

FEW = 2000
"""The number of samples per set of fakes whose features a judge keeps: enough to detect mode collapse."""


@dataclass(frozen=True)
class Verdict:
    """The scores of one evaluation, under their full names.

    Attributes:
        scores: title -> score.
        columns: title -> the meaning of the column.
        metric_of: title -> the metric that the score comes from.
        absent: short name of a column without a score -> the reason.
        doubts: sentences on why scores may mislead.
    """

    scores: dict[str, float] = field(default_factory=dict)
    columns: dict[str, Column] = field(default_factory=dict)
    metric_of: dict[str, str] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    doubts: list[str] = field(default_factory=list)


class Judge:
    """Scores samples under one protocol; real samples and their features are prepared once.

    Args:
        dataset: the protocol's data.
        reference: the real samples that fakes are compared with, as many as the protocol's ``samples``.
        metrics: name -> metric.
        extractor: the network whose feature space metrics use, or None.
        device: where features are computed.
        kept: known results for real samples, shared by judges with the same extractor on the same device.
    """

    def __init__(
        self,
        dataset: Dataset,
        reference: Split,
        metrics: Mapping[str, Metric],
        extractor: Extractor | None,
        device: torch.device,
        kept: Memo | None = None,
    ) -> None:
        self.dataset, self.reference, self.metrics, self.device = dataset, reference, metrics, device
        self.extractor = extractor.to(device).eval() if extractor is not None else None
        self.kept = kept or Memo()
        self._signals = WeakTensorKeyDictionary()  # fakes -> the features of the first few
        self._classes = WeakTensorKeyDictionary()  # fakes -> the class that the extractor gives each

    @cached_property
    def tag(self) -> str:
        """The extractor's tag, or an empty string without one; computing it hashes all weights."""
        return self.extractor.tag if self.extractor is not None else ""

    def score(
        self,
        fake: Split,
        seed: int,
        *,
        real: Split | None = None,
        generator: GAN | None = None,
        remake: Callable[[Split], Split] | None = None,
        only: Sequence[str] | None = None,
        lasting: bool = False,
    ) -> Verdict:
        """Score fakes against the reference.

        Args:
            fake: as stored.
            seed: seeds the metrics' random numbers, and the latents of samples that are made again.
            real: real samples to compare the fakes with instead of the reference.
            generator: the averaged GAN that made them, in eval mode.
            remake: makes fakes in the same way for other conditions; by default, uses ``generator``.
            only: names of the metrics to use; by default, all.
            lasting: whether these fakes may be scored again, so that their features are kept on disk.

        Raises:
            PluginError: a metric fails, returns columns that it does not declare, or a value that is not finite.
        """
        asked = {name: metric for name, metric in self.metrics.items() if only is None or name in only}
        if generator is not None:
            remake = partial(sample, generator, seed=seed, device=self.device)
        of = real or self.reference
        store = FeatureStore(
            of.x, fake.x, self.extractor, self.device, self.kept, sole=len(asked) == 1, lasting=lasting
        )
        whole = self._evaluation(fake, of, generator, remake, store)
        verdict, doubts = Verdict(), list[str]()
        for name, metric in asked.items():
            evaluation = whole.for_metric(_stream_of(seed, name))
            values = self._apply(name, metric, evaluation)
            columns = _columns(name, metric, evaluation)
            self._note(verdict, name, columns, values, evaluation.named_after)
            doubts += evaluation.doubts
        if (features := whole.store.known) is not None:
            self._signals[fake.x] = features.fake[:FEW].clone()
            if features.fake_logits is not None and features.fake_logits.ndim == 2:
                self._classes[fake.x] = features.fake_logits.argmax(1)
        verdict.doubts.extend(dict.fromkeys(doubts))
        return verdict

    def _evaluation(
        self,
        fake: Split,
        real: Split,
        generator: GAN | None,
        remake: Callable[[Split], Split] | None,
        store: FeatureStore,
    ) -> Evaluation:
        return Evaluation(
            real=real.x,
            fake=fake.x,
            spec=self.dataset.spec,
            rng=torch.Generator(),
            real_labels=real.labels,
            fake_labels=fake.labels,
            oracle=self.dataset.oracle,
            extractor=self.extractor,
            generator=generator,
            device=self.device,
            real_source=_for_each(real),
            fake_source=fake.source,
            paired=real.paired and fake.paired,
            dataset=self.dataset,
            remake=remake,
            shared=store,
        )

    def _note(
        self,
        verdict: Verdict,
        name: str,
        columns: Mapping[str, Column],
        values: Mapping[str, float | Absent],
        named_after: Extractor | None,
    ) -> None:
        """Add a metric's columns to the verdict, under the name of the extractor whose features it used."""
        for column, value in values.items():
            if isinstance(value, Absent):
                verdict.absent[column] = value.reason
                continue
            title = str(ScoreName(column, self._tag_of(named_after) if named_after else ""))
            verdict.scores[title], verdict.columns[title], verdict.metric_of[title] = value, columns[column], name

    def _tag_of(self, extractor: Extractor) -> str:
        return self.tag if extractor is self.extractor else extractor.tag

    def signal(self, split: Split) -> Tensor:
        """Features ``[n, d]`` of at most the first ``FEW`` samples; without an extractor, the samples themselves."""
        if self.extractor is None:
            return to_signal(split.x[:FEW]).flatten(1).double()
        seen: Tensor | None = self._signals.get(split.x)
        if seen is not None:
            return seen
        known = self.kept.known(self.kept.fingerprint(split.x), "features")
        return known["features"][:FEW] if known is not None else extract(self.extractor, split.x[:FEW], self.device)[0]

    def classes_of(self, split: Split) -> Tensor | None:
        """The class ``[N]`` that the extractor gives each of the samples it scored.

        None if it does not tell the classes of the data apart, or no metric needed all features.
        """
        seen: Tensor | None = self._classes.get(split.x)
        if seen is None or self.extractor is None or not self.dataset.spec.classes:
            return None
        try:
            places = class_places(self.extractor, self.dataset.spec.classes, self.dataset)
        except Unsupported:
            return None
        of_place = torch.full((int(max(places)) + 1,), -1)
        of_place[torch.tensor(places)] = torch.arange(len(places))
        return of_place[seen] if int(seen.max()) < len(of_place) else None

    @staticmethod
    def _apply(name: str, metric: Metric, evaluation: Evaluation) -> dict[str, float | Absent]:
        try:
            with blaming(f"the metric '{name}' failed", passing=Unsupported):
                found = metric(evaluation)
                values = {c: value if isinstance(value, Absent) else float(value) for c, value in found.items()}
        except Unsupported as error:
            values = dict.fromkeys(metric.columns, Absent(error.message))
        if set(values) != set(metric.columns):
            raise PluginError(f"the metric '{name}' declares {sorted(metric.columns)} but returned {sorted(values)}")
        for column, value in values.items():
            if not isinstance(value, Absent) and not math.isfinite(value):
                raise PluginError(f"the metric '{name}' returned {column} = {value}, which is not finite")
        return values


def _stream_of(seed: int, metric: str) -> torch.Generator:
    """A metric's own random stream, independent of other metrics and of latents."""
    own = hashlib.sha256(f"{seed}|metric|{metric}".encode()).digest()[:8]
    return torch.Generator().manual_seed(int.from_bytes(own, "big") >> 1)


def _for_each(real: Split) -> Tensor | None:
    """The source of each fake; if there are fewer sources than fakes, they repeat from the first, as in ``sample``."""
    source, n = real.source, len(real)
    return source if source is None or len(source) == n else source[torch.arange(n) % len(source)]


def _columns(name: str, metric: Metric, evaluation: Evaluation) -> dict[str, Column]:
    """The columns of a metric for these data.

    Raises:
        PluginError: it states a collapse limit for a column that it does not declare, or one that is not finite.
    """
    limits: Mapping[str, float] = {}
    if hasattr(metric, "collapsed_at"):
        with suppress(Unsupported), blaming(f"the metric '{name}' failed in collapsed_at", passing=Unsupported):
            limits = {column: float(limit) for column, limit in metric.collapsed_at(evaluation).items()}
    for column, limit in limits.items():
        if column not in metric.columns or not math.isfinite(limit):
            raise PluginError(
                f"the metric '{name}' states collapsed_at {column} = {limit}", "use finite limits of its own columns"
            )
    columns = {}
    for column, goal in metric.columns.items():
        low, high = getattr(metric, "ranges", {}).get(column, (None, None))
        columns[column] = Column(goal, low, high, limits.get(column), name)
    return columns


def metric_of_column(metrics: Mapping[str, Metric], column: str) -> str:
    """The name of the metric that declares a column.

    Raises:
        PluginError: none of them declares it.
    """
    for name, metric in metrics.items():
        if column in metric.columns:
            return name
    known = [name for metric in metrics.values() for name in metric.columns]
    raise PluginError(
        f"no metric of the protocol has a column '{column}'{meant(column, known)}", f"columns: {', '.join(known)}"
    )
