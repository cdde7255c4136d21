"""The features of one evaluation, which all its metrics share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor

from ganbench.contracts.extractor import BATCH, Extractor, Features, extract, is_of, stream
from ganbench.contracts.memo import Memo, Results
from ganbench.errors import Unsupported

MANY = 10_000
"""Above this number of samples, ``blocks`` does not keep the features that a single metric streams."""


class FeatureStore:
    """Features of reals and fakes under the protocol's extractor, computed once, when a metric first asks for them.

    Args:
        real: ``[N, *shape]`` as stored.
        fake: ``[M, *shape]`` as stored.
        extractor: the protocol's, or None.
        device: where it runs.
        memo: results for reals that are known already; stores with the same extractor on the same device share it.
        sole: only one metric asks, so ``blocks`` need not keep the features of many samples.

    Attributes:
        known: the features, once a metric has asked for all of them; None until then.
    """

    def __init__(
        self,
        real: Tensor,
        fake: Tensor,
        extractor: Extractor | None,
        device: torch.device,
        memo: Memo | None = None,
        *,
        sole: bool = False,
    ) -> None:
        self.real, self.fake, self.extractor, self.device, self.sole = real, fake, extractor, device, sole
        self.memo = Memo() if memo is None else memo
        self.known: Features | None = None

    def features(self) -> Features:
        """All features and logits.

        Raises:
            Unsupported: there is no extractor.
        """
        if self.known is None:
            self.known = self._extracted()
        return self.known

    def blocks(self, of: Literal["real", "fake"]) -> Iterator[Tensor]:
        """Features ``[B, d]`` at a time, in order, with the bits of ``features()``.

        Raises:
            Unsupported: there is no extractor.
        """
        x = self.fake if of == "fake" else self.real
        if self.sole and len(x) > MANY and self.extractor is not None and not self._is_known(of):
            yield from (features for features, _ in stream(self.extractor, x, self.device))
        else:
            features = self.features()
            yield from (features.fake if of == "fake" else features.real).split(BATCH)

    def of_reals(self, name: str, compute: Callable[[], Results]) -> Results:
        """The results of ``compute`` for these reals, from the memo if it has them.

        Args:
            name: tells them from other results of the module that ``compute`` is defined in.
            compute: may depend on the reals and their features, and on nothing else.
        """
        return self.memo.once(self._fingerprint, f"{compute.__module__}: {name}", compute)

    def _is_known(self, of: Literal["real", "fake"]) -> bool:
        if self.known is not None:
            return True
        return of == "real" and self.memo.known(self._fingerprint, "features") is not None

    @cached_property
    def _fingerprint(self) -> str:
        return self.memo.fingerprint(self.real)

    def _extracted(self) -> Features:
        if self.extractor is None:
            raise Unsupported("needs a feature extractor, but the protocol names none")
        real, real_logits = self._extracted_reals(self.extractor)
        if self.fake is self.real:
            return Features(real, real, real_logits, real_logits)
        fake, fake_logits = extract(self.extractor, self.fake, self.device)
        return Features(real, fake, real_logits, fake_logits)

    def _extracted_reals(self, extractor: Extractor) -> tuple[Tensor, Tensor | None]:
        def compute() -> Results:
            features, logits = extract(extractor, self.real, self.device)
            return {"features": features} if logits is None else {"features": features, "logits": logits}

        def holds(found: Results) -> bool:
            return is_of(extractor, self.real, self.device, found.get("features"), found.get("logits"))

        found = self.memo.once(self._fingerprint, "features", compute, holds)
        return found["features"], found.get("logits")
