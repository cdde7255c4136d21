"""Trained generator -> samples -> features (once) -> metrics."""

from __future__ import annotations

import hashlib
import math
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import torch
from torch import Tensor

from ganbench.contracts.arch import GAN
from ganbench.contracts.data import Dataset, Split, to_signal
from ganbench.contracts.evaluation import Evaluation
from ganbench.contracts.extractor import Extractor, extract
from ganbench.contracts.memo import Memo
from ganbench.contracts.metric import Goal, Metric
from ganbench.errors import PluginError, Unsupported
from ganbench.evaluation.sampling import sample

FEW = 2000
"""How many samples of each set of fakes a judge remembers the features of: enough to see a collapse."""


@dataclass(frozen=True)
class Verdict:
    """Scores of one evaluation, named in full, what their columns mean, and which metric gave them."""

    scores: dict[str, float]
    columns: dict[str, tuple[Goal, float | None, float | None]]
    metric_of: dict[str, str]


class Judge:
    """Scores samples under one protocol; real samples and their features are prepared once.

    Args:
        dataset: the protocol's data.
        reference: the reals that fakes are compared with, ``samples`` of them.
        metrics: name -> metric.
        extractor: the network whose feature space metrics use, or None.
        device: where features are computed.
        kept: results for reals that are already known; judges with the same extractor on the same device share them.
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
        self._seen: dict[int, tuple[weakref.ref[Tensor], Tensor]] = {}

    @cached_property
    def tag(self) -> str:
        """The extractor's tag, or nothing; computing it hashes all weights."""
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
    ) -> Verdict:
        """Score fakes (as stored) against the reference, or against ``real`` where given. ``remake`` makes fakes in the
        same way for other conditions; with a ``generator`` it need not be given.

        Raises:
            PluginError: a metric cannot score this, returns other columns than it declares, or a value that is not
                finite.
        """
        real = real or self.reference
        if generator is not None:
            remake = partial(sample, generator, seed=seed, device=self.device)
        evaluation = Evaluation(
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
            real_source=real.source,
            fake_source=fake.source,
            paired=real.paired and fake.paired,
            dataset=self.dataset,
            remake=remake,
        )
        asked = {name: metric for name, metric in self.metrics.items() if only is None or name in only}
        evaluation.kept, evaluation.sole = self.kept, len(asked) == 1
        scores: dict[str, float] = {}
        columns: dict[str, tuple[Goal, float | None, float | None]] = {}
        metric_of: dict[str, str] = {}
        for name, metric in asked.items():
            # a stream of its own: what a metric draws depends on no other metric, and on no latent
            own = hashlib.sha256(f"{seed}|metric|{name}".encode()).digest()[:8]
            evaluation.rng.manual_seed(int.from_bytes(own, "big") >> 1)
            for column, value in self._apply(name, metric, evaluation).items():
                title = f"{column}@{self._tag_of(evaluation.named_after)}" if evaluation.named_after else column
                low, high = getattr(metric, "ranges", {}).get(column, (None, None))
                scores[title], columns[title] = value, (metric.columns[column], low, high)
                metric_of[title] = name
        if (features := evaluation.known_features) is not None:
            self._seen = {key: seen for key, seen in self._seen.items() if seen[0]() is not None}
            self._seen[id(fake.x)] = weakref.ref(fake.x), features.fake[:FEW].clone()
        return Verdict(scores, columns, metric_of)

    def _tag_of(self, extractor: Extractor) -> str:
        return self.tag if extractor is self.extractor else extractor.tag

    def signal(self, split: Split) -> Tensor:
        """``[n, d]`` of at most the first ``FEW`` samples: features, or the samples themselves without an extractor."""
        if self.extractor is None:
            return to_signal(split.x[:FEW]).flatten(1).double()
        fakes, features = self._seen.get(id(split.x), (None, None))
        if fakes is not None and features is not None and fakes() is split.x:
            return features
        known = self.kept.known(self.kept.fingerprint(split.x), "features")
        return known["features"][:FEW] if known is not None else extract(self.extractor, split.x[:FEW], self.device)[0]

    @staticmethod
    def _apply(name: str, metric: Metric, evaluation: Evaluation) -> dict[str, float]:
        evaluation.used_extractor = False
        evaluation.viewed.clear()
        try:
            values = {column: float(value) for column, value in metric(evaluation).items()}
        except Unsupported as error:
            raise PluginError(f"the metric '{name}' cannot score this: {error.message}", error.hint) from error
        except Exception as error:
            raise PluginError(f"the metric '{name}' failed: {type(error).__name__}: {error}") from error
        if set(values) != set(metric.columns):
            raise PluginError(f"the metric '{name}' declares {sorted(metric.columns)} but returned {sorted(values)}")
        bad = [column for column, value in values.items() if not math.isfinite(value)]
        if bad:
            raise PluginError(f"the metric '{name}' returned {bad[0]} = {values[bad[0]]}, which is not finite")
        return values


def metric_of_column(metrics: Mapping[str, Metric], column: str) -> str:
    """The metric that a column belongs to.

    Raises:
        PluginError: none of them declares it.
    """
    for name, metric in metrics.items():
        if column in metric.columns:
            return name
    raise PluginError(
        f"no metric of the protocol has a column '{column}'",
        f"columns: {', '.join(c for m in metrics.values() for c in m.columns)}",
    )
