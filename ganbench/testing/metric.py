"""Conformance checks of a metric: its declarations, its return values, and which samples it prefers."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import chain, pairwise
from types import ModuleType
from typing import NamedTuple

import torch

from ganbench import plugins
from ganbench.contracts.metric import NEEDS, Absent, Goal, Metric
from ganbench.contracts.protocol import Protocol, parse
from ganbench.errors import Unsupported, listed, told
from ganbench.plugins.source import Source
from ganbench.testing.findings import Checks, Declined, Finding, Findings, first_in_each, raising
from ganbench.testing.given import made
from ganbench.testing.members import unpickled
from ganbench.testing.randomness import replay
from ganbench.testing.worlds import World, clips, images, line, of_data, points

CHECKS: Checks[MetricCase] = Checks("metric")
Given = Metric | str | Source | ModuleType | Callable[..., Metric]
SLACK = 0.1
XLOGY = "take log_softmax of the logits, or torch.special.xlogy and entr for p log p"


class ScoredColumn(NamedTuple):
    """A column with a direction, and the scores of kinds of fakes in one world, without those that have no score."""

    world: World
    name: str
    goal: Goal
    scores: dict[str, float]

    @property
    def merits(self) -> dict[str, float]:
        """The scores, with a sign such that higher is better."""
        sign = 1.0 if self.goal == "max" else -1.0
        return {fake: sign * score for fake, score in self.scores.items()}

    @property
    def spread(self) -> float:
        """The distance between the best and the worst score."""
        return max(self.scores.values(), default=0.0) - min(self.scores.values(), default=0.0)


@dataclass(frozen=True)
class MetricCase:
    """A metric under test, and the worlds it is tried in; the special ones are used if it declines all the others."""

    metric: Metric
    tried: tuple[World, ...]
    special: tuple[World, ...] = ()
    home: Callable[[], tuple[World, ...]] = tuple

    @cached_property
    def worlds(self) -> list[World]:
        """The worlds in which it scores; it may decline worlds that it does not support."""
        return self._fitting(self.tried) or self._fitting(self.special) or self._fitting(self.home())

    def _fitting(self, worlds: tuple[World, ...]) -> list[World]:
        fitting = []
        for world in worlds:
            try:
                self.metric(world.evaluation("other"))
            except Unsupported:
                continue
            fitting.append(world)
        return fitting

    def score(self, world: World, fake: str, seed: int = 0) -> dict[str, float]:
        """The scores of all columns that have one, as floats."""
        return _numbers(self.metric(world.evaluation(fake, seed)))

    def compared(self, *fakes: str) -> Iterator[ScoredColumn]:
        """Every column with a direction, in every world, with the scores of these kinds of fakes."""
        for world in self.worlds:
            scores = {fake: self.score(world, fake) for fake in fakes}
            for name, goal in self.metric.columns.items():
                if goal != "info":
                    found = {fake: score[name] for fake, score in scores.items() if name in score}
                    yield ScoredColumn(world, name, goal, found)


def _numbers(returned: Mapping[str, float | Absent]) -> dict[str, float]:
    return {name: float(value) for name, value in returned.items() if not isinstance(value, Absent)}


def metric_findings(metric: Given, skip: Collection[str] = ()) -> Findings:
    """List everything wrong with a metric, without raising.

    It is tried on images with a classifier and on points with an oracle, with 300 real and 300 fake samples each, and
    may decline one of the two. If it declines both, it is tried on points on a line and on clips, and if it declines
    those as well, on 100 samples from a protocol that names it.

    Args:
        metric: what ``ganbench_metric`` returns; or an installed metric's name, the module with the hook, or the hook.
        skip: names of checks that do not apply.

    Raises:
        ValueError: ``skip`` names a check that does not exist.
        PluginError: no metric is installed under that name, or it cannot be used.
        TypeError: a class was given.
    """
    subject = made("metric", metric)
    home = partial(_home_of, subject.builder.name if subject.builder else "")
    case = MetricCase(subject.it, (images(), points()), (line(), clips()), home)
    return Findings(subject.title, CHECKS.run(case, skip, subject.turned))


check_metric = raising(metric_findings)
"""Raise one ``ConformanceError`` with everything wrong. The arguments are those of ``metric_findings``."""


def _home_of(name: str) -> tuple[World, ...]:
    """The data of the first installed protocol that names an installed metric."""
    for source in plugins.of_kind("protocol"):
        rules = plugins.build(source)
        protocol = rules if isinstance(rules, Protocol) else parse(rules, str(source))
        if name and name in protocol.evaluation.metrics and protocol.evaluation.extractor:
            data = plugins.find_for(protocol.name, "dataset", protocol.dataset)
            extractor = plugins.find_for(protocol.name, "extractor", protocol.evaluation.extractor)
            built = plugins.build(data, argument=data.argument, resolution=protocol.resolution)
            return (of_data(built, plugins.build(extractor, argument=extractor.argument)),)
    return ()


def _worlds(case: MetricCase) -> list[World]:
    return case.worlds


in_each = first_in_each(_worlds)


# -- the contract ------------------------------------------------------------------------------------------------------


@CHECKS.add_vital
def columns_are_declared(case: MetricCase) -> Iterator[Finding]:
    """A metric's declarations determine the layout, ranks and intervals of the table before any sample is scored."""
    columns, version = getattr(case.metric, "columns", None), getattr(case.metric, "version", None)
    if not columns or set(columns.values()) - {"min", "max", "info"}:
        yield Finding(
            f"columns = {columns!r}", '{"name": "min", "max" or "info"}', "declare the direction of each column"
        )
        return
    if unknown := [need for need in getattr(case.metric, "needs", ()) if need not in NEEDS]:
        yield Finding(f"needs {unknown[0]!r}", f"some of {listed(NEEDS)}", "correct the spelling, or leave it out")
    if not isinstance(version, int):
        yield Finding(
            f"version = {version!r}", "a whole number", "increase it whenever the scores of the same samples change"
        )
    ranges = getattr(case.metric, "ranges", {})
    for name, limits in ranges.items():
        low, high = limits
        if name not in columns or (low is not None and high is not None and low >= high):
            yield Finding(
                f"ranges[{name!r}] = {limits!r}", "(lowest, highest) of a declared column", "correct the range"
            )


