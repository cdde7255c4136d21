"""What follows from real samples alone: computed once per process, found again by what it was computed from."""

from __future__ import annotations

import hashlib
import weakref
from collections.abc import Callable, Mapping

from torch import Tensor

SETS = 4
"""Of so many sets of samples results stay in memory: those that every run is judged by, and the latest others."""
Results = Mapping[str, Tensor]
"""Tensors of float64 or of integers, on the CPU."""


def fingerprint(x: Tensor) -> str:
    """sha256 of an array's shape, type and content."""
    digest = hashlib.sha256(f"{tuple(x.shape)}{x.dtype}".encode())
    digest.update(x.detach().cpu().contiguous().numpy().data)
    return digest.hexdigest()


class Memo:
    """Results in memory, those of the last few sets of samples."""

    def __init__(self) -> None:
        self._memory = dict[str, dict[str, Results]]()  # samples -> name -> results; what was used last stands last
        self._fingerprints = dict[int, tuple[weakref.ref[Tensor], str]]()

    def fingerprint(self, x: Tensor) -> str:
        """``fingerprint(x)``, once for each array; nobody may write into one that is judged."""
        seen, known = self._fingerprints.get(id(x), (None, ""))
        if seen is None or seen() is not x:
            self._fingerprints = {key: entry for key, entry in self._fingerprints.items() if entry[0]() is not None}
            known = fingerprint(x)
            self._fingerprints[id(x)] = weakref.ref(x), known
        return known

    def known(self, samples: str, name: str) -> Results | None:
        """What was computed in this process and is still remembered, or None."""
        return self._memory.get(samples, {}).get(name)

    def once(self, samples: str, name: str, compute: Callable[[], Results]) -> Results:
        """The results of ``compute``, computed where they are not known.

        Args:
            samples: fingerprint of the samples.
            name: what is computed of them, with everything that it depends on but samples, extractor and the module
                that ``compute`` is defined in.
        """
        results = self.known(samples, name)
        if results is None:
            results = self.found(samples, name, compute)
        self._memory[samples] = {**self._memory.pop(samples, {}), name: results}
        for forgotten in list(self._memory)[:-SETS]:
            del self._memory[forgotten]
        return results

    def found(self, samples: str, name: str, compute: Callable[[], Results]) -> Results:
        """What is not in memory: computed. A subclass may know where else to look."""
        return compute()
