"""Trained generator -> samples -> features (once) -> metrics."""

from __future__ import annotations

import hashlib
import math
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Literal

import torch
from torch import Tensor, nn

from ganbench.contracts.arch import GAN
from ganbench.contracts.data import Batch, Dataset, DataSpec, Oracle, Split, quantise, to_signal
from ganbench.contracts.extractor import BATCH, Extractor, Features, extract, stream
from ganbench.contracts.metric import Goal, Metric
from ganbench.errors import DataError, Diverged, PluginError, Unsupported
from ganbench.evaluation.cache import Kept, Results

MANY = 10_000
"""Samples whose features are not kept where nothing but their moments is asked for."""
FEW = 2000
"""Samples of each set of fakes whose features a judge remembers: enough to see a collapse."""


@dataclass
class Evaluation:
    """What a metric is given.

    ``real`` and ``fake`` are ``[N, *shape]`` as stored (uint8 images, float32 points) on the CPU, ``real_labels`` and
    ``fake_labels`` are ``[N]`` or None. ``generator`` is the averaged GAN in eval mode, None for samples from a file
    or a yardstick. ``rng`` is the metric's only source of randomness. ``features()`` runs the protocol's extractor
    once, however many metrics ask; ``blocks()`` gives the same features some hundred at a time; ``of_reals()`` keeps
    what follows from the reals alone for the next evaluation; ``view()`` is the same evaluation of other arrays.

    Of translations, ``real_source`` holds what each fake was made of, and ``fake_source`` what was made of each real on
    the way back, ``[N, *source_shape]`` as stored or None; ``paired`` says that ``real[i]`` is the truth of
    ``fake[i]``, and ``real_source[i]`` that of ``fake_source[i]``. ``remake`` makes samples as the fakes were made, for
    other labels and sources, and ``dataset`` holds all parts of the real data; each is None where there is none.
    """

    real: Tensor
    fake: Tensor
    spec: DataSpec
    rng: torch.Generator
    real_labels: Tensor | None = None
    fake_labels: Tensor | None = None
    oracle: Oracle | None = None
    extractor: Extractor | None = None
    generator: GAN | None = None
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    real_features: tuple[Tensor, Tensor | None] | None = None
    real_source: Tensor | None = None
    fake_source: Tensor | None = None
    paired: bool = False
    dataset: Dataset | None = None
    remake: Callable[[Split], Split] | None = None
    used_extractor: bool = False
    viewed: list[Evaluation] = field(default_factory=list, init=False)
    sole: bool = field(default=False, init=False)
    kept: Kept = field(default_factory=Kept, init=False)

    def features(self, extractor: Extractor | None = None) -> Features:
        """Features and logits of reals and fakes under the protocol's extractor, or under one given.

        Raises:
            Unsupported: the protocol names no extractor and none is given.
        """
        if extractor is not None:
            real, real_logits = extract(extractor, self.real, self.device)
            fake, fake_logits = extract(extractor, self.fake, self.device)
            return Features(real, fake, real_logits, fake_logits)
        self.used_extractor = True
        return self._protocol_features

    def blocks(self, of: Literal["real", "fake"]) -> Iterator[Tensor]:
        """Features under the protocol's extractor, ``[B, d]`` at a time, in order.

        Where a single metric is asked for and there are many samples, they are forgotten as they go by: memory does not
        grow with their number. The bits are those of ``features()`` either way.

        Raises:
            Unsupported: as ``features``.
        """
        x = self.fake if of == "fake" else self.real
        known = self.known_features is not None or (of == "real" and self.kept.known(self._fingerprint, "features"))
        if self.sole and len(x) > MANY and self.extractor is not None and not known:
            self.used_extractor = True
            yield from (features for features, _ in stream(self.extractor, x, self.device))
        else:
            features = self.features()
            yield from (features.fake if of == "fake" else features.real).split(BATCH)

    def of_reals(self, name: str, compute: Callable[[], Results]) -> Results:
        """What ``compute`` makes of the reals and their features under the protocol's extractor, and of nothing else:
        computed once for all evaluations that share them, and kept on disk where it took long. ``name`` tells it from
        what else its module computes, settings and version included."""
        self.used_extractor = True
        return self.kept.once(self._fingerprint, f"{compute.__module__}: {name}", compute)

    def view(
        self,
        real: Tensor,
        fake: Tensor,
        *,
        extractor: Extractor | None = None,
        oracle: Oracle | None = None,
        real_labels: Tensor | None = None,
        fake_labels: Tensor | None = None,
    ) -> Evaluation:
        """Another look at the samples, ``[M, *other_shape]``: the frames of clips, say, as images. It has an extractor
        of its own, after which the metric's columns are named if they come from its features.

        Raises:
            ValueError: there is another view already, under another extractor: which one would name the columns?
        """
        if extractor is not None and any(v.extractor is not extractor for v in self.viewed):
            raise ValueError("a metric looks through one extractor")
        spec = DataSpec(tuple(real.shape[1:]), bounded=self.spec.bounded)
        other = Evaluation(real, fake, spec, self.rng, real_labels, fake_labels, oracle, extractor, device=self.device)
        self.viewed.append(other)
        return other

    @property
    def named_after(self) -> Extractor | None:
        """Whose features the metric has used: the protocol's extractor, or that of a view."""
        return next((e.extractor for e in (self, *self.viewed) if e.used_extractor), None)

    @property
    def known_features(self) -> Features | None:
        """Those of the protocol's extractor, if a metric has asked for them."""
        known: Features | None = vars(self).get("_protocol_features")
        return known

    @cached_property
    def _fingerprint(self) -> str:
        return self.kept.fingerprint(self.real)

    @cached_property
    def _protocol_features(self) -> Features:
        if self.extractor is None:
            raise Unsupported("needs a feature extractor and the protocol names none")
        real, real_logits = self.real_features or self._extracted_reals(self.extractor)
        if self.fake is self.real:
            return Features(real, real, real_logits, real_logits)
        fake, fake_logits = extract(self.extractor, self.fake, self.device)
        return Features(real, fake, real_logits, fake_logits)

    def _extracted_reals(self, extractor: Extractor) -> tuple[Tensor, Tensor | None]:
        def compute() -> Results:
            features, logits = extract(extractor, self.real, self.device)
            return {"features": features} if logits is None else {"features": features, "logits": logits}

        found = self.kept.once(self._fingerprint, "features", compute)
        return found["features"], found.get("logits")


