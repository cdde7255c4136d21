"""Reports of findings, and the class that holds and runs the checks of one kind of plugin."""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import Generic, ParamSpec, TypeVar

import torch

from ganbench.errors import plural, told
from ganbench.testing import switches
from ganbench.testing.finding import Declined, Finding
from ganbench.testing.randomness import seeded

__all__ = [
    "Checks",
    "ConformanceError",
    "Declined",
    "Finding",
    "Findings",
    "announced_to",
    "first_in_each",
    "raising",
    "scalar",
]

Subject = TypeVar("Subject")
Place = TypeVar("Place")
Check = Callable[[Subject], Iterator[Finding]]
CheckInPlace = Callable[[Subject, Place], Iterator[Finding]]
Arguments = ParamSpec("Arguments")
_announce: ContextVar[Callable[[str], None]] = ContextVar("announce", default=lambda check: None)


class ConformanceError(AssertionError):
    """A plugin breaks its contract; the message lists every finding.

    It is an AssertionError, so that test runners report a failed test, not an error.
    """

    def __init__(self, subject: str, findings: Sequence[Finding]) -> None:
        count = plural(len(findings), "conformance check")
        listing = "\n\n".join(f"{number}. {finding}" for number, finding in enumerate(findings, 1))
        super().__init__(f"{subject} fails {count}\n\n{listing}")
        self.findings = tuple(findings)


class Findings(list[Finding]):
    """Everything wrong with one plugin; ``subject`` names it, as in "the loss minimax (ganbench 1.0)"."""

    def __init__(self, subject: str, found: Iterable[Finding]) -> None:
        super().__init__(found)
        self.subject = subject


def raising(findings_of: Callable[Arguments, Findings]) -> Callable[Arguments, None]:
    """Turn ``loss_findings`` into ``check_loss``, which takes the same arguments and raises the findings."""

    @wraps(findings_of)
    def check(*args: Arguments.args, **kwargs: Arguments.kwargs) -> None:
        found = findings_of(*args, **kwargs)
        if found:
            raise ConformanceError(found.subject, found)

    name = findings_of.__name__
    check.__name__ = check.__qualname__ = f"check_{name.removesuffix('_findings')}"
    check.__doc__ = f"Raise one ``ConformanceError`` with everything wrong. The arguments are those of ``{name}``."
    check.__annotations__ = findings_of.__annotations__ | {"return": None}
    signature = inspect.signature(findings_of).replace(return_annotation=None)
    check.__signature__ = signature  # type: ignore[attr-defined]  # inspect reads it, but typeshed lacks it
    return check


class Checks(Generic[Subject]):
    """The named checks of one kind of plugin, in the order in which they run.

    A check is a function ``subject -> findings``. Its name, with hyphens, is the check's name; its docstring says why
    it matters. To add one, decorate the function with ``@CHECKS.add``.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._checks: dict[str, Check[Subject]] = {}
        self._vital: set[str] = set()

    def add(self, check: Check[Subject]) -> Check[Subject]:
        """Decorator: add a check."""
        self._checks[check.__name__.replace("_", "-")] = check
        return check

    def add_vital(self, check: Check[Subject]) -> Check[Subject]:
        """Decorator: add a check; if it fails, the later ones would only repeat its finding, and do not run."""
        self._vital.add(check.__name__.replace("_", "-"))
        return self.add(check)

    def extend(self, others: Checks[Subject]) -> None:
        """Append the checks of another collection."""
        self._checks |= others._checks
        self._vital |= others._vital

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all checks; the check of switches, which comes last, runs along with the others."""
        return (*self._checks, switches.NAME)

    def why(self, name: str) -> str:
        """Why the check matters, in one paragraph."""
        return switches.WHY if name == switches.NAME else " ".join((inspect.getdoc(self._checks[name]) or "").split())

    def run(self, subject: Subject, skip: Collection[str] = (), turned: Collection[str] = ()) -> list[Finding]:
        """Return the findings of every check that is not skipped.

        Random generators are seeded for each check and restored, as are process-wide settings. ``turned`` names the
        settings that building the subject changed.

        Raises:
            ValueError: ``skip`` names a check that does not exist.
        """
        self.refuse_unknown(skip)
        found: list[Finding] = []
        changed = list(turned)
        for name, check in self._checks.items():
            if name in skip:
                continue
            _announce.get()(name)
            with one_thread(), switches.switches_kept() as moved_now:
                new = [replace(finding, check=name, why=self.why(name)) for finding in _tried(check, subject)]
            changed += moved_now
            found += new
            if new and name in self._vital:
                break
        return found + ([] if switches.NAME in skip else switches.findings_of(list(dict.fromkeys(changed))))

    def refuse_unknown(self, skip: Collection[str]) -> None:
        """Raise ValueError if ``skip`` names a check that does not exist."""
        unknown = sorted(set(skip) - set(self.names))
        if unknown:
            raise ValueError(f"no {self.kind} check is called {unknown[0]!r}; choose from {', '.join(self.names)}")


def first_in_each(
    places: Callable[[Subject], Iterable[Place]],
) -> Callable[[CheckInPlace[Subject, Place]], Check[Subject]]:
    """Decorator: run a check that also takes a place (some data, say) in each place of a subject.

    It stops at the first finding, since the other places would only repeat it. ``where`` is the place, unless the
    finding sets it.
    """

    def decorate(check: CheckInPlace[Subject, Place]) -> Check[Subject]:
        @wraps(check)
        def in_turn(subject: Subject) -> Iterator[Finding]:
            for place in places(subject):
                for finding in check(subject, place):
                    yield replace(finding, where=finding.where or str(place))
                    return

        return in_turn

    return decorate


@contextmanager
def one_thread() -> Iterator[None]:
    """Use one thread, because the networks of checks are too small to benefit from more."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def announced_to(listener: Callable[[str], None]) -> Iterator[None]:
    """Call ``listener`` with the name of each check before it begins.

    If a plugin ends the process, the last name says where this happened.
    """
    token = _announce.set(listener)
    try:
        yield
    finally:
        _announce.reset(token)


def _tried(check: Check[Subject], subject: Subject) -> list[Finding]:
    """The check's findings; an exception in the plugin is a finding, too."""
    found: list[Finding] = []
    try:
        with seeded(0):
            found.extend(check(subject))
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a plugin may raise anything
        place = traceback.extract_tb(error.__traceback__)[-1]
        found.append(
            Finding(
                seen=f"{told(error)} ({Path(place.filename).name}, line {place.lineno})",
                expected="no exception",
                mend="call the plugin as the check does, and see where it fails",
            )
        )
    return found


def scalar(x: torch.Tensor) -> float:
    """The value of a scalar that may carry a gradient."""
    return float(x.detach())
