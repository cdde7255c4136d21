"""Compare a record with a repetition of its run, bit by bit and against the noise between seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from ganbench import plugins
from ganbench.contracts.executor import Job
from ganbench.contracts.kind import Kind
from ganbench.contracts.protocol import Protocol
from ganbench.errors import PluginError, ProtocolError, RecordError, listed
from ganbench.plugins.source import Source
from ganbench.records.record import (
    IN_PLACE_OF,
    Component,
    ExternalRecord,
    Fingerprints,
    Record,
    YardstickRecord,
)
from ganbench.runs.bits import ended_alike, first_difference, shared
from ganbench.runs.changes import parse_changes
from ganbench.runs.conditions import Change
from ganbench.runs.noise import Judged, judge_scores
from ganbench.runs.plan import make_plan
from ganbench.runs.siblings import ENOUGH

Agreement = Literal[
    "identical bits",
    "identical in everything recorded",
    "other bits, within seed noise",
    "other bits, and too few other seeds to judge them by",
    "different",
]
EXACT: tuple[Agreement, ...] = ("identical bits", "identical in everything recorded")


@dataclass(frozen=True)
class Reproduction:
    """A record and its repetition.

    ``first`` says where the two runs first differ in what both records hold (empty if nowhere). ``why`` are sentences
    that explain the verdict. ``judged`` are the scores that were compared by seed noise, the least likely difference
    first.
    """

    verdict: Agreement
    first: str = ""
    why: tuple[str, ...] = ()
    judged: tuple[Judged, ...] = ()

    @property
    def exact(self) -> bool:
        """Whether everything that both records hold is the same."""
        return self.verdict in EXACT

    @property
    def reproduced(self) -> bool:
        """Whether the repetition agrees with the record."""
        return self.exact or self.verdict == "other bits, within seed noise"


def job_of(record: Record, protocol: Protocol, folder: Path, device: str) -> Job:
    """The job that should reproduce this record.

    Raises:
        GanbenchError: the record has no run to repeat, was made under other rules, or needs plugins that are missing.
    """
    if protocol.digest != record.digest:
        raise ProtocolError(
            f"the record was made under {record.protocol} ({record.digest}); these rules have digest {protocol.digest}",
            "give the old rules with --protocol FILE, or install the version that had them",
        )
    if record.status in ("skipped", "interrupted"):
        raise RecordError(
            f"the record says '{record.status}': there is nothing to compare with", "finish the run first"
        )
    if isinstance(record, ExternalRecord):
        raise RecordError(
            f"the samples of '{record.external.name}' were made elsewhere, so they cannot be made again here",
            "judge them again with `ganbench evaluate`",
        )
    plan = partial(make_plan, protocol=protocol, seeds=[record.seed], out=folder, device=device)
    if isinstance(record, YardstickRecord):
        asked = _yardstick_asked(record, protocol)
        return next(job for job in plan([], []).yardsticks if (job.yardstick, job.seed) == (asked, record.seed))
    arch, loss, *tricks = (_installed(kind, part) for kind, part in record.players)
    changes = parse_changes([f"{name}={value}" for name, value in record.changes.items()])
    (job,) = plan([arch], [loss], tricks=tricks, changes=changes).runs
    return job


def _yardstick_asked(record: YardstickRecord, protocol: Protocol) -> str:
    """The yardstick that the protocol names; the record may hold one drawn in its place."""
    known = protocol.evaluation.yardsticks
    asked = next((name for name in known if IN_PLACE_OF.get(name) == record.yardstick), record.yardstick)
    if asked not in known:
        raise RecordError(
            f"the protocol no longer has the yardstick '{record.yardstick}'", f"known: {', '.join(known)}"
        )
    return asked


def compare(
    then: Record, now: Record, changes: Sequence[Change], others: Sequence[Record], kimg: Sequence[float]
) -> Reproduction:
    """Judge a repetition.

    With the same sources, the same machine and the same versions, the bits must be identical. If the surroundings
    changed, bits may change too, and scores are compared by seed noise (``judge_scores``). A changed source or
    different data may change the result itself, so a difference is then never called noise.

    Args:
        then: the record.
        now: its repetition.
        changes: what changed in between (``conditions``).
        others: finished records of the same row with other seeds (``siblings.other_seeds``).
        kimg: thousands of images at the end of each window of the repetition.
    """
    first = first_difference(then, now, kimg)
    if not first and ended_alike(then, now):
        known = then.bits != Fingerprints()
        return Reproduction("identical bits" if known else "identical in everything recorded")
    why = _not_noise(then, now, changes)
    if then.status != now.status:
        why = (*why, _ends(then, now), *_failed(others))
    if why:
        return Reproduction("different", first, why)
    if then.status != "ok":
        return Reproduction("other bits, within seed noise", first, (f"both ended alike: {_ends(then, now)}",))
    return _by_noise(then, now, others, first)


def largest_difference(then: Record, now: Record) -> tuple[str, float]:
    """The column with a direction whose scores differ most, relative to the larger one; ("", 0) if none differ."""
    apart = {
        name: abs(then.scores[name] - now.scores[name]) / max(abs(then.scores[name]), abs(now.scores[name]))
        for name in shared(then.scores, now.scores)
        if now.columns[name].goal != "info" and then.scores[name] != now.scores[name]
    }
    return max(apart.items(), key=lambda item: item[1], default=("", 0.0))


def _by_noise(then: Record, now: Record, others: Sequence[Record], first: str) -> Reproduction:
    """The verdict on two successful runs of the same sources in other surroundings."""
    free = sorted({*then.environment.nondeterministic, *now.environment.nondeterministic})
    why = (f"nondeterministic operations were used: {', '.join(free)}",) if free else ()
    well = [other for other in others if other.status == "ok"]
    judged = tuple(judge_scores(then, now, well))
    if not judged:
        few = "no other seed" if not well else "only one other seed" if len(well) < ENOUGH else "no score"
        lack = "of this row" if len(well) < ENOUGH else "that other seeds of this row share"
        why = (*why, f"there is {few} {lack}, so noise cannot be judged")
        return Reproduction("other bits, and too few other seeds to judge them by", first, why)
    beyond = any(one.beyond_noise for one in judged)
    return Reproduction("different" if beyond else "other bits, within seed noise", first, why, judged)


def _not_noise(then: Record, now: Record, changes: Sequence[Change]) -> tuple[str, ...]:
    """Why seed noise cannot explain a difference; empty if it can."""
    sources = [change.what for change in changes if change.source]
    if sources:
        verb = "has" if len(sources) == 1 else "have"
        return (f"{listed(sources)} {verb} changed, which may be the reason",)
    if changes or then.environment.nondeterministic or now.environment.nondeterministic:
        return ()
    return ("machine, versions and sources are unchanged, so the bits should be identical",)


def _ends(then: Record, now: Record) -> str:
    ends = [f"{end.status} ({end.reason or 'to the end of the budget'})" for end in (then, now)]
    return f"then {ends[0]}, now {ends[1]}"


def _failed(others: Sequence[Record]) -> tuple[str, ...]:
    failed = sum(other.status != "ok" for other in others)
    return (f"{failed} of {len(others)} other seeds of this row failed as well",) if failed else ()


def _installed(kind: Kind, part: Component) -> Source:
    try:
        return plugins.find(kind, f"{part.package}:{part.name}")
    except PluginError as error:
        raise PluginError(
            f"the record needs the {kind} '{part.name}' of {part.package} {part.version}, which is not installed",
            f"pip install {part.package}=={part.version}",
        ) from error