@dataclass(frozen=True)
class Verdict:
    """Scores of one evaluation, named in full, what their columns mean, and which metric gave them."""

    scores: dict[str, float]
    columns: dict[str, tuple[Goal, float | None, float | None]]
    metric_of: dict[str, str]


class Judge:
    """Scores samples under one protocol; real samples and their features are prepared once.

    Args:
        dataset: the protocol's data.
        reference: the reals that fakes are compared with, ``samples`` of them.
        metrics: name -> metric.
        extractor: in whose feature space, or None.
        device: where features are computed.
        kept: what is known of reals already; judges with the same extractor on the same device share it.
    """

    def __init__(
        self,
        dataset: Dataset,
        reference: Split,
        metrics: Mapping[str, Metric],
        extractor: Extractor | None,
        device: torch.device,
        kept: Kept | None = None,
    ) -> None:
        self.dataset, self.reference, self.metrics, self.device = dataset, reference, metrics, device
        self.extractor = extractor.to(device).eval() if extractor is not None else None
        self.kept = kept or Kept()
        self._seen: dict[int, tuple[weakref.ref[Tensor], Tensor]] = {}

    @cached_property
    def tag(self) -> str:
        """The extractor's, or nothing; it takes a hash over all weights."""
        return self.extractor.tag if self.extractor is not None else ""

    def score(
        self,
        fake: Split,
        seed: int,
        *,
        real: Split | None = None,
        generator: GAN | None = None,
        remake: Callable[[Split], Split] | None = None,
        only: Sequence[str] | None = None,
    ) -> Verdict:
        """Score fakes (as stored) against the reference, or against ``real`` where given. ``remake`` makes fakes in the
        same way for other conditions; that of a ``generator`` need not be given.

        Raises:
            PluginError: a metric cannot score this, returns other columns than it declares, or a value that is not
                finite.
        """
        real = real or self.reference
        if generator is not None:
            remake = partial(sample, generator, seed=seed, device=self.device)
        evaluation = Evaluation(
            real=real.x,
            fake=fake.x,
            spec=self.dataset.spec,
            rng=torch.Generator(),
            real_labels=real.labels,
            fake_labels=fake.labels,
            oracle=self.dataset.oracle,
            extractor=self.extractor,
            generator=generator,
            device=self.device,
            real_source=real.source,
            fake_source=fake.source,
            paired=real.paired and fake.paired,
            dataset=self.dataset,
            remake=remake,
        )
        asked = {name: metric for name, metric in self.metrics.items() if only is None or name in only}
        evaluation.kept, evaluation.sole = self.kept, len(asked) == 1
        scores: dict[str, float] = {}
        columns: dict[str, tuple[Goal, float | None, float | None]] = {}
        metric_of: dict[str, str] = {}
        for name, metric in asked.items():
            # a stream of its own: what a metric draws depends on no other metric, and on no latent
            own = hashlib.sha256(f"{seed}|metric|{name}".encode()).digest()[:8]
            evaluation.rng.manual_seed(int.from_bytes(own, "big") >> 1)
            for column, value in self._apply(name, metric, evaluation).items():
                title = f"{column}@{self._tag_of(evaluation.named_after)}" if evaluation.named_after else column
                low, high = getattr(metric, "ranges", {}).get(column, (None, None))
                scores[title], columns[title] = value, (metric.columns[column], low, high)
                metric_of[title] = name
        if (features := evaluation.known_features) is not None:
            self._seen = {key: seen for key, seen in self._seen.items() if seen[0]() is not None}
            self._seen[id(fake.x)] = weakref.ref(fake.x), features.fake[:FEW].clone()
        return Verdict(scores, columns, metric_of)

    def _tag_of(self, extractor: Extractor) -> str:
        return self.tag if extractor is self.extractor else extractor.tag

    def signal(self, split: Split) -> Tensor:
        """``[n, d]`` of at most the first ``FEW`` samples: features, or the samples themselves without an extractor."""
        if self.extractor is None:
            return to_signal(split.x[:FEW]).flatten(1).double()
        fakes, features = self._seen.get(id(split.x), (None, None))
        if fakes is not None and features is not None and fakes() is split.x:
            return features
        known = self.kept.known(self.kept.fingerprint(split.x), "features")
        return known["features"][:FEW] if known is not None else extract(self.extractor, split.x[:FEW], self.device)[0]

    @staticmethod
    def _apply(name: str, metric: Metric, evaluation: Evaluation) -> dict[str, float]:
        evaluation.used_extractor = False
        evaluation.viewed.clear()
        try:
            values = {column: float(value) for column, value in metric(evaluation).items()}
        except Unsupported as error:
            raise PluginError(f"the metric '{name}' cannot score this: {error.message}", error.hint) from error
        except Exception as error:
            raise PluginError(f"the metric '{name}' failed: {type(error).__name__}: {error}") from error
        if set(values) != set(metric.columns):
            raise PluginError(f"the metric '{name}' declares {sorted(metric.columns)} but returned {sorted(values)}")
        bad = [column for column, value in values.items() if not math.isfinite(value)]
        if bad:
            raise PluginError(f"the metric '{name}' returned {bad[0]} = {values[bad[0]]}, which is not finite")
        return values


