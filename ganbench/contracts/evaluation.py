"""The samples and everything about them that a metric may use."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor

from ganbench.contracts.arch import GAN
from ganbench.contracts.data import Dataset, DataSpec, Oracle, Split
from ganbench.contracts.extractor import BATCH, Extractor, Features, extract, stream
from ganbench.contracts.memo import Memo, Results
from ganbench.errors import Unsupported

MANY = 10_000
"""Samples whose features are not kept where nothing but their moments is asked for."""


@dataclass
class Evaluation:
    """What a metric is given.

    ``real`` and ``fake`` are ``[N, *shape]`` as stored (uint8 images, float32 points) on the CPU, ``real_labels`` and
    ``fake_labels`` are ``[N]`` or None. ``generator`` is the averaged GAN in eval mode, None for samples from a file
    or a yardstick. ``rng`` is the metric's only source of randomness. ``features()`` runs the protocol's extractor
    once, however many metrics ask; ``blocks()`` gives the same features some hundred at a time; ``of_reals()`` keeps
    what follows from the reals alone for the next evaluation; ``view()`` is the same evaluation of other arrays.

    Of translations, ``real_source`` holds what each fake was made of, and ``fake_source`` what was made of each real on
    the way back, ``[N, *source_shape]`` as stored or None; ``paired`` says that ``real[i]`` is the truth of
    ``fake[i]``, and ``real_source[i]`` that of ``fake_source[i]``. ``remake`` makes samples as the fakes were made, for
    other labels and sources, and ``dataset`` holds all parts of the real data; each is None where there is none.
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
    real_features: tuple[Tensor, Tensor | None] | None = None
    real_source: Tensor | None = None
    fake_source: Tensor | None = None
    paired: bool = False
    dataset: Dataset | None = None
    remake: Callable[[Split], Split] | None = None
    used_extractor: bool = False
    viewed: list[Evaluation] = field(default_factory=list, init=False)
    sole: bool = field(default=False, init=False)
    kept: Memo = field(default_factory=Memo, init=False)

    def features(self, extractor: Extractor | None = None) -> Features:
        """Features and logits of reals and fakes under the protocol's extractor, or under one given.

        Raises:
            Unsupported: the protocol names no extractor and none is given.
        """
        if extractor is not None:
            real, real_logits = extract(extractor, self.real, self.device)
            fake, fake_logits = extract(extractor, self.fake, self.device)
            return Features(real, fake, real_logits, fake_logits)
        self.used_extractor = True
        return self._protocol_features

    def blocks(self, of: Literal["real", "fake"]) -> Iterator[Tensor]:
        """Features under the protocol's extractor, ``[B, d]`` at a time, in order.

        Where a single metric is asked for and there are many samples, they are forgotten as they go by: memory does not
        grow with their number. The bits are those of ``features()`` either way.

        Raises:
            Unsupported: as ``features``.
        """
        x = self.fake if of == "fake" else self.real
        known = self.known_features is not None or (of == "real" and self.kept.known(self._fingerprint, "features"))
        if self.sole and len(x) > MANY and self.extractor is not None and not known:
            self.used_extractor = True
            yield from (features for features, _ in stream(self.extractor, x, self.device))
        else:
            features = self.features()
            yield from (features.fake if of == "fake" else features.real).split(BATCH)

    def of_reals(self, name: str, compute: Callable[[], Results]) -> Results:
        """What ``compute`` makes of the reals and their features under the protocol's extractor, and of nothing else:
        computed once for all evaluations that share them, and kept on disk where it took long. ``name`` tells it from
        what else its module computes, settings and version included."""
        self.used_extractor = True
        return self.kept.once(self._fingerprint, f"{compute.__module__}: {name}", compute)

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
        """Another look at the samples, ``[M, *other_shape]``: the frames of clips, say, as images. It has an extractor
        of its own, after which the metric's columns are named if they come from its features.

        Raises:
            ValueError: there is another view already, under another extractor: which one would name the columns?
        """
        if extractor is not None and any(v.extractor is not extractor for v in self.viewed):
            raise ValueError("a metric's views can use only one extractor")
        spec = DataSpec(tuple(real.shape[1:]), bounded=self.spec.bounded)
        other = Evaluation(real, fake, spec, self.rng, real_labels, fake_labels, oracle, extractor, device=self.device)
        self.viewed.append(other)
        return other

    @property
    def named_after(self) -> Extractor | None:
        """Whose features the metric has used: the protocol's extractor, or that of a view."""
        return next((e.extractor for e in (self, *self.viewed) if e.used_extractor), None)

    @property
    def known_features(self) -> Features | None:
        """Those of the protocol's extractor, if a metric has asked for them."""
        known: Features | None = vars(self).get("_protocol_features")
        return known

    @cached_property
    def _fingerprint(self) -> str:
        return self.kept.fingerprint(self.real)

    @cached_property
    def _protocol_features(self) -> Features:
        if self.extractor is None:
            raise Unsupported("needs a feature extractor, but the protocol names none")
        real, real_logits = self.real_features or self._extracted_reals(self.extractor)
        if self.fake is self.real:
            return Features(real, real, real_logits, real_logits)
        fake, fake_logits = extract(self.extractor, self.fake, self.device)
        return Features(real, fake, real_logits, fake_logits)

    def _extracted_reals(self, extractor: Extractor) -> tuple[Tensor, Tensor | None]:
        def compute() -> Results:
            features, logits = extract(extractor, self.real, self.device)
            return {"features": features} if logits is None else {"features": features, "logits": logits}

        found = self.kept.once(self._fingerprint, "features", compute)
        return found["features"], found.get("logits")
