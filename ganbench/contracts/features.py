"""The features of one evaluation, shared by all its metrics."""

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
"""Above this number of samples, ``blocks`` does not keep features that only one metric uses, and features that are kept
on disk are kept in parts of this size, so that an extraction that was killed continues."""


class FeatureStore:
    """Features of reals and fakes from the protocol's extractor, computed once, when a metric first asks for them.

    Args:
        real: ``[N, *shape]`` in storage format.
        fake: ``[M, *shape]`` in storage format.
        extractor: the protocol's extractor, or None.
        device: the device that runs the extractor.
        memo: known results for the reals. Stores with the same extractor on the same device share it.
        sole: whether only one metric uses the features, so that ``blocks`` need not keep those of many samples.
        lasting: whether the fakes will be scored again, so that their features are kept like those of the reals.

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
        lasting: bool = False,
    ) -> None:
        self.real, self.fake, self.extractor, self.device, self.sole = real, fake, extractor, device, sole
        self.lasting = lasting
        self.memo = Memo() if memo is None else memo
        self.known: Features | None = None

    def features(self) -> Features:
        """Return all features and logits.

        Raises:
            Unsupported: there is no extractor.
        """
        if self.known is None:
            self.known = self._extracted()
        return self.known

    def blocks(self, of: Literal["real", "fake"]) -> Iterator[Tensor]:
        """Yield features in order, in blocks of ``[B, d]``, bit-identical to those of ``features()``.

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
        """Return the results of ``compute`` for these reals, from the memo if it has them.

        Args:
            name: distinguishes these results from others of the module that defines ``compute``.
            compute: may depend only on the reals and their features.
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
        real, real_logits = self._kept(self.extractor, self.real)
        if self.fake is self.real:
            return Features(real, real, real_logits, real_logits)
        if self.lasting:
            fake, fake_logits = self._kept(self.extractor, self.fake)
        else:
            fake, fake_logits = extract(self.extractor, self.fake, self.device, room=self.memo.room)
        return Features(real, fake, real_logits, fake_logits)

    def _kept(self, extractor: Extractor, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """Features and logits of ``x``, from the memo if it has them."""
        key = self.memo.fingerprint(x)
        found = self.memo.known(key, "features") or self._in_parts(extractor, x)
        self.memo.remember(key, "features", found)
        return found["features"], found.get("logits")

    def _in_parts(self, extractor: Extractor, x: Tensor) -> Results:
        """Features and logits of ``x``, each part from the memo's files if they have it."""
        if len(x) <= MANY:
            return self._part(extractor, x)
        whole = dict[str, Tensor]()
        for start in range(0, len(x), MANY):
            for name, found in self._part(extractor, x[start : start + MANY]).items():
                if name not in whole:
                    whole[name] = self.memo.room((len(x), *found.shape[1:]))
                whole[name][start : start + MANY] = found
        return whole

    def _part(self, extractor: Extractor, x: Tensor) -> Results:
        def compute() -> Results:
            features, logits = extract(extractor, x, self.device)
            return {"features": features} if logits is None else {"features": features, "logits": logits}

        def holds(found: Results) -> bool:
            return is_of(extractor, x, self.device, found.get("features"), found.get("logits"))

        return self.memo.found(self.memo.fingerprint(x), "features", compute, holds)