def metric_of_column(metrics: Mapping[str, Metric], column: str) -> str:
    """The metric that a column belongs to.

    Raises:
        PluginError: none of them declares it.
    """
    for name, metric in metrics.items():
        if column in metric.columns:
            return name
    raise PluginError(
        f"no metric of the protocol has a column '{column}'",
        f"columns: {', '.join(c for m in metrics.values() for c in m.columns)}",
    )


def draw_reference(dataset: Dataset, part: str, samples: int, seed: int) -> Split:
    """``samples`` reals of one part, without repetition, chosen by a seeded permutation.

    Raises:
        DataError: the part has fewer.
    """
    split = dataset.part(part)
    if len(split) < samples:
        raise DataError(
            f"the protocol judges {samples} samples but '{dataset.name}' has {len(split)} in its {part} part",
            "lower `samples` in the protocol" + (', or use reference = "all"' if part != "all" else ""),
        )
    order = torch.randperm(len(split), generator=torch.Generator().manual_seed(seed))
    return split[order[:samples].sort().values]


def sample(gan: GAN, like: Split, seed: int, device: torch.device, batch: int = 500) -> Split:
    """As many fakes as ``like`` has reals, in its storage type, from the averaged generator in eval mode.

    Latents come from a generator of their own. Conditional models get the reals' labels, translators their sources;
    what those make of the reals on the way back becomes the fakes' ``source``.

    Raises:
        Diverged: a sample is not finite.
    """
    rng = torch.Generator(device).manual_seed(seed)
    parts: list[Tensor] = []
    backs: list[Tensor] = []
    with torch.inference_mode(), in_eval_mode(*gan.generators()):
        for start in range(0, len(like), batch):
            chunk = slice(start, min(start + batch, len(like)))
            real = to_signal(like.x[chunk].to(device))
            labels = None if like.labels is None else like.labels[chunk].to(device)
            source = None if like.source is None else to_signal(_cycle(like.source, chunk).to(device))
            given = Batch(real, gan.sample_latent(len(real), rng), labels, source)
            parts.append(_finite(gan.sample(given), like.x))
            if like.source is not None and (back := gan.sample_back(given)) is not None:
                backs.append(_finite(back, like.source))
    known = like.source is None or like.paired  # of other sources nobody knows what they show
    labels = like.labels if gan.conditional and known else None
    return Split(torch.cat(parts), labels, torch.cat(backs) if backs else None, like.paired)


def _finite(made: Tensor, like: Tensor) -> Tensor:
    """As stored, on the CPU."""
    if not made.isfinite().all():
        raise Diverged("a generated sample")
    return quantise(made, like).cpu()


@contextmanager
def in_eval_mode(*roots: nn.Module) -> Iterator[None]:
    """Looking never runs in train mode: no dropout, and batch-norm statistics stay as they are."""
    before = {module: module.training for root in roots for module in root.modules()}
    try:
        for root in roots:
            root.eval()
        yield
    finally:
        for module, training in before.items():
            module.training = training


def _cycle(array: Tensor, chunk: slice) -> Tensor:
    return array[torch.arange(chunk.start, chunk.stop) % len(array)]
