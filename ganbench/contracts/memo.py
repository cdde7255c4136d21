"""Results that depend on real samples alone: computed once per process, and kept under what they were computed from."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping

from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

SETS = 4
"""How many sets of samples keep their results in memory: those that every run is judged by, and the latest others."""
Results = Mapping[str, Tensor]
"""Tensors of float64 or of integers, on the CPU."""
Holds = Callable[[Results], bool]


def fingerprint(x: Tensor) -> str:
    """sha256 of an array's shape, type and content."""
    digest = hashlib.sha256(f"{tuple(x.shape)}{x.dtype}".encode())
    digest.update(x.detach().cpu().contiguous().numpy().data)
    return digest.hexdigest()


class Memo:
    """Results in memory, for the last few sets of samples."""

    def __init__(self) -> None:
        self._memory = dict[str, dict[str, Results]]()  # samples -> name -> results; the latest used come last
        self._fingerprints = WeakTensorKeyDictionary()

    def fingerprint(self, x: Tensor) -> str:
        """``fingerprint(x)``, computed once per array, which must not change afterwards."""
        known: str | None = self._fingerprints.get(x)
        if known is None:
            known = self._fingerprints[x] = fingerprint(x)
        return known

    def known(self, samples: str, name: str) -> Results | None:
        """Results that were computed in this process and are still in memory, or None."""
        return self._memory.get(samples, {}).get(name)

    def once(self, samples: str, name: str, compute: Callable[[], Results], holds: Holds | None = None) -> Results:
        """The results of ``compute``, computed unless they are known.

        Args:
            samples: fingerprint of the samples.
            name: what is computed from them, with everything that it depends on except samples, extractor and the
                module that ``compute`` is defined in.
            compute: what returns the results.
            holds: whether results that come from elsewhere than this process are the ones that ``compute`` gives, as
                far as a quick look can tell.
        """
        results = self.known(samples, name)
        if results is None:
            results = self.found(samples, name, compute, holds)
        self._memory[samples] = {**self._memory.pop(samples, {}), name: results}
        for forgotten in list(self._memory)[:-SETS]:
            del self._memory[forgotten]
        return results

    def found(self, samples: str, name: str, compute: Callable[[], Results], holds: Holds | None = None) -> Results:
        """Results that are not in memory: compute them. A subclass may look elsewhere first."""
        return compute()
