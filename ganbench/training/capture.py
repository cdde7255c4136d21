"""CUDA-graph capture of whole iterations: one launch replays hundreds of kernels, with the same bits."""

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
"""Warm-up iterations of a kind before it is recorded, in which libraries choose kernels and optimisers allocate."""
PROOFS = 3
"""Iterations of a kind that are both run and replayed; the results must agree bit for bit."""
EAGER = "GANBENCH_EAGER"
"""Environment variable; 1 turns recording off."""


class Recorder(Protocol):
    """Records work on a device; each replay reads and writes the same memory."""

    def stream(self) -> AbstractContextManager[Any]:
        """The stream on which all training runs."""

    def rehearsal(self) -> AbstractContextManager[Any]:
        """A block that raises an error if anything in it makes the host wait for the device."""

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        """Record ``work`` without running it; the returned function runs it.

        Raises:
            RuntimeError: something in it cannot be recorded.
        """


class Counters(NamedTuple):
    """The host's counters: D updates and iterations done so far."""

    d_done: int
    step: int


class Recordable(Protocol):
    """A training whose iterations can be recorded, one at a time."""

    def play(self, *, hidden: bool = False) -> None:
        """Run one iteration.

        Args:
            hidden: forbid reading the iteration's number, which a recording would freeze.
        """

    def skip(self) -> None:
        """Advance the host's counters, as ``play`` does."""

    def kind(self) -> Hashable:
        """The kind of the next iteration; all iterations of a kind do the same work, with the same lazy terms."""

    def counters(self) -> Counters:
        """The host's counters, for ``set_counters``."""

    def set_counters(self, counters: Counters) -> None:
        """Restore the host's counters."""

    def memory(self) -> list[Tensor]:
        """Every tensor that an iteration changes, always the same objects in the same order."""

    def generators(self) -> Sequence[torch.Generator]:
        """Every random generator that an iteration may draw from."""


class NotRecordable(RuntimeError):
    """Some code read a number that changes between iterations."""


class Hidden:
    """Placeholder for the iteration's number, or the progress, while a recording is made.

    Code that read the real value would see it unchanged in every replay.
    """

    def _looked_at(self, *_: Any) -> NoReturn:
        raise NotRecordable("a plugin reads the progress or the iteration's number")

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __mod__ = __rmod__ = _looked_at
    __truediv__ = __rtruediv__ = __floordiv__ = __rfloordiv__ = __pow__ = __rpow__ = __neg__ = __round__ = _looked_at
    __lt__ = __le__ = __gt__ = __ge__ = __int__ = __index__ = __float__ = __bool__ = _looked_at
    __eq__ = __ne__ = __hash__ = __str__ = __format__ = _looked_at


class Replayed:
    """Runs iterations by replaying recordings, or without them if a replay gives different bits.

    The first iterations of a kind are run normally ("played"). The next few are played, undone and replayed. If
    weights, moments, statistics, losses or random states differ in one bit, or the work cannot be recorded, training
    continues from the played state without recordings, and ``mode`` says why. A run has the same bits either way.
    """

    def __init__(self, training: Recordable, recorder: Recorder) -> None:
        self.training, self.recorder = training, recorder
        self.refusal = ""
        self._seen: Counter[Hashable] = Counter()
        self._replays: dict[Hashable, Callable[[], None]] = {}

    @property
    def mode(self) -> str:
        """How iterations run: ``"graph"``, ``"eager"`` (so far), or ``"eager: <why>"``."""
        if self.refusal:
            return f"eager: {self.refusal}"
        return "graph" if self._replays else "eager"

    def __call__(self) -> None:
        """Run one iteration."""
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
        except Exception as error:  # a plugin with a real error fails again when played
            self._refuse(str(error) if isinstance(error, NotRecordable) else told(error), before)
            self.training.play()
            return
        self._replay(kind)
        if not _same(self._state(), played):
            self._refuse("an iteration gives different bits when replayed", played)

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
    """Copies of everything that an iteration changes."""

    memory: list[Tensor]
    random: list[Tensor]
    counters: Counters


def _same(one: _State, other: _State) -> bool:
    """Whether two values agree bit for bit; NaN equals NaN."""
    pairs = zip([*one.memory, *one.random], [*other.memory, *other.random], strict=True)
    return one.counters == other.counters and all(
        torch.equal(a.contiguous().view(-1).view(torch.uint8), b.contiguous().view(-1).view(torch.uint8))
        for a, b in pairs
    )


class CudaGraphs:
    """Records CUDA graphs.

    Args:
        device: the GPU.
        generators: random generators that the work uses, besides torch's default generator.
    """

    def __init__(self, device: torch.device, generators: Sequence[torch.Generator]) -> None:
        self._device, self._generators = device, generators
        self._stream = torch.cuda.Stream(device)

    def stream(self) -> AbstractContextManager[Any]:
        """A separate stream, because a graph cannot be captured on the default one."""
        return torch.cuda.stream(self._stream)

    @contextmanager
    def rehearsal(self) -> Iterator[None]:
        """Run the block under torch's synchronisation detector, since synchronising would break a capture."""
        before = torch.cuda.get_sync_debug_mode()
        with warnings.catch_warnings():
            # Torch warns once per process about a prototype; if warnings are errors, that would end the recording.
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
            # An aborted capture leaves random generators waiting for its end; a complete one releases them.
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
    """The recorder for a device, or None if iterations are simply played."""
    if device.type != "cuda" or os.environ.get(EAGER) == "1":
        return None
    return CudaGraphs(device, generators)


def stream_of(recorder: Recorder | None) -> AbstractContextManager[Any]:
    """The stream on which training runs."""
    return recorder.stream() if recorder is not None else nullcontext()