@CHECKS.add_vital
def metric_scores_something(case: MetricCase) -> Iterator[Finding]:
    """A metric must raise Unsupported for samples that it cannot score.

    A metric that declines ordinary images with a classifier and ordinary points with an oracle cannot be checked here.
    """
    if not case.worlds:
        yield Declined(
            seen=f"Unsupported for {' and for '.join(world.name for world in (*case.tried, *case.special))}",
            expected="scores for one of them",
            mend="decline only if an input is missing; there are features, logits, labels, an oracle and a generator",
        )


@CHECKS.add_vital
@in_each
def declared_columns_are_returned(case: MetricCase, world: World) -> Iterator[Finding]:
    """A metric must return a number or ``Absent`` for every declared column, and nothing else.

    If it returns anything else, a run fails after its training.
    """
    returned = case.metric(world.evaluation("other"))
    if set(returned) != set(case.metric.columns):
        yield Finding(
            seen=f"it returns {sorted(returned)}",
            expected=f"the declared {sorted(case.metric.columns)}",
            mend="declare and return the same columns; Absent(reason) stands for a score that does not exist",
        )


@CHECKS.add
@in_each
def absent_columns_give_a_reason(case: MetricCase, world: World) -> Iterator[Finding]:
    """Records and tables show the reason in place of the score. Without one, a dash stays unexplained."""
    for fake in world.fakes:
        for name, value in case.metric(world.evaluation(fake)).items():
            if isinstance(value, Absent) and not value.reason.strip():
                yield Finding(
                    seen=f"{name} is Absent without a reason",
                    expected="a reason in a few words",
                    mend='Absent("hardly any sample is of high quality")',
                    where=f"{world}, {fake}",
                )


