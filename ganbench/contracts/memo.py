"""Cache results that depend only on real samples, so that each process computes them once."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

from ganbench.contracts.arrays import LARGE, sha256_of, update

SETS = 4
"""Number of sample sets whose results stay in memory: the most recently used ones."""
Results = Mapping[str, Tensor]
"""Tensors of float64 or integers on the CPU, by name."""
Holds = Callable[[Results], bool]


def fingerprint(x: Tensor) -> str:
    """Return the sha256 of an array's shape, dtype and content. A large array's content counts by its own sha256."""
    digest = hashlib.sha256(f"{tuple(x.shape)}{x.dtype}".encode())
    if x.nbytes < LARGE:
        update(digest, x)
    else:
        digest.update(sha256_of(x).encode())
    return digest.hexdigest()


class Memo:
    """Results in memory for the most recently used sample sets."""

    def __init__(self) -> None:
        self._memory = dict[str, dict[str, Results]]()  # samples -> name -> results; the most recently used come last
        self._fingerprints = WeakTensorKeyDictionary()

    def fingerprint(self, x: Tensor) -> str:
        """Return ``fingerprint(x)``, computed once per array. The array must not change afterwards."""
        known: str | None = self._fingerprints.get(x)
        if known is None:
            known = self._fingerprints[x] = fingerprint(x)
        return known

    def known(self, samples: str, name: str) -> Results | None:
        """Return results that this process computed and still has in memory, or None."""
        return self._memory.get(samples, {}).get(name)

    def once(self, samples: str, name: str, compute: Callable[[], Results], holds: Holds | None = None) -> Results:
        """Return the results of ``compute``, which runs only if they are not known.

        Args:
            samples: the fingerprint of the samples.
            name: identifies the computation, including everything that it depends on except the samples, the extractor
                and the module that defines ``compute``.
            compute: returns the results.
            holds: a quick check that results from outside this process are those that ``compute`` would return.
        """
        results = self.known(samples, name)
        if results is None:
            results = self.found(samples, name, compute, holds)
        self.remember(samples, name, results)
        return results

    def remember(self, samples: str, name: str, results: Results) -> None:
        """Keep results in memory, as those of the most recently used samples."""
        self._memory[samples] = {**self._memory.pop(samples, {}), name: results}
        for forgotten in list(self._memory)[:-SETS]:
            del self._memory[forgotten]

    def room(self, shape: tuple[int, ...]) -> Tensor:
        """Return an array of float64 ``[*shape]`` to fill. A subclass may keep a large one out of memory."""
        return torch.empty(shape, dtype=torch.float64)

    def found(self, samples: str, name: str, compute: Callable[[], Results], holds: Holds | None = None) -> Results:
        """Compute results that are not in memory. A subclass may look elsewhere first."""
        return compute()
