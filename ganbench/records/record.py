"""The structure of a record, the small JSON that a run leaves behind. ``store.py`` reads and writes it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, NamedTuple

from msgspec import Meta, Struct, field

from ganbench.contracts.component_ref import ComponentRef
from ganbench.contracts.executor import Status, entry_name
from ganbench.contracts.kind import Kind
from ganbench.contracts.metric import Goal
from ganbench.contracts.origin import Origin
from ganbench.contracts.protocol import Name, Seed
from ganbench.errors import plural

FORMAT = 3
"""1: 0.1.0 before its release; no longer read, because it had no seal. 2: fingerprints, best-so-far, curve,
self-checks, seal. 3: hashes of code state their kind (``ast1:``)."""
FORMATS = range(2, FORMAT + 1)
"""The formats that can be read."""
STATED = 3
"""From this format on, code hashes are of one kind; older ones are not comparable with them."""
FINISHED: tuple[Status, ...] = ("ok", "diverged", "error", "timeout")
"""Statuses of a run that is over; an ``interrupted`` one can be resumed."""
PARTS: tuple[Kind, ...] = ("dataset", "extractor")
"""Kinds of the components that ``parts`` holds."""

IN_PLACE_OF = {"gaussian fit": "low-rank gaussian fit", "class gaussians": "low-rank class gaussians"}
"""Yardsticks that are replaced if samples have too many features for a full covariance.

