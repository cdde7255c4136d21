"""Extraction of features by several processes on a CPU, each with one thread, so that the bits are those of one."""

from __future__ import annotations

import pickle
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager

import torch
from torch import Tensor

from ganbench.contracts.extractor import BATCH, Extractor, stream, streamed_by
from ganbench.contracts.progress import telling
from ganbench.device.determinism import configure
from ganbench.errors import GanbenchError
from ganbench.runs.executors.spawning import context, leave_signals_to_the_parent, surroundings_of_a_worker

Found = tuple[Tensor, Tensor | None]
PAYS = 30.0
"""Seconds of extraction that are left after the first batch; starting processes takes several."""
AHEAD = 2
"""Batches per process that wait, so that none is idle."""
_mine: list[Extractor] = []


@contextmanager
def by_processes(workers: int, device: torch.device) -> Iterator[None]:
    """Extract features in the block by several processes, if a CPU computes them and would take long.

    An extractor that cannot be sent to another process, such as one that a script defines, works in this one.
    """
    if workers < 2 or device.type != "cpu":
        yield
        return

    def several(extractor: Extractor, x: Tensor, device: torch.device) -> Iterator[Found]:
        began = time.perf_counter()
        yield from stream(extractor, x[:BATCH], device)
        left = (time.perf_counter() - began) * (len(x) / BATCH - 1)
        packed = _packed(extractor) if left > PAYS else None
        if packed is None:
            yield from stream(extractor, x[BATCH:], device)
        else:
            yield from _streamed(packed, extractor.name, x[BATCH:], workers)

    with streamed_by(several):
        yield


def _packed(extractor: Extractor) -> bytes | None:
    try:
        return pickle.dumps(extractor)
    except (pickle.PickleError, AttributeError, TypeError):  # what pickle raises for local classes and functions
        return None


def _streamed(packed: bytes, name: str, x: Tensor, workers: int) -> Iterator[Found]:
    """Batches in order; a few per process are under way at a time, so memory does not grow with their number."""
    batches, waiting = iter(x.split(BATCH)), deque[Future[Found]]()
    with (
        ProcessPoolExecutor(workers, context(), _begin, (packed,)) as pool,
        telling(f"{name} looks at {len(x):,} samples, in {workers} processes", len(x)) as tick,
    ):
        try:
            with surroundings_of_a_worker(threads=1):  # all processes start with the first batch
                for batch, _ in zip(batches, range(AHEAD * workers), strict=False):
                    waiting.append(pool.submit(_look, batch.clone()))
            while waiting:
                features, logits = waiting.popleft().result()
                if (batch := next(batches, None)) is not None:
                    waiting.append(pool.submit(_look, batch.clone()))
                tick(len(features))
                yield features, logits
        except BrokenProcessPool as error:
            raise GanbenchError(
                "a process that computed features was killed, perhaps for want of memory", "use fewer: --workers 1"
            ) from error


def _begin(packed: bytes) -> None:
    """In a worker: unpack the extractor."""
    leave_signals_to_the_parent()
    configure(1)
    _mine[:] = [pickle.loads(packed)]


def _look(x: Tensor) -> Found:
    """In a worker: features and logits of one batch."""
    (found,) = stream(_mine[0], x, torch.device("cpu"))
    return found
