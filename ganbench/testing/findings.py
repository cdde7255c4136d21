"""What a conformance check finds, and how the checks of one kind are kept and run."""

from __future__ import annotations

import inspect
import random
import textwrap
import traceback
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
import torch

Subject = TypeVar("Subject")


@dataclass(frozen=True)
class Finding:
    """One breach of a contract: what was ``seen``, what was ``expected``, and how to ``mend`` it.

    ``check`` names the check that found it, ``why`` is why that check exists, ``where`` is the case it was seen in.
    Checks fill in the first three and, where they try several cases, ``where``.
    """

    seen: str
    expected: str
    mend: str
    where: str = ""
    check: str = ""
    why: str = ""

    def __str__(self) -> str:
        where = f"  ({self.where})" if self.where else ""
        parts = (("seen", self.seen), ("expected", self.expected), ("mend", self.mend), ("why", self.why))
        lines = [_paragraph(f"{name + ':':<10}", text) for name, text in parts if text]
        return "\n".join([self.check + where, *lines])


class ConformanceError(AssertionError):
    """A plugin breaks its contract; the message lists every finding. An AssertionError, so that test runners count a
    failed test and not an error in one."""

    def __init__(self, subject: str, findings: Sequence[Finding]) -> None:
        count = "1 conformance check" if len(findings) == 1 else f"{len(findings)} conformance checks"
        listing = "\n\n".join(f"{number}. {finding}" for number, finding in enumerate(findings, 1))
        super().__init__(f"{subject} fails {count}\n\n{listing}")
        self.findings = tuple(findings)


class Checks(Generic[Subject]):
    """The named checks of one kind of plugin, in the order in which they run.

    A check is a function ``subject -> findings``. Its name, with hyphens, is the check's name; its docstring is a
    paragraph on why it matters. To have another one, write it and decorate it with ``@CHECKS.add``.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._checks: dict[str, Callable[[Subject], Iterator[Finding]]] = {}
        self._vital: set[str] = set()

    def add(self, check: Callable[[Subject], Iterator[Finding]]) -> Callable[[Subject], Iterator[Finding]]:
        """Decorator: one more check."""
        self._checks[check.__name__.replace("_", "-")] = check
        return check

    def add_vital(self, check: Callable[[Subject], Iterator[Finding]]) -> Callable[[Subject], Iterator[Finding]]:
        """Decorator: one more check, without whose success the ones after it would only repeat its finding."""
        self._vital.add(check.__name__.replace("_", "-"))
        return self.add(check)

    def extend(self, others: Checks[Subject]) -> None:
        """Have the checks of another collection, too, after one's own."""
        self._checks |= others._checks
        self._vital |= others._vital

    @property
    def names(self) -> tuple[str, ...]:
        """Of every check."""
        return tuple(self._checks)

    def why(self, name: str) -> str:
        """Why the check matters, in one paragraph."""
        return " ".join((inspect.getdoc(self._checks[name]) or "").split())

    def run(self, subject: Subject, skip: Collection[str] = ()) -> list[Finding]:
        """Every finding of every check that is not skipped. Random numbers are seeded for each and left as they were.

        Raises:
            ValueError: ``skip`` names a check that does not exist.
        """
        unknown = sorted(set(skip) - set(self._checks))
        if unknown:
            raise ValueError(f"no {self.kind} check is called {unknown[0]!r}; there are: {', '.join(self._checks)}")
        found: list[Finding] = []
        for name, check in self._checks.items():
            if name in skip:
                continue
            new = [replace(finding, check=name, why=self.why(name)) for finding in _tried(check, subject)]
            found += new
            if new and name in self._vital:
                break
        return found


def _tried(check: Callable[[Subject], Iterator[Finding]], subject: Subject) -> list[Finding]:
    """The check's findings; an exception of the plugin is one more."""
    found: list[Finding] = []
    try:
        with seeded(0):
            found.extend(check(subject))
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        found.append(
            Finding(
                seen=f"{type(error).__name__}: {error} ({Path(place.filename).name}, line {place.lineno})",
                expected="no exception",
                mend="call the plugin the way the check does, and see where it fails",
            )
        )
    return found


def _paragraph(head: str, text: str) -> str:
    return textwrap.fill(f"{head}{text}", 100, initial_indent="   ", subsequent_indent=" " * (3 + len(head)))


# -- random numbers ----------------------------------------------------------------------------------------------------


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed the process-wide generators of torch, numpy and Python, and leave them as they were found."""
    numpy_state, python_state = np.random.get_state(), random.getstate()
    with torch.random.fork_rng(devices=[]):
        try:
            torch.manual_seed(seed)
            np.random.seed(seed)
            random.seed(seed)
            yield
        finally:
            np.random.set_state(numpy_state)
            random.setstate(python_state)


TORCH = "torch's default generator"


def global_states() -> dict[str, bytes]:
    """The states of the process-wide generators, to be compared."""
    _, keys, *rest = np.random.get_state()
    return {
        TORCH: torch.get_rng_state().numpy().tobytes(),
        "numpy's global generator": np.asarray(keys).tobytes() + repr(rest).encode(),
        "Python's random module": repr(random.getstate()).encode(),
    }


def moved(before: dict[str, bytes], allowed: str = "") -> str:
    """Which process-wide generators, but for the allowed one, were drawn from (or seeded) since; empty for none."""
    return " and ".join(name for name, now in global_states().items() if now != before[name] and name != allowed)


def rng(seed: int = 0) -> torch.Generator:
    """A generator of one's own."""
    return torch.Generator().manual_seed(seed)


def number(x: torch.Tensor) -> float:
    """The value of a scalar that may carry a gradient."""
    return float(x.detach())