@CHECKS.add
@in_each
def scores_are_finite_and_in_range(case: MetricCase, world: World) -> Iterator[Finding]:
    """Scores must be finite for any samples: good ones, noise, one class, or a single repeated one.

    A NaN in a table is a defect of the metric, and a collapsed generator also needs a score. Intervals are clipped to
    the range, and a column in (0, None) is compared on the log scale.
    """
    ranges = getattr(case.metric, "ranges", {})
    for fake in world.fakes:
        for name, value in case.score(world, fake).items():
            low, high = ranges.get(name, (None, None))
            if not math.isfinite(value) or value < _or(low, -math.inf) or value > _or(high, math.inf):
                yield Finding(
                    seen=f"{name} = {value}",
                    expected=f"a finite number in ({low}, {high})",
                    mend="clip rounding errors, and return Absent(reason) if a score does not exist",
                    where=f"{world}, {fake}",
                )


@CHECKS.add
@in_each
def sure_classifiers_leave_the_score_finite(case: MetricCase, world: World) -> Iterator[Finding]:
    """A score must be finite even where a probability or a share is exactly 0.

    A confident classifier gives such probabilities, and a class without fakes has such a share. The logarithm of 0 is
    minus infinity, and 0 times that is NaN.
    """
    for fake in ("one_class", "noise", "half", "other"):
        less_sure = case.score(world, fake)
        for name, value in case.score(world.surer(), fake).items():
            if name not in less_sure:
                continue
            expected = ""
            if not math.isfinite(value):
                expected = "a finite number"
            elif fake in ("half", "other") and not math.isclose(value, less_sure[name], rel_tol=0.05, abs_tol=0.05):
                expected = f"about {less_sure[name]:.4g}, as for a classifier almost as sure"  # max(1, nan) is 1
            if expected:
                seen = f"{name} = {value:.4g} where the classifier's probabilities are exactly 0 and 1"
                yield Finding(seen, expected, XLOGY, where=f"{world}, {fake}")


@CHECKS.add
@in_each
def what_cannot_be_scored_is_declined(case: MetricCase, world: World) -> Iterator[Finding]:
    """Without an extractor, or with a single fake, many scores do not exist.

    ``Unsupported`` and ``Absent`` explain this; any other exception, or a NaN, looks like a broken plugin.
    """
    for what, evaluation in (
        ("no extractor", replace(world.evaluation("other"), extractor=None)),
        ("a single fake", world.evaluation("other", n=1)),
    ):
        try:
            values = _numbers(case.metric(evaluation)).values()
        except Unsupported:
            continue
        except Exception as error:
            seen = told(error)
        else:
            if all(map(math.isfinite, values)):
                continue
            seen = f"the scores {list(values)}"
        yield Finding(
            seen=f"with {what}: {seen}",
            expected="a finite score, ganbench.Absent, or ganbench.Unsupported",
            mend='raise Unsupported("needs ...") with what is missing, or return Absent("...") for some columns',
        )


@CHECKS.add
def diverged_samples_do_not_score_like_good_ones(case: MetricCase) -> Iterator[Finding]:
    """Samples that are NaN must not be ignored; half of these fakes are.

    A metric that drops such samples, or treats them as zeros, gives a broken generator the score of its better half.
    An exception, a NaN or a worse score would reveal it.
    """
    for world in case.worlds:
        if world.real[0].dtype != torch.float32:  # a NaN cannot be stored as uint8
            continue
        good = world.evaluation("other")
        bad = replace(good, fake=torch.where(torch.arange(len(good.fake))[:, None] % 2 == 0, math.nan, good.fake))
        try:
            after = _numbers(case.metric(bad))
        except Exception:
            continue
        scores = {fake: case.score(world, fake) for fake in ("other", "noise", "one_class")}
        if all(math.isfinite(value) for value in after.values()) and _alike(case.metric, after, scores):
            yield Finding(
                seen=f"{_listed(after)} where every other fake is NaN, {_listed(scores['other'])} where none is",
                expected="an exception, a NaN, or a worse score",
                mend="remove nan_to_num, nanmean and isfinite masks from the metric",
                where=str(world),
            )


