"""Imports and builds an installed plugin, and runs its checks, in a process started by ``health``."""

from __future__ import annotations

import inspect
import io
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from typing import Any

from ganbench.errors import Unsupported
from ganbench.plugins.loading import load
from ganbench.plugins.source import Source
from ganbench.testing import arch, speed, switches
from ganbench.testing.built import Built
from ganbench.testing.dataset import dataset_findings
from ganbench.testing.executor import executor_findings
from ganbench.testing.extractor import extractor_findings
from ganbench.testing.findings import Checks, Declined, Finding, announced_to
from ganbench.testing.games import FORMS
from ganbench.testing.given import Builder
from ganbench.testing.loss import loss_findings
from ganbench.testing.metric import metric_findings
from ganbench.testing.protocol import protocol_findings
from ganbench.testing.randomness import PYTHON, global_states, moved
from ganbench.testing.stage import TrickCase
from ganbench.testing.trick import trick_findings

CHECKS: Checks[Imported] = Checks("plugin")


@dataclass(frozen=True)
class Imported:
    """An imported plugin.

    ``known`` are the arguments that its hook may take, and ``drawn`` and ``turned`` the random generators and the
    settings that the import changed. ``printed`` is its output since then.
    """

    source: Source
    hook: Callable[..., Any]
    known: frozenset[str]
    drawn: str
    turned: tuple[str, ...]
    printed: str = ""

    def findings(self, printed: str) -> list[Finding]:
        """The findings of the checks for every plugin."""
        return CHECKS.run(replace(self, printed=printed), turned=self.turned)


def build(source: Source, say: Callable[[str], None]) -> list[Finding]:
    """Import a plugin and build something; return the findings of the checks for every plugin.

    Args:
        source: the plugin.
        say: called with the next stage ("while being imported"), in case the process ends in it.

    Raises:
        Unsupported, DataError: it declines, because an argument or data is missing.
        PluginError: it cannot be used.
    """
    with redirect_stdout(io.StringIO()) as printed:
        imported = _imported(source, say)
        say("while being built")
        _built(source)
    return imported.findings(printed.getvalue())


def check(source: Source, say: Callable[[str], None]) -> tuple[list[Finding], list[str]]:
    """Import a plugin and check it; return findings, and notes for information (its speed). See ``build``.

    Raises:
        Unsupported, DataError: it declines everything it is tried on, because an argument or data is missing.
        PluginError: it cannot be used.
    """
    with redirect_stdout(io.StringIO()) as printed, announced_to(lambda name: say(f"in the check {name}")):
        imported = _imported(source, say)
        say("while being built")
        found = FINDINGS[source.kind](source)
        for finding in found:
            if isinstance(finding, Declined):
                raise Unsupported(f"it declined everything it was tried on: {finding.seen}", finding.mend)
        say("while its speed was measured")
        notes = [str(SPEED[source.kind](source))] if source.kind in SPEED and not found else []
    return imported.findings(printed.getvalue()) + found, notes


def _imported(source: Source, say: Callable[[str], None]) -> Imported:
    say("while being imported")
    before = global_states()  # many libraries draw from Python's generator on import
    with switches.switches_kept() as turned:
        manager = load(replace(source, argument=""))
    caller = getattr(manager.hook, f"ganbench_{source.kind}")
    (implementation,) = caller.get_hookimpls()
    known = frozenset(caller.spec.argnames)
    return Imported(source, implementation.function, known, moved(before, allowed=PYTHON), tuple(turned))


def _built(source: Source) -> Any:
    """What the hook builds; for an arch, for the first data that it does not decline."""
    builder = Builder(source.kind, source)
    if source.kind != "arch":
        return builder()
    for data in (data for examples in arch.EXAMPLES.values() for data in examples):
        try:
            return builder(data=data, d_norm=None, width=8, z_dim=8)
        except Unsupported as error:
            declined = error
    raise declined


FINDINGS: dict[str, Callable[[Source], list[Finding]]] = {
    "arch": arch.arch_findings,
    "loss": lambda source: loss_findings(source, like=source.name if source.name in FORMS else ""),
    "trick": trick_findings,
    "metric": metric_findings,
    "dataset": dataset_findings,
    "protocol": protocol_findings,
    "extractor": extractor_findings,
    "executor": executor_findings,
}
"""Kind -> its checks. A loss named after a textbook game is compared with it."""


def _speed_of_arch(source: Source) -> speed.Speed:
    builder = Builder("arch", source)
    for data in (
        data for kind in ("images", "points", "audio", "video", "translation") for data in arch.EXAMPLES[kind]
    ):
        for _, case in arch.cases_of(builder, data, width=8, z_dim=8):
            if isinstance(case, Built):
                return speed.speed_of_arch(case)
    raise Unsupported("nothing was built")


def _speed_of_trick(source: Source) -> speed.Speed:
    case = TrickCase(_built(source))
    return speed.speed_of_trick(case.stages[-1].built, case.losses[0][1])


SPEED: dict[str, Callable[[Source], speed.Speed]] = {
    "arch": _speed_of_arch,
    "loss": lambda source: speed.speed_of_loss(_built(source)),
    "trick": _speed_of_trick,
}


# -- checks of every plugin --------------------------------------------------------------------------------------------


@CHECKS.add
def importing_draws_no_random_numbers(case: Imported) -> Iterator[Finding]:
    """A module that seeds or draws on import changes runs that do not use it.

    A plugin is imported when it is first named, possibly after a generator was seeded and before weights are drawn.
    """
    if case.drawn:
        yield Finding(
            seen=f"importing {case.source.module} drew from (or seeded) {case.drawn}",
            expected="a module that only defines things",
            mend="draw inside the hook, with its own generator; the core seeds torch's generator where it matters",
        )


@CHECKS.add
def hook_arguments_have_no_default(case: Imported) -> Iterator[Finding]:
    """A hook takes only those arguments of its kind that it needs.

    Some versions of pluggy (1.6 and older) silently drop arguments that have a default: an arch would then be built
    without the requested normalisation.
    """
    parameters = inspect.signature(case.hook).parameters.values()
    optional = [str(p) for p in parameters if p.name in case.known and p.default is not p.empty]
    if optional:
        yield Finding(
            seen=f"ganbench_{case.source.kind}({', '.join(optional)})",
            expected="arguments without defaults, because they are always passed",
            mend=f"write {', '.join(text.partition('=')[0].partition(':')[0] for text in optional)}",
        )


@CHECKS.add
def nothing_is_printed(case: Imported) -> Iterator[Finding]:
    """Standard output belongs to the command: a plugin's line inside JSON or a table breaks the program that reads it.

    Use warnings or standard error instead.
    """
    if case.printed.strip():
        first = case.printed.strip().splitlines()[0][:80]
        yield Finding(
            f"it printed {first!r}", "nothing on standard output", "use print(..., file=sys.stderr), or logging"
        )
