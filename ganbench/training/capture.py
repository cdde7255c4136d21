"""Whole iterations recorded once and replayed: on a GPU one launch for hundreds of kernels, and the same bits."""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, NamedTuple, NoReturn, Protocol

import torch
from torch import Tensor

from ganbench.errors import told

WARM_UP = 3
"""Iterations of a kind before it is recorded: libraries choose their kernels and optimisers allocate their state."""
PROOFS = 3
"""Iterations of a kind that are both played and replayed; the results must agree bit for bit."""
EAGER = "GANBENCH_EAGER"
"""Set to 1 in the environment, this variable turns recording off."""


class Recorder(Protocol):
    """Records work on a device. What was recorded reads and writes the same memory each time it is replayed."""

    def stream(self) -> AbstractContextManager[Any]:
        """The stream on which all training takes place."""

    def rehearsal(self) -> AbstractContextManager[Any]:
        """A block in which anything that makes the host wait for the device raises."""

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        """Record ``work`` without carrying it out; what comes back carries it out.

        Raises:
            RuntimeError: something in it cannot be recorded.
        """


class Counters(NamedTuple):
    """What the host counts: D updates and iterations that are done."""

    d_done: int
    step: int


class Recordable(Protocol):
    """What is recorded: the training, one iteration at a time."""

    def play(self, *, hidden: bool = False) -> None:
        """Carry out one iteration.

        Args:
            hidden: no code in it may read the iteration's number, which a recording would freeze.
        """

    def skip(self) -> None:
        """Move the host's counters on, as ``play`` does."""

    def kind(self) -> Hashable:
        """The kind of the next iteration; all of one kind do the same work, with the same lazy terms."""

    def counters(self) -> Counters:
        """The host's counters, for ``set_counters``."""

    def set_counters(self, counters: Counters) -> None:
        """Restore the host's counters."""

    def memory(self) -> list[Tensor]:
        """Every tensor that an iteration leaves changed, always the same objects in the same order."""

    def generators(self) -> Sequence[torch.Generator]:
        """Every random generator that an iteration may draw from."""


class NotRecordable(RuntimeError):
    """Some code read a number that changes from one iteration to the next."""


class Hidden:
    """Stands in for the iteration's number, or the progress, while a recording is made.

    Code that read it would see its value of that moment for ever.
    """

    def _looked_at(self, *_: Any) -> NoReturn:
        raise NotRecordable("a plugin reads the progress or the iteration's number")

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __mod__ = __rmod__ = _looked_at
    __truediv__ = __rtruediv__ = __floordiv__ = __rfloordiv__ = __pow__ = __rpow__ = __neg__ = __round__ = _looked_at
    __lt__ = __le__ = __gt__ = __ge__ = __int__ = __index__ = __float__ = __bool__ = _looked_at
    __eq__ = __ne__ = __hash__ = __str__ = __format__ = _looked_at