def _alike(metric: Metric, one: Mapping[str, float], scores: Mapping[str, Mapping[str, float]]) -> bool:
    """Whether every column with a direction is within a tenth of its spread of the score of good samples."""
    for name in (name for name, goal in metric.columns.items() if goal != "info"):
        if name not in one or name not in scores["other"]:
            if (name in one) != (name in scores["other"]):
                return False
            continue
        values = [score[name] for score in scores.values() if name in score]
        if abs(one[name] - scores["other"][name]) > SLACK * (max(values) - min(values)):
            return False
    return True


def _listed(scores: Mapping[str, float]) -> str:
    return ", ".join(f"{name} = {value:.4g}" for name, value in scores.items())


@CHECKS.add
def metric_survives_pickling(case: MetricCase) -> Iterator[Finding]:
    """Samples are scored in worker processes, which must use exactly the same metric."""
    twin = unpickled(case.metric, "metric")
    if isinstance(twin, Finding):
        yield twin
        return
    for world in case.worlds:
        ours, theirs = case.score(world, "other"), replace(case, metric=twin).score(world, "other")
        if ours != theirs:
            seen = f"{_listed(ours)}, after pickling {_listed(theirs)}"
            yield Finding(seen, "the same", "keep every setting in the object")
            return


# -- repeatable --------------------------------------------------------------------------------------------------------


@CHECKS.add
@in_each
def scores_follow_from_samples_and_rng(case: MetricCase, world: World) -> Iterator[Finding]:
    """The same samples must have the same score, at any time and alongside any other metric.

    evaluation.rng must be a metric's only source of randomness: draws from elsewhere depend on the rest of the program,
    and affect it.
    """
    one, other = (replay(lambda: case.score(world, "other"), seed) for seed in (1, 2))
    differ = [name for name in one.value if one.value[name] != other.value[name]]
    if other.drew or differ:
        yield Finding(
            seen=f"it drew from (or seeded) {other.drew}"
            if other.drew
            else f"{', '.join(differ)}: a different value each time",
            expected="random numbers from evaluation.rng only",
            mend="pass generator=evaluation.rng; for numpy or scikit-learn draw a seed from it",
        )


@CHECKS.add
@in_each
def scoring_changes_nothing(case: MetricCase, world: World) -> Iterator[Finding]:
    """Metrics use the same samples and the same generator one after the other.

    If a metric changes them, the next metric scores the result.
    """
    given, untouched = world.evaluation("other"), world.evaluation("other")
    assert given.generator is not None
    assert untouched.generator is not None
    case.metric(given)
    changed = [name for name in ("real", "fake") if not torch.equal(getattr(given, name), getattr(untouched, name))]
    weights = zip(given.generator.parameters(), untouched.generator.parameters(), strict=True)
    if given.generator.training or not all(torch.equal(one, other) for one, other in weights):
        changed.append("generator")
    if changed:
        yield Finding(
            seen=f"it changed evaluation's {', '.join(changed)}",
            expected="an unchanged evaluation",
            mend="work on copies, without in-place operations or .train()",
        )


# -- sensible ----------------------------------------------------------------------------------------------------------


@CHECKS.add
def better_samples_score_no_worse(case: MetricCase) -> Iterator[Finding]:
    """In every column with a direction, real samples must score no worse than noise or a single class.

    They must also score better than at least one of the two, or the column says nothing. The tolerance for chance is a
    tenth of the column's spread.
    """
    named = {"other": "real samples", "noise": "noise", "one_class": "one class"}
    for column in case.compared(*named):
        merits = column.merits
        others = [merits[fake] for fake in ("noise", "one_class") if fake in merits]
        if "other" not in merits or not others:
            continue
        if merits["other"] < max(others) - SLACK * column.spread or merits["other"] <= min(others):
            yield Finding(
                seen=f"{column.name}: {', '.join(f'{named[fake]} {x:.4g}' for fake, x in column.scores.items())}",
                expected=f"real samples best, as {column.goal!r} is better",
                mend='correct the direction in columns, or declare the column "info"',
                where=str(column.world),
            )


