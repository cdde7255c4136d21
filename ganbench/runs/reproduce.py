"""Whether a record can be reproduced: its run, repeated, is compared with it bit by bit and score by score."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import pstdev
from typing import Literal

from ganbench import plugins
from ganbench.contracts.executor import Job
from ganbench.contracts.protocol import Protocol
from ganbench.errors import PluginError, ProtocolError, RecordError
from ganbench.evaluation.yardsticks import IN_PLACE_OF
from ganbench.plugins.source import Source
from ganbench.records.record import Component, Fingerprints, Record
from ganbench.runs.changes import parse_changes
from ganbench.runs.plan import make_plan

Verdict = Literal["identical bits", "same within", "different"]


@dataclass(frozen=True)
class Comparison:
    """A record and its repetition.

    ``largest`` is the largest relative difference of a score, and ``column`` the score. ``first`` says where the two
    runs first differ (empty if they do not, or if the record holds no fingerprints).
    """

    verdict: Verdict
    largest: float
    column: str
    first: str


def job_of(record: Record, protocol: Protocol, folder: Path, device: str) -> Job:
    """The job that should reproduce this record.

    Raises:
        GanbenchError: the record has no run to repeat, other rules, or plugins that are not installed.
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
    parts = [_installed(kind, part) for kind, part in (("arch", record.arch), ("loss", record.loss)) if part]
    tricks = [_installed("trick", part) for part in record.tricks]
    changes = parse_changes([f"{name}={value}" for name, value in record.changes.items()])
    archs, losses = (parts[:1], parts[1:]) if parts else ([], [])
    plan = make_plan(
        archs, losses, protocol, tricks=tricks, seeds=[record.seed], changes=changes, out=folder, device=device
    )
    known = protocol.evaluation.yardsticks
    asked = next((name for name in known if IN_PLACE_OF.get(name) == record.yardstick), record.yardstick)
    if record.yardstick and asked not in known:
        raise RecordError(f"there is no yardstick '{record.yardstick}' any more", f"known: {', '.join(known)}")
    return next(job for job in plan.jobs if (job.yardstick, job.seed) == (asked, record.seed))


def conditions(then: Record, now: Record) -> list[str]:
    """Sentences on what has changed since the record; each change may change bits."""
    before, after = then.environment, now.environment
    comparable = min(then.format, 3) == min(now.format, 3)  # since format 3 hashes of code are of one kind
    told = [
        f"{name}: {getattr(before, name) or 'none'} then, {getattr(after, name) or 'none'} now"
        for name in ("device", "torch", "cuda", "cudnn", "python", "threads", "precision", "system", "ganbench", "core")
        if getattr(before, name)
        and getattr(before, name) != getattr(after, name)
        and not (name == "core" and not comparable)
    ]
    pairs = [("arch", then.arch, now.arch), ("loss", then.loss, now.loss)]
    pairs += [("trick", *both) for both in zip(then.tricks, now.tricks, strict=False)]
    pairs += [("metric", part, now.metrics.get(name)) for name, part in then.metrics.items()]
    pairs += [(kind, part, now.parts.get(kind)) for kind, part in then.parts.items()]
    if comparable:
        told += [
            f"{kind} {a.name}: source {_code(a)} then, {_code(b)} now" for kind, a, b in pairs if a and b and a != b
        ]
    else:
        told.append("code: its hash was computed differently then, so changes cannot be detected")
    for what in ("dataset_hash", "extractor"):
        if getattr(then, what) != getattr(now, what):
            told.append(f"{what.replace('_', ' ')}: {getattr(then, what)} then, {getattr(now, what)} now")
    return told


def compare(then: Record, now: Record, kimg: Sequence[float], tolerance: float) -> Comparison:
    """Judge a repetition.

    Args:
        then, now: the record and its repetition.
        kimg: thousands of images at the end of each window of the repetition.
        tolerance: the relative difference up to which scores count as the same.
    """
    largest, column = _largest_difference(then, now)
    first = _first_difference(then, now, kimg)
    ended_alike = (then.status, then.reason) == (now.status, now.reason) or then.status == now.status == "ok"
    if ended_alike and then.bits != Fingerprints() and not first and largest == 0:
        return Comparison("identical bits", 0.0, "", "")
    same = then.status == now.status and largest <= tolerance
    return Comparison("same within" if same else "different", largest, column, first)


def _installed(kind: str, part: Component) -> Source:
    try:
        return plugins.find(kind, f"{part.package}:{part.name}")
    except PluginError as error:
        raise PluginError(
            f"the record needs the {kind} '{part.name}' of {part.package} {part.version}, which is not installed",
            f"pip install {part.package}=={part.version}",
        ) from error


def _code(part: Component) -> str:
    return f"{part.source or 'unknown'} ({part.version})"


def _largest_difference(then: Record, now: Record) -> tuple[float, str]:
    """The largest relative difference between draws of one score; infinite where a score is missing.

    A score near zero (KID, say) is measured by its spread over the record's draws instead.
    """
    largest, column = 0.0, ""
    pairs = [*zip(then.draws, now.draws, strict=False), (then.scores, now.scores)]
    if then.best and now.best:
        pairs.append((then.best.scores, now.best.scores))
    for old, new in pairs:
        for name in {**old, **new}:
            a, b = old.get(name, math.nan), new.get(name, math.nan)
            spread = pstdev(draw[name] for draw in then.draws) if name in old and then.draws else 0.0
            difference = 0.0 if a == b else abs(a - b) / max(abs(a), abs(b), spread, 1e-6)
            if not difference <= largest:
                largest, column = (math.inf if math.isnan(difference) else difference), name
    if len(then.draws) != len(now.draws):
        return math.inf, "the number of evaluation draws"
    return largest, column


def _first_difference(then: Record, now: Record, kimg: Sequence[float]) -> str:
    """Where the two runs first differ, as far as both records tell."""
    old, new = then.bits.trace.split(), now.bits.trace.split()
    for window, (a, b) in enumerate(zip(old, new, strict=False)):
        if a != b:
            since = kimg[window - 1] if window else 0.0
            return f"weights or losses differ between {since:g} and {kimg[window]:g} kimg (window {window + 1})"
    if old and len(old) != len(new):
        return f"one ended after {len(old)} windows of training, the other after {len(new)}"
    if then.bits.weights != now.bits.weights and then.bits.weights:
        return "the final weights differ"
    for draw, (a, b) in enumerate(zip(then.bits.samples, now.bits.samples, strict=False)):
        if a != b:
            return f"the weights are the same, but the samples of evaluation draw {draw} differ"
    if (then.draws, then.scores, then.best) != (now.draws, now.scores, now.best or then.best):
        return "the samples are the same, but their scores differ"
    return ""
