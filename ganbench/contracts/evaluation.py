"""The argument of a metric: the samples, and everything else that a metric may use."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import InitVar, dataclass, field, replace
from typing import Literal

import torch
from torch import Tensor

from ganbench.contracts.arch import GAN
from ganbench.contracts.classes import class_places
from ganbench.contracts.data import Dataset, DataSpec, Oracle, Split
from ganbench.contracts.extractor import Extractor, Features, extract
from ganbench.contracts.features import FeatureStore
from ganbench.contracts.memo import Results
from ganbench.errors import Unsupported


@dataclass
class Evaluation:
    """The samples to score, and everything else that a metric may use.

    ``features()`` runs the protocol's extractor once for all metrics. ``blocks()`` yields the same features a few
    hundred samples at a time. ``of_reals()`` keeps results that depend only on the reals for later evaluations.
    ``view()`` evaluates other arrays.

    Args:
        real: ``[N, *shape]`` on the CPU in storage format: uint8 images or float32 points.
        fake: the samples to score, in the same format.
        spec: the format of a sample.
        rng: the metric's only source of randomness.
        real_labels: ``[N]``, or None.
        fake_labels: ``[N]``, or None.
        oracle: exact knowledge of the modes, or None.
        extractor: the protocol's extractor, or None.
        generator: the averaged GAN in eval mode; None if the samples come from a file or a yardstick.
        device: the device that computes features.
        real_source: for translators, the input of each fake, ``[N, *source_shape]`` in storage format, or None.
        fake_source: for two-way translators, the back-translation of each real, in the same format, or None.
        paired: whether ``real[i]`` is the ground truth for ``fake[i]``, and ``real_source[i]`` for ``fake_source[i]``.
        dataset: all splits of the real data, or None.
        remake: makes samples in the same way as the fakes, for the labels and sources of another split; or None.
        shared: features to share with other metrics.

    Attributes:
        doubts: a metric appends a sentence if its score should not be trusted, for example because there are fewer
            samples than features.
        used_extractor: whether the metric asked for features of the protocol's extractor, or for results that may
            depend on them. Each metric has its own evaluation (``for_metric``), so this is known per metric.
        viewed: the views that the metric made.
        store: the features, which all metrics of one evaluation share.
    """

    real: Tensor
    fake: Tensor
    spec: DataSpec
    rng: torch.Generator
    real_labels: Tensor | None = None
    fake_labels: Tensor | None = None
    oracle: Oracle | None = None
    extractor: Extractor | None = None
    generator: GAN | None = None
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    real_source: Tensor | None = None
    fake_source: Tensor | None = None
    paired: bool = False
    dataset: Dataset | None = None
    remake: Callable[[Split], Split] | None = None
    used_extractor: bool = field(default=False, init=False)
    doubts: list[str] = field(default_factory=list, init=False)
    viewed: list[Evaluation] = field(default_factory=list, init=False)
    store: FeatureStore = field(init=False, repr=False)
    shared: InitVar[FeatureStore | None] = None

    def __post_init__(self, shared: FeatureStore | None) -> None:
        """Use the ``shared`` features, or a new store for this evaluation alone."""
        self.store = shared or FeatureStore(self.real, self.fake, self.extractor, self.device)

    def for_metric(self, rng: torch.Generator) -> Evaluation:
        """Return the same evaluation for another metric, with its own random stream and shared features."""
        return replace(self, rng=rng, shared=self.store)

    def features(self, extractor: Extractor | None = None) -> Features:
        """Return features and logits of reals and fakes from the protocol's extractor, or from the given one.

        Raises:
            Unsupported: the protocol names no extractor, and none is given.
        """
        if extractor is not None:
            real, real_logits = extract(extractor, self.real, self.device)
            fake, fake_logits = extract(extractor, self.fake, self.device)
            return Features(real, fake, real_logits, fake_logits)
        self.used_extractor = True
        return self.store.features()

    def class_order(self) -> Tensor:
        """Return the index of each of the data's classes in the extractor's logits, ``[K]``.

        Column k of ``logits[:, evaluation.class_order()]`` belongs to label k.

        Raises:
            Unsupported: the extractor does not classify, or has other classes than the data.
        """
        logits = self.features().real_logits
        if self.extractor is None or logits is None:
            raise Unsupported("needs logits, but the protocol's extractor does not classify")
        if logits.ndim != 2:
            raise Unsupported(f"needs one class per sample, but the extractor assigns {logits.shape[1]}")
        if self.dataset is None:
            return torch.arange(logits.shape[1])
        return torch.tensor(class_places(self.extractor, logits.shape[1], self.dataset))

    def blocks(self, of: Literal["real", "fake"]) -> Iterator[Tensor]:
        """Yield features from the protocol's extractor in order, in blocks of ``[B, d]``.

        With many samples and a single metric, the blocks are not kept, so memory does not grow with the number of
        samples. The values are bit-identical to those of ``features()``.

        Raises:
            Unsupported: as for ``features``.
        """
        self.used_extractor = True
        yield from self.store.blocks(of)

    def of_reals(self, name: str, compute: Callable[[], Results]) -> Results:
        """Return the results of ``compute``, which runs once for all evaluations with the same reals.

        Results that took long are cached on disk.

        Args:
            name: distinguishes these results from others of the same module. Include settings and version.
            compute: may depend only on the reals and their features from the protocol's extractor.
        """
        self.used_extractor = True
        return self.store.of_reals(name, compute)

    def view(
        self,
        real: Tensor,
        fake: Tensor,
        *,
        extractor: Extractor | None = None,
        oracle: Oracle | None = None,
        real_labels: Tensor | None = None,
        fake_labels: Tensor | None = None,
    ) -> Evaluation:
        """Return an evaluation of other arrays ``[M, *other_shape]``, for example the frames of clips as images.

        It may have its own extractor. Scores that use its features are named after that extractor.

        Raises:
            ValueError: there is already a view with another extractor, so the names of scores would be ambiguous.
        """
        if extractor is not None and any(v.extractor is not extractor for v in self.viewed):
            raise ValueError("a metric's views can use only one extractor")
        spec = DataSpec(tuple(real.shape[1:]), bounded=self.spec.bounded)
        other = Evaluation(real, fake, spec, self.rng, real_labels, fake_labels, oracle, extractor, device=self.device)
        self.viewed.append(other)
        return other

    @property
    def named_after(self) -> Extractor | None:
        """The extractor whose features the metric used: the protocol's or that of a view. None if it used none."""
        return next((e.extractor for e in (self, *self.viewed) if e.used_extractor), None)