@CHECKS.add
def scores_fall_with_every_step_towards_noise_and_collapse(case: MetricCase) -> Iterator[Finding]:
    """No step towards noise, or towards a single class, may improve the score.

    The steps are a quarter, a half and only noise among good samples, and half of the classes and one. A column that is
    not monotonic along the way ranks the worse of two generators above the better one. The tolerance is a fifth of the
    column's spread, since density, for example, does not detect mode collapse.
    """
    paths = (("other", "quarter_noise", "half_noise", "noise"), ("other", "half", "one_class"))
    for column in case.compared(*dict.fromkeys(chain(*paths))):
        merits = column.merits
        for path in ([fake for fake in path if fake in merits] for path in paths):
            for better, worse in pairwise(path):
                if merits[worse] > merits[better] + 2 * SLACK * column.spread:
                    yield Finding(
                        seen=f"{column.name}: {', '.join(f'{fake} {column.scores[fake]:.4g}' for fake in path)}",
                        expected=f"no step that improves the score ({column.goal!r} is better)",
                        mend='correct the direction in columns, or declare the column "info"',
                        where=str(column.world),
                    )


@CHECKS.add
def a_copy_of_the_reals_is_beyond_reproach(case: MetricCase) -> Iterator[Finding]:
    """Real and fake samples must be processed in the same way: one resize, one rounding, one precision.

    Otherwise the generator's scores suffer for the difference, and even a copy of the real samples falls short of the
    best possible score (the one in ``ranges``, if the column has one; the tolerance is a fiftieth of its spread).
    """
    ranges = getattr(case.metric, "ranges", {})
    for column in case.compared("real", "other", "noise", "one_class"):
        low, high = ranges.get(column.name, (None, None))
        best = low if column.goal == "min" else high
        if best is None or "real" not in column.scores:
            continue
        reached, values = column.scores["real"], [best, *column.scores.values()]
        if abs(reached - best) > 0.02 * (max(values) - min(values)):
            yield Finding(
                seen=f"{column.name} of a copy of the real samples: {reached:.4g}",
                expected=f"{best:g}, the best of its range",
                mend="treat evaluation.real and evaluation.fake alike: one function, called on both",
                where=str(column.world),
            )


@CHECKS.add
def the_reals_have_not_collapsed(case: MetricCase) -> Iterator[Finding]:
    """A row with a collapsed seed is not ranked.

    The limits in ``collapsed_at`` must name declared columns, and real data must not reach them.
    """
    limits_of = getattr(case.metric, "collapsed_at", None)
    for world in case.worlds if limits_of else ():
        evaluation = world.evaluation("real")
        scores = _numbers(case.metric(evaluation))
        for name, limit in limits_of(evaluation).items() if limits_of else ():
            goal = case.metric.columns.get(name)
            if goal is None or not math.isfinite(limit):
                yield Finding(
                    f"collapsed_at = {{{name!r}: {limit!r}}}", "a finite limit of a declared column", "correct it"
                )
            elif name in scores and (scores[name] >= limit if goal == "min" else scores[name] <= limit):
                yield Finding(
                    seen=f"{name} of a copy of the real samples: {scores[name]:.4g}; collapsed at {limit:g}",
                    expected="a limit that only useless samples reach",
                    mend="a limit is an upper bound for max and info, a lower bound for min",
                    where=str(world),
                )


# -- small things ------------------------------------------------------------------------------------------------------


def _or(limit: float | None, otherwise: float) -> float:
    return otherwise if limit is None else limit