The replacement is recorded under its own name, in the folder of the one that it replaces.
"""


# No score without provenance: a record that does not say where it comes from is neither written nor read.
NonEmpty = Annotated[str, Meta(min_length=1)]


class Component(Struct, frozen=True):
    """A plugin as it was when it ran.

    ``source`` is the hash of its module and of all it imports from its own package (``plugins.source.source_hash``),
    ``revision`` a metric's own ``version``.
    """

    name: NonEmpty
    package: NonEmpty
    version: NonEmpty
    source: NonEmpty
    revision: int = 0

    @property
    def hash_kind(self) -> str:
        """How ``source`` was computed: ``"ast1"``, or ``""`` before format 3. Different kinds do not compare."""
        return self.source.rpartition(":")[0]


class Column(Struct, frozen=True):
    """What a score means.

    Args:
        goal: ``min``, ``max`` or ``info``.
        low, high: the range of its values; None: unbounded.
        collapsed_at: a trained generator whose score is no better has collapsed; None: the score does not show it.
        metric: the metric that gave it; "": unknown, in records before 0.2.
    """

    goal: Goal
    low: float | None = None
    high: float | None = None
    collapsed_at: float | None = None
    metric: str = ""

    @property
    def log(self) -> bool:
        """Whether the score is a positive quantity to be compared on the log scale."""
        return self.low == 0 and self.high is None


class Speed(Struct, frozen=True):
    """Throughput on warmed-up windows, and the arithmetic behind it.

    Other programs on the machine affect ``train`` far more than ``train_cpu``. Floating-point operations are those of
    matrix products and convolutions, with a multiply-add as two; the numbers about them are 0 if they cannot be
    counted.

    Args:
        train: real images shown to D per second of training, median over windows.
        train_iqr: the interquartile range over windows.
        windows: their number.
        sample: generated images per second.
        step_ms: one iteration, that is every D update and the G update.
        peak_memory_mb: of the process (CPU) or the device (CUDA).
        d_flops, g_flops: operations of D's and of G's updates per real image shown to D; lazy terms are weighted by how
            often they are computed.
        flops_per_second: their sum times ``train_cpu``, or times ``train`` where another device computes.
        peak_flops_per_second: the rate that the same process reached in a matrix product in the run's precision.
        peak_share: ``flops_per_second`` as a share of that.
        mode: how iterations were executed: ``"eager"``, ``"eager: <why>"`` or ``"graph"``.
        train_cpu: as ``train``, per second of the process's CPU time; 0 where another device computes.
    """

    train: float = 0.0
    train_iqr: float = 0.0
    windows: int = 0
    sample: float = 0.0
    step_ms: float = 0.0
    peak_memory_mb: float = 0.0
    d_flops: float = 0.0
    g_flops: float = 0.0
    flops_per_second: float = 0.0
    peak_flops_per_second: float = 0.0
    peak_share: float = 0.0
    mode: str = ""
    train_cpu: float = 0.0


class Company(Struct, frozen=True):
    """What else kept the machine busy during training; 0 if the system does not report it.

    Args:
        load: the mean of the one-minute load average. For a run alone on a CPU, it is about the number of threads.
        steal: the share of all CPU time that a hypervisor gave to other machines.
        pressure: the share of the time in which some task waited for a CPU.
    """

    load: float = 0.0
    steal: float = 0.0
    pressure: float = 0.0


class Cost(Struct, frozen=True):
    """What was spent.

    Args:
        images: real images shown to D.
        train_seconds, judge_seconds: of training and of judging.
        device_joules: energy of the whole device during training, if its driver measures it and the same command had
            no other run in progress.
        train_cpu_seconds: CPU time of the process in training.
    """

    images: int = 0
    train_seconds: float = 0.0
    judge_seconds: float = 0.0
    device_joules: float | None = None
    train_cpu_seconds: float = 0.0


class Fingerprints(Struct, frozen=True):
    """Hashes (sha256, in hex) that two runs with the same bits share.

    Args:
        weights: of the final weights with their average.
        samples: of the samples of each evaluation draw.
        trace: of weights and losses at the end of each window of training.
    """

    weights: str = ""
    samples: tuple[str, ...] = ()
    trace: str = ""


class Best(Struct, frozen=True):
    """The best generator during training, chosen by the headline on the selection split, with selection latents.

    Args:
        kimg: thousands of images shown to D at that time.
        scores: the scores of the headline's metric on the reporting split.
        draws: the same for each draw.
    """

    kimg: float
    scores: dict[str, float]
    draws: list[dict[str, float]]


class Look(Struct, frozen=True):
    """The headline on the selection split during training.

    Args:
        kimg: thousands of images shown to D so far.
        seconds: training time so far.
        score: the headline.
        cpu_seconds: CPU time of the process in training so far.
    """

    kimg: float
    seconds: float
    score: float
    cpu_seconds: float = 0.0


class SelfChecks(Struct, frozen=True):
    """Whether the evaluation itself can be trusted.

    ``real`` and ``fake`` are the numbers of samples compared, ``floor`` scores reals against other reals, ``identical``
    the reference against itself (both with the headline's metric). ``effective_samples`` is the fakes' Vendi score
    (Friedman and Dieng 2023), about 1 if all lie in the same direction, ``real_effective`` that of the reals (0:
    unknown). ``spread`` is the fakes' variance in the features as a share of the reals', ``raw_spread`` the same for
    the samples themselves (None: unknown; in records before 0.2, a spread of exactly 1 is also unknown). ``failed`` are
    sentences.
    """

    real: int
    fake: int
    floor: dict[str, float]
    identical: dict[str, float]
    effective_samples: float
    spread: float | None = None
    failed: tuple[str, ...] = ()
    real_effective: float = 0.0
    raw_spread: float | None = None


class Environment(Struct, frozen=True):
    """Where it ran.

    Args:
        ganbench, python, torch, cuda, cudnn: versions; "" where there is none.
        commit: of the checkout.
        dirty: whether the checkout had uncommitted changes.
        device: the name of the processor or GPU.
        threads: of torch.
        precision: the precision that the protocol sets for networks.
        system: the operating system and the architecture.
        core: the hash of ganbench's own modules.
        nondeterministic: the nondeterministic operations that were used.
        workers: the number of runs at a time.
    """

    ganbench: NonEmpty
    commit: str
    dirty: bool
    python: NonEmpty
    torch: NonEmpty
    cuda: str
    cudnn: str
    device: NonEmpty
    threads: Annotated[int, Meta(ge=1)]
    precision: str
    system: NonEmpty
    core: NonEmpty
    nondeterministic: tuple[str, ...] = ()
    workers: int = 1

    @property
    def machine(self) -> str:
        """A description of the machine; timings may be compared only within one."""
        threads = "" if self.cuda else f", {plural(self.threads, 'thread')}"
        return f"{self.device}{threads}" + (f", {self.precision}" if self.precision != "float32" else "")


class PluginName(NamedTuple):
    """A plugin's kind and its name, without anything after a colon, such as a path, which is not its code.

    Two packages may each provide a plugin of the same name, and one record may use both.
    """

    kind: Kind
    name: str

    def __str__(self) -> str:
        return f"the {self.kind} {self.name}"


class Role(NamedTuple):
    """A component that took part in a record, and in which role."""

    kind: Kind
    component: Component

    @property
    def plugin(self) -> PluginName:
        """The plugin that provides it."""
        return PluginName(self.kind, ComponentRef.of(self.component.name).name)


class RecordBase(Struct, frozen=True, kw_only=True):
    """What the records of runs and of yardsticks have in common."""

    format: int
    status: Status
    reason: str = ""
    protocol: Name
    digest: NonEmpty
    seed: Seed
    headline: NonEmpty
    scores: dict[str, float] = field(default_factory=dict)
    draws: list[dict[str, float]] = field(default_factory=list)
    columns: dict[str, Column] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    """Short column name -> why it has no score here."""
    doubts: tuple[str, ...] = ()
    """Sentences on why scores may not mean what they seem to."""
    dataset: NonEmpty
    dataset_hash: NonEmpty
    class_names: tuple[str, ...] = ()
    """Names of the data's classes, in the order of their labels; empty if they are known only by number."""
    origin: Origin = Origin()
    extractor: str = ""
    metrics: dict[str, Component] = field(default_factory=dict)
    parts: dict[str, Component] = field(default_factory=dict)
    """By kind, the plugins that provided ``dataset`` and ``extractor``."""
    bits: Fingerprints = Fingerprints()
    self_checks: SelfChecks | None = None
    cost: Cost = Cost()
    environment: Environment
    started: NonEmpty

    @property
    def entry(self) -> str:
        """The row this record belongs to."""
        raise NotImplementedError  # abstract: runs and yardsticks define it

    @property
    def file_name(self) -> str:
        """The name under which a published record is stored."""
        return f"{self.entry.replace(' ', '+').replace(':', '~').replace('/', '~')}+seed{self.seed}.json"

    @property
    def players(self) -> tuple[Role, ...]:
        """The components that trained."""
        return ()

    @property
    def components(self) -> tuple[Role, ...]:
        """Every component that took part in the record."""
        judges = (Role("metric", metric) for metric in self.metrics.values())
        return *self.players, *judges, *(Role(kind, self.parts[kind]) for kind in PARTS if kind in self.parts)


class TrainingRecord(RecordBase, frozen=True, kw_only=True):
    """One run."""

    arch: Component
    loss: Component
    tricks: tuple[Component, ...] = ()
    changes: dict[str, str] = field(default_factory=dict)
    recipe: Annotated[dict[str, object], Meta(min_length=1)]
    recipe_from: Annotated[dict[str, str], Meta(min_length=1)]
    d_norm: NonEmpty
    parameters: Annotated[dict[str, int], Meta(min_length=1)]
    best: Best | None = None
    curve: tuple[Look, ...] = ()
    speed: Speed = Speed()
    company: Company = Company()

    @property
    def players(self) -> tuple[Role, ...]:
        """The arch, the loss, then the tricks."""
        return Role("arch", self.arch), Role("loss", self.loss), *(Role("trick", trick) for trick in self.tricks)

    @property
    def entry(self) -> str:
        """``dcgan+wgan-gp``, with tricks and changes."""
        return entry_name((component.name for _, component in self.players), self.changes)


class YardstickRecord(RecordBase, frozen=True, kw_only=True):
    """One draw of a yardstick: samples that were made without training."""

    yardstick: NonEmpty

    @property
    def entry(self) -> str:
        """The yardstick's name."""
        return self.yardstick


class Declared(Struct, frozen=True):
    """What somebody states about the model behind samples that GANBench did not make. Nothing of it was checked.

    Args:
        by: who states it.
        link: where the model is described.
        parameters: of the generator; 0: not stated.
        cost: what its training took, in words: ``"8 V100 for 4 days"``.
    """

    by: str = ""
    link: str = ""
    parameters: Annotated[int, Meta(ge=0)] = 0
    cost: str = ""

    def __str__(self) -> str:
        size = f"{self.parameters:,} parameters" if self.parameters else ""
        stated = ", ".join(filter(None, [size, self.cost, self.link]))
        if not stated:
            return "nothing is stated about it"
        return f"{self.by} states {stated}" if self.by else f"somebody states {stated}"


class External(Struct, frozen=True, kw_only=True):
    """Samples from elsewhere: what they were called, what is stated about them, and how they were read.

    Args:
        name: of the model, as the user gave it.
        declared: what is stated about it.
        read: what was read: ``"10,000 images in samples.zip"``.
        given: the number of samples that were handed in.
        assumed: sentences on how they were understood.
        found: sentences on what may be wrong with them.
    """

    name: NonEmpty
    declared: Declared = Declared()
    read: NonEmpty
    given: Annotated[int, Meta(ge=1)]
    assumed: tuple[str, ...] = ()
    found: tuple[str, ...] = ()


class ExternalRecord(RecordBase, frozen=True, kw_only=True):
    """Samples that GANBench did not make, scored once. Such a row is never ranked."""

    external: External

    @property
    def entry(self) -> str:
        """``external NAME``."""
        return f"external {self.external.name}"


Record = TrainingRecord | YardstickRecord | ExternalRecord
"""Tables are computed from records and nothing else."""


def runs_in(records: Iterable[Record]) -> list[TrainingRecord]:
    """The records of runs, without those of yardsticks."""
    return [record for record in records if isinstance(record, TrainingRecord)]
