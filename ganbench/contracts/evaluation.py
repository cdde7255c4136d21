"""What a metric is given: the samples, and everything about them that it may use."""

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
    """What a metric is given.

    ``real`` and ``fake`` are ``[N, *shape]`` as stored (uint8 images, float32 points) on the CPU, ``real_labels`` and
    ``fake_labels`` are ``[N]`` or None. ``generator`` is the averaged GAN in eval mode, None for samples from a file
    or a yardstick. ``rng`` is the metric's only source of randomness. ``features()`` runs the protocol's extractor
    once, however many metrics ask; ``blocks()`` yields the same features a few hundred at a time; ``of_reals()`` keeps
    results that depend on the reals alone for the next evaluation; ``view()`` is the same evaluation of other arrays.

    For translations, ``real_source`` holds the input of each fake, and ``fake_source`` the back-translation of each
    real, ``[N, *source_shape]`` as stored or None. ``paired`` says that ``real[i]`` is the ground truth of ``fake[i]``,
    and ``real_source[i]`` that of ``fake_source[i]``. ``remake`` makes samples in the way the fakes were made, for
    other labels and sources. ``dataset`` holds all parts of the real data. Each is None if there is none. A metric
    whose score should not be trusted here (fewer samples than features) appends a sentence to ``doubts``.

    Each metric has an evaluation of its own (``for_metric``), so what it used and doubted is known from that:
    ``used_extractor`` says whether it asked for features under the protocol's extractor or for results that may depend
    on them, and ``viewed`` holds its views. Those of one evaluation have one ``store`` of features in common.
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
        """Keep the ``shared`` features; without them, those of this evaluation alone, not yet computed."""
        self.store = shared or FeatureStore(self.real, self.fake, self.extractor, self.device)

    def for_metric(self, rng: torch.Generator) -> Evaluation:
        """The same evaluation for another metric, with its own stream of random numbers and the same features."""
        return replace(self, rng=rng, shared=self.store)

    def features(self, extractor: Extractor | None = None) -> Features:
        """Features and logits of reals and fakes under the protocol's extractor, or under the one given.

        Raises:
            Unsupported: the protocol names no extractor and none is given.
        """
        if extractor is not None:
            real, real_logits = extract(extractor, self.real, self.device)
            fake, fake_logits = extract(extractor, self.fake, self.device)
            return Features(real, fake, real_logits, fake_logits)
        self.used_extractor = True
        return self.store.features()

    def class_order(self) -> Tensor:
        """The place of each of the data's classes among the extractor's logits, ``[K]``.

        Column k of ``logits[:, evaluation.class_order()]`` belongs to label k.

        Raises:
            Unsupported: the extractor does not tell the classes of the data apart, or calls them by other names.
        """
        logits = self.features().real_logits
        if self.extractor is None or logits is None:
            raise Unsupported("needs logits, but the protocol's extractor does not classify")
        if logits.ndim != 2:
            raise Unsupported(f"needs one class per sample, but the extractor judges {logits.shape[1]} parts of it")
        if self.dataset is None:
            return torch.arange(logits.shape[1])
        return torch.tensor(class_places(self.extractor, logits.shape[1], self.dataset))

    def blocks(self, of: Literal["real", "fake"]) -> Iterator[Tensor]:
        """Features under the protocol's extractor, ``[B, d]`` at a time, in order.

        With many samples and a single metric, blocks are not kept, so memory does not grow with the number of samples.
        The bits are those of ``features()`` either way.

        Raises:
            Unsupported: as ``features``.
        """
        self.used_extractor = True
        yield from self.store.blocks(of)

    def of_reals(self, name: str, compute: Callable[[], Results]) -> Results:
        """The results of ``compute``, once for all evaluations that share the reals.

        ``compute`` may depend on the reals and their features under the protocol's extractor, and on nothing else.
        Results that took long are kept on disk. ``name`` tells them from other results of the same module; it includes
        settings and version.
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
        """Another view of the samples, ``[M, *other_shape]``: the frames of clips as images, say.

        It may have its own extractor; columns that come from its features are named after it.

        Raises:
            ValueError: there is already a view under another extractor, so the columns' name would be ambiguous.
        """
        if extractor is not None and any(v.extractor is not extractor for v in self.viewed):
            raise ValueError("a metric's views can use only one extractor")
        spec = DataSpec(tuple(real.shape[1:]), bounded=self.spec.bounded)
        other = Evaluation(real, fake, spec, self.rng, real_labels, fake_labels, oracle, extractor, device=self.device)
        self.viewed.append(other)
        return other

    @property
    def named_after(self) -> Extractor | None:
        """The extractor whose features the metric has used: the protocol's, or a view's."""
        return next((e.extractor for e in (self, *self.viewed) if e.used_extractor), None)