class Replayed:
    """Carries out iterations by replaying recordings of them, or by playing them if a replay is not the same.

    The first iterations of a kind are played. The next few are played, undone and replayed. If weights, moments,
    statistics, losses or random states differ in one bit, or the work cannot be recorded at all, training continues
    from the played state without recordings, and ``mode`` says why. So a run has the same bits either way.
    """

    def __init__(self, training: Recordable, recorder: Recorder) -> None:
        self.training, self.recorder = training, recorder
        self.refusal = ""
        self._seen: Counter[Hashable] = Counter()
        self._replays: dict[Hashable, Callable[[], None]] = {}

    @property
    def mode(self) -> str:
        """How iterations are carried out: ``"graph"``, ``"eager"`` (so far), or ``"eager: <why>"``."""
        if self.refusal:
            return f"eager: {self.refusal}"
        return "graph" if self._replays else "eager"

    def __call__(self) -> None:
        """Carry out one iteration."""
        kind = self.training.kind()
        self._seen[kind] += 1
        if self.refusal or self._seen[kind] <= WARM_UP:
            self.training.play()
        elif self._seen[kind] <= WARM_UP + PROOFS:
            self._prove(kind)
        else:
            self._replay(kind)

    def _replay(self, kind: Hashable) -> None:
        self._replays[kind]()
        self.training.skip()

    def _prove(self, kind: Hashable) -> None:
        before = self._state()
        try:
            with self.recorder.rehearsal():
                self.training.play(hidden=True)
            played = self._state()
            self._put_back(before)
            if kind not in self._replays:
                self._replays[kind] = self.recorder.record(lambda: self.training.play(hidden=True))
                self._put_back(before)
        except Exception as error:  # a plugin that is really broken fails again when played
            self._refuse(str(error) if isinstance(error, NotRecordable) else told(error), before)
            self.training.play()
            return
        self._replay(kind)
        if not _same(self._state(), played):
            self._refuse("an iteration gives other bits when replayed", played)

    def _refuse(self, why: str, state: _State) -> None:
        self.refusal = why.splitlines()[0]
        self._replays.clear()
        self._put_back(state)

    def _state(self) -> _State:
        memory = [value.detach().clone() for value in self.training.memory()]
        random = [rng.get_state() for rng in self.training.generators()]
        return _State(memory, random, self.training.counters())

    @torch.no_grad()
    def _put_back(self, state: _State) -> None:
        for now, before in zip(self.training.memory(), state.memory, strict=True):
            now.copy_(before)
        for rng, before in zip(self.training.generators(), state.random, strict=True):
            rng.set_state(before)
        self.training.set_counters(state.counters)


class _State(NamedTuple):
    """Copies of all that an iteration changes."""

    memory: list[Tensor]
    random: list[Tensor]
    counters: Counters


def _same(one: _State, other: _State) -> bool:
    """Bit for bit, a NaN being equal to itself."""
    pairs = zip([*one.memory, *one.random], [*other.memory, *other.random], strict=True)
    return one.counters == other.counters and all(
        torch.equal(a.contiguous().view(-1).view(torch.uint8), b.contiguous().view(-1).view(torch.uint8))
        for a, b in pairs
    )


class CudaGraphs:
    """Records CUDA graphs.

    Args:
        device: the GPU.
        generators: those that the work draws from, besides the default generator, which torch knows.
    """

    def __init__(self, device: torch.device, generators: Sequence[torch.Generator]) -> None:
        self._device, self._generators = device, generators
        self._stream = torch.cuda.Stream(device)

    def stream(self) -> AbstractContextManager[Any]:
        """A separate stream: a graph cannot be captured on the default one."""
        return torch.cuda.stream(self._stream)

    @contextmanager
    def rehearsal(self) -> Iterator[None]:
        """Run the block under torch's own detector of synchronisation, which would break a capture."""
        before = torch.cuda.get_sync_debug_mode()
        with warnings.catch_warnings():
            # Torch warns of a prototype, once per process; where warnings are errors, that would end the recording.
            warnings.filterwarnings("ignore", "Synchronization debug mode is a prototype")
            torch.cuda.set_sync_debug_mode("error")
        try:
            yield
        finally:
            torch.cuda.set_sync_debug_mode(before)

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        """Capture ``work`` in a graph with a memory pool of its own."""
        try:
            return self._captured(work)
        except Exception:
            # A capture that broke off leaves random generators waiting for its end; a complete one sets them free.
            self._captured(lambda: None)
            raise

    def _captured(self, work: Callable[[], None]) -> Callable[[], None]:
        graph = torch.cuda.CUDAGraph()
        for rng in self._generators:
            graph.register_generator_state(rng)
        with torch.cuda.graph(graph, stream=self._stream):
            work()
        return graph.replay


def recorder_for(device: torch.device, generators: Sequence[torch.Generator]) -> Recorder | None:
    """The recorder of a device, or None where iterations are simply played."""
    if device.type != "cuda" or os.environ.get(EAGER) == "1":
        return None
    return CudaGraphs(device, generators)


def stream_of(recorder: Recorder | None) -> AbstractContextManager[Any]:
    """The stream on which training takes place."""
    return recorder.stream() if recorder is not None else nullcontext()
